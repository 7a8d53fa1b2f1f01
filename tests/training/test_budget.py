from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts

from huggingtweets.data import batching
from huggingtweets.nn import language_model
from huggingtweets.training import RECIPES, budget
from huggingtweets.training.budget import Rates, Work, measure, plan

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice

RECIPE = RECIPES["fast"].for_base(512)
WORK = Work(depth=30, sizes=[[30] * 2000], held_out=6000)
FAST = Rates(training=1 / 2000, reading=1 / 10_000)
MIDDLE = Rates(training=1 / 250, reading=1 / 1000)
SLOW = Rates(training=1 / 60, reading=1 / 300)


def test_a_fast_machine_trains_all_layers_on_all_posts() -> None:
    made = plan(RECIPE, FAST, WORK, 300)
    assert (made.recipe.layers, made.recipe.epochs, made.posts) == (0, 1, None)
    assert made.seconds < 300
    assert "all layers on all 2,000 posts, once" in made.message
    assert "--minutes" not in made.message


def test_a_slower_one_takes_the_newest_posts_and_says_what_more_minutes_add() -> None:
    made = plan(RECIPE, MIDDLE, WORK, 240)
    assert made.recipe.layers == 0
    assert made.posts is not None
    assert 250 < made.posts < 2000
    assert made.seconds <= 240
    assert f"the newest {made.posts:,} of 2,000 posts" in made.message
    assert "--minutes 6 would train all layers on all posts" in made.message
    assert plan(RECIPE, MIDDLE, WORK, 6 * 60).posts is None


def test_a_slow_one_trains_the_top_layers() -> None:
    made = plan(RECIPE, SLOW, WORK, 470)
    assert made.recipe.layers == 10
    assert made.posts is not None
    assert made.posts * 30 >= budget.ENOUGH_TOKENS
    assert "the top 10 layers" in made.message
    assert made.recipe.learning_rate == 2.25 * RECIPE.learning_rate
    kept = plan(RECIPE, SLOW, WORK, 470, free_rate=False)
    assert kept.recipe.learning_rate == RECIPE.learning_rate


def test_there_is_a_least_that_is_trained_on_and_it_is_told() -> None:
    made = plan(RECIPE, SLOW, WORK, 1)
    assert made.posts == budget.FEWEST_POSTS
    assert "that is the least, and more than the 1 s left" in made.message


def test_explicit_layers_and_epochs_stay() -> None:
    chosen = RECIPE.changed(layers=3, epochs=7)
    made = plan(chosen, FAST, WORK, 1000)
    assert (made.recipe.layers, made.recipe.epochs) == (3, 7)


def test_few_posts_are_read_twice_and_authors_count_alike() -> None:
    few = replace(WORK, sizes=[[30] * 300])
    assert plan(RECIPE, FAST, few, 300).recipe.epochs == 2
    two = replace(WORK, sizes=[[30] * 300, [30] * 2000])
    assert two.tokens(None) == 2 * 30 * 2000
    assert two.tokens(100) == 2 * 30 * 100


def test_a_base_of_two_layers_has_no_third_of_them() -> None:
    made = plan(RECIPE, SLOW, replace(WORK, depth=2), 60)
    assert made.recipe.layers == 0


def test_rates_are_measured_on_real_steps(tiny_base: Path, cpu: ComputeDevice) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(made_up_posts(40)), lm.separator, lm.context)
    rates = measure(lm, cpu, RECIPE, rows)
    assert 0 < rates.reading <= rates.training < 1
    assert budget.depth_of(lm) == 2


@pytest.mark.parametrize("posts", [1, 3])
def test_hardly_any_posts_can_be_measured(tiny_base: Path, cpu: ComputeDevice, posts: int) -> None:
    lm = language_model.load(tiny_base)
    rows = batching.make_rows(lm.encode_all(made_up_posts(posts)), lm.separator, lm.context)
    assert measure(lm, cpu, RECIPE, rows).training > 0
