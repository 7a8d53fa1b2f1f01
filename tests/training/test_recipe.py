from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import InputError
from huggingtweets.nn import language_model
from huggingtweets.training import RECIPES, TrainingTask, fit
from huggingtweets.training.loop import _TrainingData
from huggingtweets.training.recipe import CLASSIC, FAST
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice


def test_classic_is_the_published_recipe() -> None:
    assert RECIPES["classic"] is CLASSIC
    assert (CLASSIC.epochs, CLASSIC.learning_rate) == (4, 1.37e-4)
    assert (CLASSIC.warmup, CLASSIC.weight_decay, CLASSIC.rows) == (0, 0, "blocks")
    rates = [CLASSIC.rate(step, 100) for step in range(101)]
    assert rates[0] == 1.37e-4  # no warm-up
    assert rates[50] == pytest.approx(1.37e-4 / 2)
    assert rates[25] == pytest.approx(1.37e-4 * (1 + math.sqrt(0.5)) / 2)
    assert rates[100] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


def test_classic_takes_one_step_per_full_block_of_the_context(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    task = TrainingTask(lm, [posts[:60]], posts[60:70], CLASSIC, cpu)
    tokens = sum(len(post) + 1 for post in lm.encode_all(posts[:60])) + 1
    blocks = tokens // lm.context
    data = _TrainingData(task, CLASSIC)
    assert [[len(row) for row in batch] for batch in data.epoch(0)] == [[64]] * blocks
    assert data.epoch(0) != data.epoch(1)  # reshuffled
    trained = fit(task)
    assert (trained.steps, trained.history[-1]["epoch"]) == (4 * blocks, 4)
    assert trained.tokens == 4 * blocks * 63  # each label but the first of a block


def test_classic_keeps_a_post_longer_than_the_context_whole(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    long = " ".join(posts[:5])
    data = _TrainingData(
        TrainingTask(lm, [[long, *posts[5:30]]], posts[30:33], CLASSIC, cpu), CLASSIC
    )
    ids = [lm.separator, *lm.encode(long), lm.separator]
    assert len(ids) > lm.context + 1
    order = [token for batch in data.epoch(0) for row in batch for token in row]
    assert any(order[i : i + len(ids)] == ids for i in range(len(order)))


def test_the_optimizer_is_adamw_with_the_recipes_settings(
    tiny_base: Path, cpu: ComputeDevice
) -> None:
    import torch

    recipe = FAST.changed(weight_decay=0.1)
    optimizer = Weights(language_model.load(tiny_base).model, cpu, recipe).optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.99)}
    dims = [{p.ndim for p in group["params"]} for group in optimizer.param_groups]
    assert dims == [{2}, {1}]


def test_learning_rate_warms_up_then_decays_to_zero() -> None:
    recipe = FAST.changed(warmup=0.1, learning_rate=1e-3)
    rates = [recipe.rate(step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([1e-3 * i / 11 for i in range(1, 11)])
    assert rates[10] == max(rates) == 1e-3
    assert rates[55] == pytest.approx(5e-4)
    assert rates[100] == pytest.approx(0)
    assert recipe.rate(0, 1) == 1e-3


def test_all_invalid_values_are_reported_at_once() -> None:
    wrong: dict[str, Any] = {
        "epochs": 0,
        "learning_rate": 1.0,
        "warmup": -0.1,
        "batch_tokens": -1,
        "weight_decay": -1,
        "beta2": 1.0,
        "clip": 0,
    }
    with pytest.raises(InputError) as caught:
        FAST.changed(**wrong)
    for name, value in wrong.items():
        assert name.replace("_", "-") in str(caught.value)
        assert f"not {value!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1.5), ("epochs", True), ("rows", "lines"), ("precision", "fp8"), ("layers", -1)],
)
def test_a_value_of_another_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} must be .*, not {value!r}"):
        FAST.changed(**{name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_an_invalid_learning_rate_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="learning-rate must be a number over 0 and under 1"):
        FAST.changed(learning_rate=value)


def test_changed_replaces_only_given_values() -> None:
    assert FAST.changed(epochs=None, learning_rate=None) == FAST
    assert FAST.changed(epochs=7).epochs == 7
    with pytest.raises(InputError, match="A recipe has no momentum"):
        FAST.changed(momentum=0.9)


def test_wider_bases_get_a_lower_rate_unless_it_is_explicit() -> None:
    assert FAST.for_base(512) == FAST.changed(
        learning_rate=2e-4, batch_tokens=256, enough_steps=150
    )
    gpt2 = FAST.for_base(768)
    assert (gpt2.learning_rate, gpt2.base_width) == (1.33e-4, 0)
    assert gpt2.for_base(256) == gpt2
    assert FAST.changed(learning_rate=1e-3).for_base(768).learning_rate == 1e-3
    assert FAST.changed(epochs=3).for_base(128).learning_rate == 8e-4
    assert CLASSIC.for_base(64) == CLASSIC


def test_wider_bases_get_larger_batches_unless_they_are_explicit() -> None:
    assert FAST.for_base(768).batch_tokens == 384
    assert FAST.for_base(256).batch_tokens == FAST.for_base(512).batch_tokens == 256
    assert FAST.changed(learning_rate=1e-3).for_base(768).batch_tokens == 384
    explicit = FAST.changed(batch_tokens=100).for_base(768)
    assert (explicit.batch_tokens, explicit.learning_rate) == (100, 1.33e-4)


def test_many_posts_get_one_epoch_and_few_get_two_unless_epochs_are_explicit() -> None:
    assert FAST.for_steps(150).epochs == 1
    assert FAST.for_steps(149).epochs == FAST.epochs == 2
    assert FAST.for_steps(149).for_steps(150).epochs == 2
    assert FAST.changed(epochs=2).for_steps(10_000).epochs == 2
    assert CLASSIC.for_steps(10_000) == CLASSIC
