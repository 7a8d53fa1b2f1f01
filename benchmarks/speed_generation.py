"""Speed of generating with GPT-2 small: a batch of posts, the first token, the distribution."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Plan, Runs, compare, ratio, run_alternately, why_not

if TYPE_CHECKING:
    from benchmarks.speed_process import TaskResult
    from benchmarks.speed_results import Result

PROMPT = "My dream is"
NAMES = ("ours", "generate")
_SIGNIFICANCE = 1e-3
"""Smaller p-values mean that the two distributions differ."""


def posts(plan: Plan) -> list[Result]:
    """Measure the row of the family ``generation``."""
    sizes = plan.sizes
    task = {"base": plan.prepared["writer"], "device": "cpu"}
    task |= {"posts": sizes.posts, "tokens": sizes.post_tokens, "rounds": sizes.rounds}
    runs = run_alternately(plan, _sides("generate", task))

    def rate(answer: TaskResult) -> float:
        return sizes.posts * sizes.post_tokens / float(statistics.median(answer["seconds"]))

    row = compare("generation", runs, NAMES, rate, ratio)
    if not row.why_not:
        row.notes.append(_first_round(runs))
        _check_distribution(plan, row)
    return [row]


def first_token(plan: Plan) -> list[Result]:
    """Measure the row of the family ``first-token``."""
    task = {"base": plan.prepared["writer"], "device": "cpu"}
    task |= {"prompt": PROMPT, "rounds": plan.sizes.first_rounds}
    runs = run_alternately(plan, _sides("first_token", task))

    def milliseconds(answer: TaskResult) -> float:
        return 1e3 * float(statistics.median(answer["seconds"]))

    row = compare("first-token", runs, NAMES, milliseconds, ratio)
    if not row.why_not:
        row.notes.append(_first_round(runs))
    return [row]


def _sides(module: str, task: dict[str, object]) -> dict[str, tuple[str, dict[str, object]]]:
    return {
        "ours": (f"benchmarks.ours.{module}", task),
        "generate": (f"benchmarks.peers.{module}", task),
    }


def _first_round(runs: Runs) -> str:
    seconds = [f"{name} {runs.median(name, lambda a: a['warm_up_seconds']):.2g}" for name in NAMES]
    return f"seconds of the first round, which is not counted: {', '.join(seconds)}"


def _check_distribution(plan: Plan, row: Result) -> None:
    """Check that our faster sampling keeps the model's distribution; add a note."""
    task = {"base": plan.prepared["pocket"], "posts": plan.sizes.compare_posts}
    result = plan.run("benchmarks.speed_distribution", task | {"tokens": plan.sizes.post_tokens})
    if why := why_not(result):
        row.holds = False
        row.notes.append(f"distribution test {why}")
        return
    p_values = [result["first_words"], result["lengths"]]
    row.holds = min(p_values) >= _SIGNIFICANCE
    row.notes.append(
        f"{'the same' if row.holds else '**not the same**'} distribution: {result['posts']} posts "
        f"of each from the embedded base, first words p = {p_values[0]:.2g} (chi-square), lengths "
        f"p = {p_values[1]:.2g} (Kolmogorov-Smirnov)"
    )
