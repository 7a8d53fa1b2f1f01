"""The objective of a recipe over several authors, and its lower bound for pruning.

Each author's value is held-out bits per byte; lower is better. The original used the mean plus one
standard deviation over 15 handles (HuggingTweets report, Dayma 2020), so that a few easy authors
don't decide; here it is called ``robust``.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Literal

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Objective = Literal["robust", "mean", "median", "worst"]


def robust(values: Sequence[float]) -> float:
    """Return the mean plus one population standard deviation."""
    return statistics.fmean(values) + statistics.pstdev(values)


_OBJECTIVES: tuple[Objective, ...] = ("robust", "mean", "median", "worst")
_FUNCTIONS: dict[Objective, Callable[[Sequence[float]], float]] = {
    "robust": robust,
    "mean": statistics.fmean,
    "median": statistics.median,
    "worst": max,
}


def checked(name: str) -> Objective:
    """Return the name if it is an objective.

    Raises:
        InputError: there is no such objective.
    """
    for objective in _OBJECTIVES:
        if name == objective:
            return objective
    raise InputError(f"There is no objective {name!r}. Choose one of {', '.join(_OBJECTIVES)}.")


def judge(objective: Objective, values: Sequence[float]) -> float:
    """Compute the objective of all authors' bits per byte."""
    return _FUNCTIONS[objective](values)


def lowest_possible(
    objective: Objective,
    known: Sequence[float],
    bounds: Sequence[float],
) -> float:
    """Return a lower bound of the objective, over all values of the missing authors.

    Args:
        objective: name of the objective.
        known: values of the finished authors.
        bounds: lower bound of each missing author's value.
    """
    if objective != "robust":  # the others are monotonic in each value
        return judge(objective, [*known, *bounds])
    return robust([*known, *_least_robust(known, bounds)])


def _least_robust(known: Sequence[float], bounds: Sequence[float]) -> list[float]:
    """Return the values at or over their bounds that minimise mean plus standard deviation.

    A higher value isn't always worse, because an author far below the others raises the deviation.
    The derivative in one value v is (1 + (v - mean) / deviation) / n, negative under
    mean - deviation. So at the minimum each missing author is at its bound, or at one common level
    t = mean - deviation if that is higher. The sum is convex, so any such t is the minimum; it is
    found by bisection.
    """
    if not bounds:
        return []
    low, high = min(bounds), max([*known, *bounds])

    def raised_to(level: float) -> list[float]:
        return [max(bound, level) for bound in bounds]

    def is_too_high(level: float) -> bool:
        values = [*known, *raised_to(level)]
        return level >= statistics.fmean(values) - statistics.pstdev(values)

    if is_too_high(low):
        return list(bounds)
    for _ in range(60):  # to float precision
        middle = (low + high) / 2
        low, high = (low, middle) if is_too_high(middle) else (middle, high)
    return raised_to(high)


def optimistic_bounds(
    missing: Sequence[str], seen: Mapping[str, Sequence[float]], margin: float
) -> list[float] | None:
    """Return each missing author's best value less a margin; None if one has no value yet.

    Args:
        missing: authors that the trial hasn't evaluated.
        seen: values of each author in all trials.
        margin: share by which the trial might beat the best value.
    """
    if not all(seen.get(author) for author in missing):
        return None
    return [min(seen[author]) * (1 - margin) for author in missing]
