"""The objective of a sweep and the lower bound used for pruning."""

from __future__ import annotations

import itertools
import statistics
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingtweets.errors import InputError
from huggingtweets.sweep.objective import (
    Objective,
    checked,
    judge,
    lowest_possible,
    optimistic_bounds,
)

OBJECTIVES = get_args(Objective)
BITS = st.floats(0.5, 4.0, allow_nan=False)
STEPS = 8


def test_objectives() -> None:
    values = [1.0, 2.0, 4.0, 5.0]
    assert judge("mean", values) == 3.0
    assert judge("median", values) == 3.0
    assert judge("worst", values) == 5.0
    assert judge("robust", values) == pytest.approx(3.0 + 2.5**0.5)
    assert judge("robust", [1.5]) == 1.5
    assert checked("robust") == "robust"
    with pytest.raises(
        InputError, match=r"no objective 'best'\. Choose one of robust, mean, median, worst"
    ):
        checked("best")


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(deadline=None, max_examples=60)
@given(known=st.lists(BITS, max_size=4), bounds=st.lists(BITS, max_size=3))
def test_bound_is_the_minimum_over_completions(
    objective: Objective, known: list[float], bounds: list[float]
) -> None:
    """Compare with brute force over a grid of values of the missing authors."""
    if not known and not bounds:
        return
    top = max([*known, *bounds])
    width = (top - min([*known, *bounds])) / STEPS
    grid = [
        [bound, *(bound + width * i for i in range(1, STEPS) if bound + width * i <= top)]
        for bound in bounds
    ]
    brute = min(judge(objective, [*known, *values]) for values in itertools.product(*grid))
    found = lowest_possible(objective, known, bounds)
    assert found <= brute + 1e-9
    assert (
        found >= brute - 2 * width - 1e-9
    )  # an objective changes at most twice as much as a value


@settings(deadline=None, max_examples=100)
@given(
    known=st.lists(BITS, min_size=1, max_size=6),
    missing=st.lists(st.tuples(BITS, st.floats(0, 2)), max_size=6),
    objective=st.sampled_from(OBJECTIVES),
)
def test_no_completion_is_under_the_bound(
    known: list[float], missing: list[tuple[float, float]], objective: Objective
) -> None:
    bounds = [bound for bound, _ in missing]
    came = [bound + over for bound, over in missing]
    assert lowest_possible(objective, known, bounds) <= judge(objective, [*known, *came]) + 1e-9


@settings(deadline=None, max_examples=100)
@given(
    table=st.lists(st.lists(BITS, min_size=4, max_size=4), min_size=2, max_size=12),
    objective=st.sampled_from(OBJECTIVES),
)
def test_pruned_trials_could_not_win(table: list[list[float]], objective: Objective) -> None:
    """Replay recorded values: a pruned trial had no better result, or beat the margin."""
    margin = 0.02
    best = judge(objective, table[0])
    seen = {str(author): [value] for author, value in enumerate(table[0])}
    for values in table[1:]:
        missing = list(seen)
        for author in list(seen):
            done = len(values) - len(missing)
            bounds = optimistic_bounds(missing, seen, margin)
            assert bounds is not None
            beaten = done and lowest_possible(objective, values[:done], bounds) > best
            came = values[done:]
            if beaten and all(v >= bound for v, bound in zip(came, bounds, strict=True)):
                assert judge(objective, values) > best
            if beaten:
                break
            seen[author].append(values[int(author)])
            missing.remove(author)
        else:
            best = min(best, judge(objective, values))


def test_bounds_need_a_value_of_each_author() -> None:
    seen = {"ann": [2.0, 1.0], "bob": []}
    assert optimistic_bounds(["ann"], seen, 0.1) == [0.9]
    assert optimistic_bounds(["ann", "bob"], seen, 0.1) is None
    assert optimistic_bounds(["cleo"], seen, 0.1) is None
    assert optimistic_bounds([], seen, 0.1) == []


def test_easy_author_can_raise_robust() -> None:
    """Show why the bound isn't simply the objective of the bounds."""
    values = [2.0, 2.0, 2.0]
    assert judge("robust", [*values, 1.0]) > judge("robust", [*values, 1.9])
    lowest = lowest_possible("robust", values, [1.0])
    assert lowest < judge("robust", [*values, 1.0])
    assert lowest > statistics.fmean([*values, 1.0])
