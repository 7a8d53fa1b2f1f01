from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts

from huggingtweets.data import batching
from huggingtweets.nn import language_model
from huggingtweets.training import RECIPES, budget
from huggingtweets.training.budget import Rates, Work, measure, plan

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.training.recipe import LayerChoice

RECIPE = RECIPES["fast"].for_base(512)
WORK = Work(depth=30, sizes=[[30] * 2000], held_out=6000)
FAST = Rates(training=1 / 2000, reading=1 / 10_000)
MIDDLE = Rates(training=1 / 250, reading=1 / 1000)
SLOW = Rates(training=1 / 60, reading=1 / 300)


def test_a_fast_machine_trains_all_layers_on_all_posts() -> None:
    chosen = plan(RECIPE, FAST, WORK, 300)
    assert (chosen.recipe.layers, chosen.recipe.epochs, chosen.posts) == (0, 1, None)
    assert chosen.seconds < 300
    assert "all layers on all 2,000 posts, once" in chosen.message
    assert "--minutes" not in chosen.message


def test_a_slower_machine_trains_the_newest_posts_and_names_the_minutes_for_all() -> None:
    chosen = plan(RECIPE, MIDDLE, WORK, 240)
    assert chosen.recipe.layers == 0
    assert chosen.posts is not None
    assert 250 < chosen.posts < 2000
    assert chosen.seconds <= 240
    assert f"the newest {chosen.posts:,} of 2,000 posts" in chosen.message
    assert "--minutes 6 would train all layers on all posts" in chosen.message
    assert plan(RECIPE, MIDDLE, WORK, 6 * 60).posts is None


def test_the_mlps_read_more_of_the_newest_posts_than_all_weights_in_the_same_time() -> None:
    with_mlp = replace(WORK, has_mlp=True)
    chosen, without = plan(RECIPE, MIDDLE, with_mlp, 240), plan(RECIPE, MIDDLE, WORK, 240)
    assert (chosen.recipe.layers, chosen.recipe.epochs) == ("mlp", 1)
    assert chosen.posts is not None
    assert without.posts is not None
    assert chosen.posts == pytest.approx(1.25 * without.posts, rel=0.01)
    assert chosen.seconds <= 240
    assert f"the MLPs of all layers on the newest {chosen.posts:,} of 2,000 posts" in chosen.message
    assert chosen.message.endswith("; --minutes 6 would train all layers on all posts")
    assert chosen.recipe.learning_rate == pytest.approx(1.69 * RECIPE.learning_rate)
    fixed_rate = plan(RECIPE, MIDDLE, with_mlp, 240, free_rate=False)
    assert fixed_rate.recipe.learning_rate == RECIPE.learning_rate


def test_all_weights_on_all_posts_and_lora_come_before_the_mlps() -> None:
    with_mlp = replace(WORK, has_mlp=True)
    assert plan(RECIPE, MIDDLE, with_mlp, 6 * 60).recipe.layers == 0
    assert plan(RECIPE.as_lora(16), MIDDLE, with_mlp, 200).recipe.layers == 0
    assert plan(RECIPE, SLOW, with_mlp, 420).recipe.layers == 10


def test_a_slow_machine_trains_the_top_layers_at_a_higher_rate() -> None:
    chosen = plan(RECIPE, SLOW, WORK, 470)
    assert chosen.recipe.layers == 10
    assert chosen.posts is not None
    assert chosen.posts * 30 >= budget.MIN_TOKENS
    assert "the top 10 layers" in chosen.message
    assert chosen.recipe.learning_rate == 2.25 * RECIPE.learning_rate
    fixed_rate = plan(RECIPE, SLOW, WORK, 470, free_rate=False)
    assert fixed_rate.recipe.learning_rate == RECIPE.learning_rate


def test_a_limit_below_the_minimum_is_exceeded_and_reported() -> None:
    chosen = plan(RECIPE, SLOW, WORK, 1)
    assert chosen.posts == budget.MIN_POSTS
    assert "this is the minimum and exceeds the 1 s left" in chosen.message


def test_explicit_layers_and_epochs_are_not_changed() -> None:
    recipe = RECIPE.changed(layers=3, epochs=7)
    chosen = plan(recipe, FAST, WORK, 1000)
    assert (chosen.recipe.layers, chosen.recipe.epochs) == (3, 7)


def test_a_part_of_the_layers_costs_less_than_all() -> None:
    def seconds(layers: int | str, **changes: object) -> float:
        return plan(RECIPE.changed(layers=layers, **changes), FAST, WORK, 1000).seconds

    everything = seconds(0)
    order = [seconds(layers) for layers in ("embeddings", "attention", "mlp")]
    assert order == sorted(order)
    assert order[-1] < everything
    assert seconds(10) < seconds("middle:10") < seconds("bottom:10") < everything
    assert seconds("bottom:30") == everything
    chosen = plan(RECIPE.changed(layers="middle:10"), FAST, WORK, 1000)
    assert "the middle 10 layers on all 2,000 posts" in chosen.message
    assert chosen.recipe.learning_rate == RECIPE.learning_rate
    assert seconds(0, augment="noise") == everything
    assert seconds(10, augment="noise") > seconds(10)
    assert seconds(0, augment="adversarial") > 1.5 * everything
    assert seconds(0, augment="paraphrase") > seconds(0, augment="adversarial")


