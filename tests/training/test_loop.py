from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.data import batching
from huggingtweets.errors import TrainingError
from huggingtweets.nn import language_model, likelihood
from huggingtweets.nn.devices import ComputeDevice, select_device
from huggingtweets.training import TrainingResult, TrainingTask, fit
from huggingtweets.training.recipe import CLASSIC, FAST
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Batch
    from huggingtweets.events import Event
    from huggingtweets.nn.language_model import LanguageModel

RECIPE = FAST.changed(learning_rate=1e-2, epochs=2)


@pytest.fixture(scope="module")
def trained(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> tuple[LanguageModel, TrainingResult, list[Event]]:
    """A short fine-tuning and its events."""
    lm, events = language_model.load(tiny_base), list[Any]()
    result = fit(TrainingTask(lm, [posts[:270]], posts[270:], RECIPE, cpu), events.append)
    return lm, result, events


def gradients(lm: LanguageModel) -> dict[str, Any]:
    return {name: weight.grad for name, weight in lm.model.named_parameters()}


def test_loss_and_gradients_equal_those_of_transformers(tiny_base: Path, posts: list[str]) -> None:
    """Compared with transformers' loss of each post alone, weighted by its tokens."""
    import torch

    ours, plain = language_model.load(tiny_base, attention="eager"), language_model.load(tiny_base)
    rows = batching.make_rows(ours.encode_all(posts[:12]), ours.separator, ours.context)
    batch = batching.to_batch(rows)
    loss = likelihood.negative_log_likelihood(ours.model, batch) / batch.tokens
    loss.backward()  # type: ignore[no-untyped-call]

    expected = 0.0
    for row in rows:
        ids = torch.tensor([row])
        mean = plain.model(input_ids=ids, labels=ids).loss
        share = mean * (len(row) - 1) / batch.tokens
        share.backward()
        expected += share.item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(gradients(ours)[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_step_equals_one_of_plain_adamw(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    ours, plain = language_model.load(tiny_base), language_model.load(tiny_base)
    weights = Weights(ours.model, cpu, CLASSIC)
    optimizer = torch.optim.AdamW(plain.model.parameters(), lr=1e-2, weight_decay=0.0)
    batch = batching.to_batch([[0, *ids, 0] for ids in ours.encode_all(posts[:4])])
    for _ in range(3):
        for lm in (ours, plain):
            loss = likelihood.negative_log_likelihood(lm.model, batch) / batch.tokens
            loss.backward()  # type: ignore[no-untyped-call]
        weights.update(1e-2)
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert all(gradient is None for gradient in gradients(ours).values())
    for one, other in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_bfloat16_loss_is_within_1_percent_and_master_weights_are_fp32(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    bf16 = replace(cpu, precision="bf16")
    full, half = language_model.load(tiny_base), language_model.load(tiny_base)
    ours = Weights(half.model, bf16, RECIPE)
    batch = batching.to_batch([[0, *ids, 0] for ids in full.encode_all(posts[:12])])
    exact = likelihood.negative_log_likelihood(full.model, batch).item()
    loss = likelihood.negative_log_likelihood(half.model, batch)
    assert loss.item() == pytest.approx(exact, rel=1e-2)
    loss.backward()  # type: ignore[no-untyped-call]
    before = [weight.clone() for weight in ours.master_params.values()]
    ours.update(1e-6)  # too small a change for bfloat16
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in ours.master_params.values()} == {torch.float32}
    pairs = zip(before, ours.master_params.values(), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)


def test_converting_precision_does_not_round_rotary_frequencies(tiny_base: Path) -> None:
    """Rounding would change positions in training and in the saved bot."""
    import torch

    lm = language_model.load(tiny_base)
    before = {name: buffer.clone() for name, buffer in lm.model.named_buffers()}
    assert any("inv_freq" in name for name in before)
    bf16 = select_device("cpu", "bf16")
    lm.to(bf16)
    Weights(lm.model, bf16, RECIPE).load_best()
    for name, buffer in lm.model.named_buffers():
        assert torch.equal(buffer, before[name])


def test_training_in_bfloat16_returns_the_precision_of_the_base(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    import torch

    lm = language_model.load(tiny_base)
    bf16 = replace(cpu, precision="bf16")
    result = fit(TrainingTask(lm, [posts[:270]], posts[270:], RECIPE, bf16))
    exact = fit(
        TrainingTask(language_model.load(tiny_base), [posts[:270]], posts[270:], RECIPE, cpu)
    )
    # 0.5 % with AMX, 1.5 % with AVX-512 BF16: rounding adds up over a training
    assert result.best == pytest.approx(exact.best, rel=3e-2)
    assert lm.model.dtype == torch.float32
    lm.save(tmp_path)
    again = language_model.load(tmp_path)
    assert likelihood.bits_per_byte(lm, posts[270:]) == likelihood.bits_per_byte(again, posts[270:])


def test_bfloat16_batches_are_those_of_fp32_padded_to_few_widths(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are kept for each shape of a batch, so few widths save memory."""
    inner = likelihood.negative_log_likelihood

    def shapes(machine: ComputeDevice) -> list[tuple[int, int, int]]:
        seen = []

        def record(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
            if model.training:
                seen.append((*batch.inputs.shape, batch.tokens))
            return inner(model, batch)

        monkeypatch.setattr(likelihood, "negative_log_likelihood", record)
        lm = language_model.load(tiny_base)
        fit(TrainingTask(lm, [posts[:60]], posts[60:70], RECIPE, machine))
        return seen

    plain, padded = shapes(cpu), shapes(replace(cpu, precision="bf16"))
    assert len(padded) > 3
    assert [(rows, tokens) for rows, _, tokens in padded] == [(r, t) for r, _, t in plain]
    widths = [batching.round_up(width, batching.WIDTH_MULTIPLE) for _, width, _ in plain]
    assert [width for _, width, _ in padded] == widths
    assert len(set(widths)) < len({width for _, width, _ in plain})


def test_held_out_loss_is_measured_before_the_first_step_and_after_each_epoch(
    trained: tuple[LanguageModel, TrainingResult, list[Event]], tiny_base: Path, posts: list[str]
) -> None:
    _, result, events = trained
    assert [point["epoch"] for point in result.history] == [0, 1, 2]
    assert [point["step"] for point in result.history] == [0, result.steps // 2, result.steps]
    untouched = likelihood.bits_per_byte(language_model.load(tiny_base), posts[270:])
    measured = [point["held_out_bits_per_byte"] for point in result.history]
    assert measured[0] == pytest.approx(untouched, rel=1e-6)
    assert result.best == measured[2]
    assert result.best < 0.8 * untouched
    assert result.history[0]["train_loss"] is None
    reported = [e.held_out_bits_per_byte for e in events if e.held_out_bits_per_byte is not None]
    assert reported == measured
    assert (events[-1].done, events[-1].total, events[-1].epoch) == (result.steps, result.steps, 2)
    assert result.stopped_early is False


def test_tokens_are_counted_without_padding(
    trained: tuple[LanguageModel, TrainingResult, list[Event]], posts: list[str]
) -> None:
    lm, result, _ = trained
    assert result.tokens == 2 * sum(len(ids) + 1 for ids in lm.encode_all(posts[:270]))


def test_interpolation_to_the_base_lowers_the_loss_after_a_high_rate(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    fast = FAST.changed(batch_tokens=512)
    lm = language_model.load(tiny_base)
    fit(
        TrainingTask(
            lm, [posts[:200]], posts[270:], fast.changed(learning_rate=1e-2, epochs=2), cpu
        )
    )
    pretrained = lm.model.state_dict()
    results = {}
    for way_back in (False, True):
        lm = language_model.load(tiny_base)
        lm.model.load_state_dict(pretrained)
        recipe = fast.changed(learning_rate=5e-3, epochs=1, way_back=way_back)
        results[way_back] = fit(TrainingTask(lm, [posts[200:210]], posts[270:], recipe, cpu))
    measured = [point["held_out_bits_per_byte"] or 0.0 for point in results[True].history]
    assert measured[-1] > min(measured)
    assert results[False].way is None
    assert results[True].way in (0.25, 0.4, 0.55, 0.7, 0.85)
    assert results[True].best < results[False].best == min(measured[: len(results[False].history)])
    assert likelihood.bits_per_byte(lm, posts[270:]) == pytest.approx(results[True].best, rel=1e-3)


def test_training_stops_when_held_out_loss_rises_and_returns_the_best_weights(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    few, other = posts[:10], [post.upper() for post in posts[270:]]
    recipe = FAST.changed(learning_rate=3e-2, epochs=40, batch_tokens=256, way_back=False)
    result = fit(TrainingTask(lm, [few], other, recipe, cpu))
    measured = [point["held_out_bits_per_byte"] for point in result.history]
    assert result.stopped_early
    assert len(measured) < 41
    assert result.best == measured[-2] == min(filter(None, measured))
    last = measured[-1]
    assert last is not None
    assert last > result.best
    assert likelihood.bits_per_byte(lm, other) == result.best


def test_base_weights_are_returned_if_training_never_improves_them(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, base = language_model.load(tiny_base), language_model.load(tiny_base)
    fit(TrainingTask(lm, [posts[:200]], ["zzzz"], RECIPE.changed(learning_rate=0.9), cpu))
    for one, other in zip(lm.model.parameters(), base.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_returned_and_saved_models_reach_the_best_measured_loss(
    trained: tuple[LanguageModel, TrainingResult, list[Event]], posts: list[str], tmp_path: Path
) -> None:
    lm, result, _ = trained
    assert likelihood.bits_per_byte(lm, posts[270:]) == result.best
    lm.save(tmp_path)
    assert likelihood.bits_per_byte(language_model.load(tmp_path), posts[270:]) == result.best


def test_a_non_finite_loss_ends_training_with_advice(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    next(lm.model.parameters()).data.fill_(math.nan)
    with pytest.raises(TrainingError, match="at step 1; try again with a lower --learning-rate"):
        fit(TrainingTask(lm, [posts[:50]], posts[50:60], RECIPE, cpu))


def test_results_depend_on_the_seed_only(
    dropout_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    def result(seed: int) -> list[dict[str, float | None]]:
        task = TrainingTask(
            language_model.load(dropout_base), [posts[:60]], posts[60:70], RECIPE, cpu, seed
        )
        return fit(task).history

    assert result(1) == result(1)
    assert result(1) != result(2)
