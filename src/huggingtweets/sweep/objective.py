"""How good a recipe is over several authors, and how good one could still become.

Every author's value is held-out bits per byte, lower is better. The original judged a set of
hyper-parameters by mean plus one standard deviation over 15 handles (HuggingTweets report, Dayma
2020), so that a recipe can't win by a few easy authors: ``robust`` here.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Literal

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Objective = Literal["robust", "mean", "median", "worst"]


def robust(values: Sequence[float]) -> float:
    """Mean plus one standard deviation, that of the authors at hand (divided by n)."""
    return statistics.fmean(values) + statistics.pstdev(values)


_OBJECTIVES: tuple[Objective, ...] = ("robust", "mean", "median", "worst")
_FUNCTIONS: dict[Objective, Callable[[Sequence[float]], float]] = {
    "robust": robust,
    "mean": statistics.fmean,
    "median": statistics.median,
    "worst": max,
}


def checked(name: str) -> Objective:
    """The objective of that name.

    Raises:
        InputError: there is none.
    """
    for known in _OBJECTIVES:
        if name == known:
            return known
    raise InputError(f"There is no objective {name!r}; choose {', '.join(_OBJECTIVES)}.")


def judge(objective: Objective, values: Sequence[float]) -> float:
    """The objective of all authors' bits per byte."""
    return _FUNCTIONS[objective](values)


def lowest_possible(
    objective: Objective,
    known: Sequence[float],
    bounds: Sequence[float],
) -> float:
    """What the objective is at least, whatever the missing authors come out at.

    Args:
        objective: which.
        known: values of the authors that are done.
        bounds: for each missing author a value that it won't go below.
    """
    if objective != "robust":  # never falls when a value rises
        return judge(objective, [*known, *bounds])
    return robust([*known, *_least_robust(known, bounds)])


def _least_robust(known: Sequence[float], bounds: Sequence[float]) -> list[float]:
    """The values, none under its bound, that make mean plus standard deviation smallest.

    A higher value isn't always worse: an author far below the others spreads them. The slope in
    one value v is (1 + (v - mean) / deviation) / n, negative under mean - deviation, so the
    smallest sum has each missing author at its bound, or at one common level t = mean - deviation
    where that is higher. The sum is convex, hence any such t will do; it is found by bisection.
    """
    if not bounds:
        return []
    low, high = min(bounds), max([*known, *bounds])

    def raised(level: float) -> list[float]:
        return [max(bound, level) for bound in bounds]

    def over(level: float) -> bool:
        values = [*known, *raised(level)]
        return level >= statistics.fmean(values) - statistics.pstdev(values)

    if over(low):
        return list(bounds)
    for _ in range(60):  # halvings: to the last digit of a float
        middle = (low + high) / 2
        low, high = (low, middle) if over(middle) else (middle, high)
    return raised(high)


def optimistic_bounds(
    missing: Sequence[str], seen: Mapping[str, Sequence[float]], margin: float
) -> list[float] | None:
    """For each missing author its best value so far less a margin; None where one has no value.

    Args:
        missing: authors that a trial hasn't come to.
        seen: values of each author in any trial.
        margin: share by which this trial might beat that best.
    """
    if not all(seen.get(author) for author in missing):
        return None
    return [min(seen[author]) * (1 - margin) for author in missing]