def test_few_posts_get_two_epochs_and_authors_count_equally() -> None:
    few = replace(WORK, sizes=[[30] * 300])
    assert plan(RECIPE, FAST, few, 300).recipe.epochs == 2
    two = replace(WORK, sizes=[[30] * 300, [30] * 2000])
    assert two.tokens(None) == 2 * 30 * 2000
    assert two.tokens(100) == 2 * 30 * 100


def test_a_second_epoch_gives_way_to_more_posts() -> None:
    few = replace(WORK, sizes=[[30] * 1200])
    twice, once, newest = (plan(RECIPE, MIDDLE, few, minutes * 60) for minutes in (7, 5, 3))
    assert (twice.recipe.epochs, twice.posts) == (2, None)
    assert "all layers on all 1,200 posts, twice, about 6.1 min" in twice.message
    assert (once.recipe.epochs, once.posts) == (1, None)
    assert "all layers on all 1,200 posts, once, about 3.7 min" in once.message
    assert once.message.endswith("; --minutes 7 would train on them twice")
    assert newest.posts is not None
    assert newest.recipe.epochs == 1
    assert newest.message.endswith("; --minutes 5 would train all layers on all posts")
    assert plan(RECIPE.changed(epochs=2), MIDDLE, few, 5 * 60).posts is not None


def test_fewer_posts_than_the_minimum_fit_the_time_too() -> None:
    few = replace(WORK, sizes=[[30] * 200])
    plans = [plan(RECIPE, SLOW, few, minutes * 60) for minutes in (9, 7, 5, 1)]
    assert all(chosen.posts is None for chosen in plans)
    assert all(chosen.seconds < 60 * m for chosen, m in zip(plans, (9, 7, 5), strict=False))
    assert [(p.recipe.layers, p.recipe.epochs) for p in plans] == [(0, 2), (0, 1), (10, 1), (5, 2)]
    assert "this is the minimum" in plans[-1].message


def test_a_base_of_two_layers_trains_all_layers() -> None:
    chosen = plan(RECIPE, SLOW, replace(WORK, depth=2), 60)
    assert chosen.recipe.layers == 0


def test_rates_are_measured_on_real_steps(tiny_base: Path, cpu: ComputeDevice) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(made_up_posts(40)), lm.separator, lm.context)
    rates = measure(lm, cpu, RECIPE, rows)
    assert 0 < rates.reading <= rates.training < 1
    assert budget.depth_of(lm) == 2


def test_steps_of_the_mlps_give_the_cost_of_all_weights(
    tiny_base: Path, cpu: ComputeDevice
) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(made_up_posts(40)), lm.separator, lm.context)
    rates = measure(lm, cpu, RECIPE, rows, "mlp")
    assert rates.mlp is not None
    assert rates.training == pytest.approx(rates.mlp / 0.8)
    assert all(weight.requires_grad for weight in lm.model.parameters())


@pytest.mark.parametrize(("seconds", "timed"), [(240, ["mlp"]), (3600, ["mlp", 0])])
def test_all_weights_are_timed_only_where_they_could_read_all_posts(
    tiny_base: Path,
    cpu: ComputeDevice,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    timed: list[LayerChoice],
) -> None:
    calls: list[LayerChoice] = []

    def rates(*arguments: object) -> Rates:
        mlp = arguments[4:] == ("mlp",)
        calls.append("mlp" if mlp else 0)
        return Rates(1 / 80, 1 / 300, mlp=1 / 100) if mlp else Rates(1 / 70, 1 / 300)

    monkeypatch.setattr(budget, "measure", rates)
    texts = made_up_posts(2_000)
    kept = pl.DataFrame({"author": "ada", "text": texts, "split": "train"}).with_columns(
        split=pl.when(pl.int_range(pl.len()) >= 1_800).then(pl.lit("held_out")).otherwise("split")
    )
    lm = language_model.load(tiny_base)
    chosen = budget.plan_run(lm, kept, RECIPE, cpu, seconds, free_rate=True)
    assert calls == timed
    assert chosen.recipe.layers == timed[-1]
    assert (chosen.posts is None) == (timed[-1] == 0)


def test_measured_steps_of_the_mlps_count_and_not_the_usual_share() -> None:
    with_mlp = replace(WORK, has_mlp=True)
    cheaper = plan(RECIPE, replace(MIDDLE, mlp=1 / 400), with_mlp, 240)
    usual = plan(RECIPE, MIDDLE, with_mlp, 240)
    assert cheaper.posts is not None
    assert usual.posts is not None
    assert cheaper.posts == pytest.approx(usual.posts * 0.8 * 400 / 250, rel=0.01)


@pytest.mark.parametrize("posts", [1, 3])
def test_rates_can_be_measured_on_very_few_posts(
    tiny_base: Path, cpu: ComputeDevice, posts: int
) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(made_up_posts(posts)), lm.separator, lm.context)
    assert measure(lm, cpu, RECIPE, rows).training > 0
