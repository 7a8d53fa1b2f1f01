"""Varied embeddings in training steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.nn import language_model, likelihood
from huggingtweets.training import TrainingTask, fit
from huggingtweets.training.perturbation import EmbeddingPerturbation
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from huggingtweets.data.batching import Batch
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

RECIPE = FAST.changed(learning_rate=3e-3, epochs=1)


@pytest.fixture
def lm(tiny_base: Path) -> LanguageModel:
    return language_model.load(tiny_base)


@pytest.fixture
def batch(lm: LanguageModel, posts: list[str]) -> Batch:
    return batching.to_batch(batching.make_rows(lm.encode_all(posts[:4]), lm.separator, lm.context))


def backward_of(
    lm: LanguageModel, batch: Batch, seen: list[tuple[torch.Tensor, float, float]]
) -> Callable[[float], float]:
    """A backward pass that remembers embeddings, weight and loss of each call."""

    def backward(weight: float) -> float:
        found: list[torch.Tensor] = []

        def remember(_module: object, _inputs: object, output: Any) -> None:  # noqa: ANN401
            found.append(output.detach().clone())

        handle = lm.model.get_input_embeddings().register_forward_hook(remember)
        loss = likelihood.negative_log_likelihood(lm.model, batch) / batch.tokens
        handle.remove()
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        seen.append((found[0], weight, loss.item()))
        return loss.item()

    return backward


def test_noise_has_the_published_size_and_follows_from_seed_and_step_alone(
    lm: LanguageModel, batch: Batch
) -> None:
    import torch

    seen: list[tuple[torch.Tensor, float, float]] = []
    clean = lm.model.get_input_embeddings()(batch.inputs).detach()
    for seed, step in ((0, 5), (0, 5), (0, 6), (1, 5)):
        before = torch.get_rng_state()
        perturbation = EmbeddingPerturbation(lm.model, FAST.changed(augment="noise"), seed)
        perturbation.backward(batch, step, backward_of(lm, batch, seen))
        assert torch.equal(torch.get_rng_state(), before)
    noises = [values - clean for values, _, _ in seen]
    assert [weight for _, weight, _ in seen] == [1.0] * 4
    assert torch.equal(noises[0], noises[1])
    assert not torch.allclose(noises[0], noises[2], atol=1e-3)
    assert not torch.allclose(noises[0], noises[3], atol=1e-3)
    lengths = (batch.labels != batching.IGNORED).sum(1)
    for row, length in enumerate(lengths.tolist()):
        limit = 5 / (length * lm.width) ** 0.5
        largest = noises[0][row].abs().max().item()
        assert 0.95 * limit < largest <= limit * 1.001


def test_the_adversarial_step_raises_the_loss_and_both_gradients_count_half(
    lm: LanguageModel, batch: Batch
) -> None:
    import torch

    seen: list[tuple[torch.Tensor, float, float]] = []
    perturbation = EmbeddingPerturbation(lm.model, FAST.changed(augment="adversarial"), 0)
    loss = perturbation.backward(batch, 0, backward_of(lm, batch, seen))
    (clean, *_), (changed, *_) = seen
    assert [weight for _, weight, _ in seen] == [0.5, 0.5]
    assert loss == seen[0][2] < seen[1][2]
    real = (batch.labels != batching.IGNORED)[:, :, None]
    step = changed - clean
    assert not (step * ~real).any()  # padding stays
    shares = (step.flatten(1).norm(dim=1) / (clean * real).flatten(1).norm(dim=1)).tolist()
    assert shares == pytest.approx([0.1] * len(shares), rel=1e-4)
    total = {n: w.grad.clone() for n, w in lm.model.named_parameters() if w.grad is not None}
    lm.model.zero_grad()
    random_step = torch.randn_like(step)
    random_step *= step.norm() / random_step.norm()
    loss_at_random = []
    for delta in (torch.zeros_like(step), step, random_step):
        handle = lm.model.get_input_embeddings().register_forward_hook(
            lambda _module, _inputs, output, delta=delta: output + delta
        )
        value = likelihood.negative_log_likelihood(lm.model, batch) / batch.tokens
        handle.remove()
        if delta is random_step:
            loss_at_random.append(value.item())
        else:
            (value / 2).backward()  # type: ignore[no-untyped-call]
    assert loss_at_random[0] < seen[1][2]
    for name, weight in lm.model.named_parameters():
        torch.testing.assert_close(weight.grad, total[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("augment", ["noise", "adversarial"])
def test_training_learns_and_stops_at_the_trained_layers(
    augment: str, layers: int, tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    import torch

    lm, before = language_model.load(tiny_base), language_model.load(tiny_base).model.state_dict()
    recipe = RECIPE.changed(augment=augment, layers=layers)
    other, without = language_model.load(tiny_base), RECIPE.changed(layers=layers)
    plain = fit(TrainingTask(other, [posts[:80]], posts[280:], without, cpu))
    trained = fit(TrainingTask(lm, [posts[:80]], posts[280:], recipe, cpu))
    assert trained.best < trained.history[0]["held_out_bits_per_byte"]  # type: ignore[operator]
    assert trained.best != plain.best
    frozen = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(lm.model.state_dict()[frozen], before[frozen]) == bool(layers)
    assert not lm.model.get_input_embeddings()._forward_hooks


@pytest.mark.parametrize("value", ["loud", "", 1, None])
def test_an_unknown_augmentation_is_refused(value: object) -> None:
    if value is None:
        assert FAST.changed(augment=None).augment == "none"
        return
    expected = r"augment must be none, noise, adversarial or paraphrase, not "
    with pytest.raises(InputError, match=expected):
        FAST.changed(augment=value)
