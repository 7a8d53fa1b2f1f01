"""Speed of generating with GPT-2 small: a batch of posts, the first token, the distribution."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Plan, Runs, compared, in_turn, times_more, why_not

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer
    from benchmarks.speed_results import Result

PROMPT = "My dream is"
NAMES = ("ours", "generate")
_SAME = 1e-3
"""Chances under which two samples are taken for those of different distributions."""


def posts(plan: Plan) -> list[Result]:
    """The row of the family ``generation``."""
    sizes = plan.sizes
    task = {"base": plan.prepared["writer"], "device": "cpu"}
    task |= {"posts": sizes.posts, "tokens": sizes.post_tokens, "rounds": sizes.rounds}
    runs = in_turn(plan, _both("generate", task))

    def rate(answer: Answer) -> float:
        return sizes.posts * sizes.post_tokens / float(statistics.median(answer["seconds"]))

    row = compared("generation", runs, NAMES, rate, times_more)
    if not row.why_not:
        row.notes.append(_first_round(runs))
        _check_distribution(plan, row)
    return [row]


def first_token(plan: Plan) -> list[Result]:
    """The row of the family ``first-token``."""
    task = {"base": plan.prepared["writer"], "device": "cpu"}
    task |= {"prompt": PROMPT, "rounds": plan.sizes.first_rounds}
    runs = in_turn(plan, _both("first_token", task))

    def milliseconds(answer: Answer) -> float:
        return 1e3 * float(statistics.median(answer["seconds"]))

    row = compared("first-token", runs, NAMES, milliseconds, times_more)
    if not row.why_not:
        row.notes.append(_first_round(runs))
    return [row]


def _both(module: str, task: dict[str, object]) -> dict[str, tuple[str, dict[str, object]]]:
    return {
        "ours": (f"benchmarks.ours.{module}", task),
        "generate": (f"benchmarks.peers.{module}", task),
    }


def _first_round(runs: Runs) -> str:
    told = [f"{name} {runs.median(name, lambda a: a['warm_up_seconds']):.2g}" for name in NAMES]
    return f"seconds of the first round, which is not counted: {', '.join(told)}"


def _check_distribution(plan: Plan, row: Result) -> None:
    """Fast posts must be the posts that the model would have written."""
    asked = {"base": plan.prepared["pocket"], "posts": plan.sizes.compare_posts}
    found = plan.once("benchmarks.speed_distribution", asked | {"tokens": plan.sizes.post_tokens})
    if why := why_not(found):
        row.holds = False
        row.notes.append(f"whether the distribution is the same was {why}")
        return
    chances = [found["first_words"], found["lengths"]]
    row.holds = min(chances) >= _SAME
    row.notes.append(
        f"{'the same' if row.holds else '**not the same**'} distribution: {found['posts']} posts "
        f"of each from the embedded base, first words p = {chances[0]:.2g} (chi-square), lengths "
        f"p = {chances[1]:.2g} (Kolmogorov-Smirnov)"
    )
