from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.data import batching
from huggingtweets.nn import attention, language_model, likelihood
from huggingtweets.nn.devices import ComputeDevice, select_device
from huggingtweets.training import TrainingResult, TrainingTask, fit, graphs
from huggingtweets.training.recipe import CLASSIC, FAST

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.data.batching import Batch
    from huggingtweets.events import Event


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.mark.parametrize(
    ("shape", "budget", "longest", "expected"),
    [
        ((8, 64), 512, 1024, (8, 64)),
        ((3, 60), 512, 1024, (8, 64)),  # the last batch of a block of posts
        ((9, 56), 512, 1024, (12, 64)),
        ((1, 700), 512, 1024, (1, 704)),
        ((1, 95), 512, 100, (5, 96)),
        ((5, 97), 512, 100, (5, 100)),
        ((1, 1), 0, 1024, (1, 16)),
    ],
)
def test_batches_are_padded_to_few_shapes(
    shape: tuple[int, int], budget: int, longest: int, expected: tuple[int, int]
) -> None:
    assert graphs.padded_shape(shape, budget, longest) == expected
    assert graphs.padded_shape(expected, budget, longest) == expected


def test_full_batches_are_padded_to_at_most_14_shapes() -> None:
    shapes = [(512 // width, width) for width in range(17, 97)]
    padded = [graphs.padded_shape(shape, 512, 1024) for shape in shapes]
    assert len(set(padded)) <= 14
    for shape, padded_shape in zip(shapes, padded, strict=True):
        (rows, width), (padded_rows, padded_width) = shape, padded_shape
        assert rows <= padded_rows <= rows * 2
        assert width <= padded_width < width + 16


def loss_and_gradients(base: Path, batch: Batch) -> tuple[float, dict[str, Any]]:
    model = language_model.load(base).model
    loss = likelihood.negative_log_likelihood(model, batch) / batch.tokens
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters()}


def test_padding_changes_neither_loss_nor_gradients(dropout_base: Path, posts: list[str]) -> None:
    import torch

    lm = language_model.load(dropout_base)
    batch = batching.to_batch(batching.make_rows(lm.encode_all(posts[:5]), 0, lm.context))
    padded = graphs.padded(batch, 512, lm.context)
    assert padded.tokens == batch.tokens
    assert padded.inputs.shape == padded.labels.shape
    assert padded.inputs.numel() > batch.inputs.numel()

    loss, gradients = loss_and_gradients(dropout_base, batch)
    padded_loss, padded_gradients = loss_and_gradients(dropout_base, padded)
    assert padded_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(padded_gradients[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("base", ["tiny_base", "dropout_base"])
def test_attention_without_a_mask_is_causal(base: str, request: pytest.FixtureRequest) -> None:
    import torch

    model = language_model.load(request.getfixturevalue(base), attention="sdpa").model
    inputs = torch.arange(24).view(2, 12)
    with torch.no_grad():
        plain = model(input_ids=inputs, use_cache=False).logits
        with attention.use_causal_attention(model, "cuda"):
            assert model.config._attn_implementation != "sdpa"
            unmasked = model(input_ids=inputs, use_cache=False).logits
    assert model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(unmasked, plain, rtol=1e-4, atol=1e-6)


def test_graphs_are_used_only_on_cuda_with_rows_of_posts(
    dropout_base: Path, cpu: ComputeDevice
) -> None:
    model, gpu = (
        language_model.load(dropout_base, attention="sdpa").model,
        replace(cpu, device="cuda"),
    )
    assert graphs.usable(gpu, FAST, model, compiled=False)
    assert not graphs.usable(gpu, FAST, model, compiled=True)
    assert not graphs.usable(gpu, CLASSIC, model, compiled=False)
    assert not graphs.usable(cpu, FAST, model, compiled=False)
    eager = language_model.load(dropout_base, attention="eager").model
    assert not graphs.usable(gpu, FAST, eager, compiled=False)
    model.config.sliding_window = 16
    assert not graphs.usable(gpu, FAST, model, compiled=False)


def fitted(
    base: Path, posts: list[str], precision: str, *, drops: bool = False
) -> tuple[TrainingResult, list[Event]]:
    lm, events = language_model.load(base), list[Any]()
    if not drops:
        for module in lm.model.modules():
            vars(module).update({"p": 0.0} if hasattr(module, "p") else {})
    recipe = FAST.changed(learning_rate=1e-3, epochs=3)
    machine = select_device("cuda", precision)
    return fit(TrainingTask(lm, [posts[:270]], posts[270:], recipe, machine), events.append), events


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 1e-2)])
def test_replayed_steps_give_the_loss_of_launched_steps(
    dropout_base: Path,
    posts: list[str],
    precision: str,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replayed, events = fitted(dropout_base, posts, precision)
    assert not any("CUDA graphs are disabled" in event.message for event in events)
    monkeypatch.setattr(graphs, "usable", lambda *_, **__: False)
    launched, _ = fitted(dropout_base, posts, precision)
    assert replayed.steps == launched.steps
    for one, other in zip(replayed.history, launched.history, strict=True):
        for key in ("train_loss", "held_out_bits_per_byte"):
            assert one[key] == pytest.approx(other[key], rel=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda(), reason="needs a CUDA device")
def test_training_continues_when_capturing_fails(
    dropout_base: Path, posts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    launched = graphs.CudaGraphStepper._compute

    def compute_and_wait(self: graphs.CudaGraphStepper, batch: Batch) -> None:
        launched(self, batch)
        if torch.cuda.is_current_stream_capturing():
            self.loss.item()

    whole, _ = fitted(dropout_base, posts, "fp32", drops=True)
    monkeypatch.setattr(graphs.CudaGraphStepper, "_compute", compute_and_wait)
    failed, events = fitted(dropout_base, posts, "fp32", drops=True)
    assert sum("CUDA graphs are disabled" in event.message for event in events) == 1
    assert failed.steps == whole.steps
    assert failed.best == pytest.approx(whole.best, rel=1e-3)
