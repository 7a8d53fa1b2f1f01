"""Number and order of measurements: both sides alternately, each in a new process."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.speed_process import ROOT, Task, TaskResult, busy_cores
from benchmarks.speed_results import Result

if TYPE_CHECKING:
    from pathlib import Path

Start = Callable[[str, Task, int | None], TaskResult]
Number = Callable[[TaskResult], float]
Job = tuple[str, Task]
"""A measuring module and its task."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the measurements. Each process adds one warm-up round to its rounds.

    Attributes:
        tokens: tokens to train on with a CPU; sixteen blocks of the original recipe.
        gpu_tokens: tokens to train on with a GPU.
        posts: posts to generate per round.
        post_tokens: maximum tokens per generated post.
        rounds: rounds of generation per process.
        first_rounds: rounds of the first-token benchmark per process.
        startup_rounds: starts of each command per repetition.
        curation_posts: posts to curate.
        compare_posts: posts of each side in the comparison of distributions.
        matmul: size of the smaller matrix in the hardware benchmark.
        tiny: whether a model of two small layers replaces GPT-2 small and the embedded base.
        first_posts: posts of an author in the loss benchmark; None for all.
    """

    tokens: int = 16_384
    gpu_tokens: int = 100_000
    posts: int = 10
    post_tokens: int = 60
    rounds: int = 5
    first_rounds: int = 20
    startup_rounds: int = 10
    curation_posts: int = 1_000_000
    compare_posts: int = 512
    matmul: int = 1024
    tiny: bool = False
    first_posts: int | None = None


QUICK = Sizes(1_500, 1_500, 3, 12, 2, 3, 1, 2_000, 24, 128, tiny=True, first_posts=120)


class PreparationError(Exception):
    """The input of some rows could not be prepared."""

    def row(self, name: str) -> Result:
        """Return a row that says why it has no number."""
        return not_run(name, str(self))


@dataclass(frozen=True)
class Plan:
    """Settings shared by all families of rows.

    Attributes:
        start: runs one task, see :func:`benchmarks.speed_process.run`.
        repeats: processes of each side.
        cores: CPU cores for each process.
        sizes: sizes of the measurements.
        prepared: base models and machine, from :mod:`benchmarks.speed_prepare`.
        folder: temporary folder.
        sources: files of posts, one per author.
        seconds: time limit of a peer's training of GPT-2; None for no limit.
        earlier: rows measured before, with the same settings on the same machine.
        save: saves incomplete rows, so that an interruption loses no measurement.
    """

    start: Start
    repeats: int
    cores: int
    sizes: Sizes
    prepared: TaskResult
    folder: Path
    sources: list[Path]
    seconds: float | None = None
    earlier: Sequence[Result] = ()
    save: Callable[[Sequence[Result]], None] = lambda _: None

    def run(self, module: str, task: Task) -> TaskResult:
        """Run a task that isn't repeated."""
        return self.start(module, task, self.cores)

    def require(self, module: str, task: Task) -> None:
        """Run a task that prepares the input of rows.

        Raises:
            PreparationError: the task failed.
        """
        if why := why_not(self.run(module, task)):
            raise PreparationError(why)


@dataclass
class Runs:
    """Results of repeated jobs by name, and the cores that other processes kept busy."""

    answers: dict[str, list[TaskResult]] = field(default_factory=dict)
    busy: float | None = None

    def why_not(self, name: str) -> str:
        """Return why a job has no numbers, or an empty string."""
        answers = self.answers.get(name, [])
        return next((why for answer in answers if (why := why_not(answer))), "")

    def median(self, name: str, number: Number) -> float:
        """Return the median of a number over the repetitions of a job."""
        return statistics.median(number(answer) for answer in self.answers[name])


def why_not(answer: TaskResult) -> str:
    """Return why a process gave no numbers, or an empty string."""
    if "missing" in answer:
        return f"not run: needs the package {answer['missing']} (`pip install -e '.[bench]'`)"
    return f"not run: {answer['failed']}" if "failed" in answer else ""


def run_alternately(plan: Plan, jobs: Mapping[str, Job]) -> Runs:
    """Run each job once, then each job again, and so on; don't repeat a job that failed."""
    runs = Runs({name: [] for name in jobs})
    for number in range(1, plan.repeats + 1):
        for name, (module, task) in jobs.items():
            if runs.why_not(name):
                continue
            print(f"  {name}, {number} of {plan.repeats}", file=sys.stderr, flush=True)
            others = busy_cores()
            if others is not None:
                runs.busy = max(others, runs.busy or 0.0)
            runs.answers[name].append(plan.start(module, task, plan.cores))
    return runs


def compare(
    name: str,
    runs: Runs,
    sides: tuple[str, str],
    number: Number,
    value: Callable[[float, float], float],
) -> Result:
    """Return a row with the medians of both sides and their comparison."""
    ours, theirs = sides
    row = Result(
        name, runs={side: runs.answers[side] for side in sides}, sides=sides, busy=runs.busy
    )
    if why := runs.why_not(ours) or runs.why_not(theirs):
        row.why_not = why
        return stamp(row)
    row.ours, row.theirs = runs.median(ours, number), runs.median(theirs, number)
    row.value = value(row.ours, row.theirs)
    return stamp(row)


def ratio(ours: float, theirs: float) -> float:
    """Return the ratio of two rates."""
    return ours / theirs


def speedup(ours: float, theirs: float) -> float:
    """Return the speed-up of two durations."""
    return theirs / ours


def stamp(row: Result) -> Result:
    """Set the row's date and commit, and return it."""
    row.date = datetime.now(UTC).isoformat(timespec="seconds")
    row.commit = commit()
    return row


def not_run(name: str, why: str) -> Result:
    """Return a row without numbers."""
    return stamp(Result(name, why_not=why))


def commit() -> str:
    """Return the current commit, with ``+`` if tracked files have changed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510 - there may be no repository
        return done.stdout.strip()

    try:
        head, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "-uno")
    except OSError:
        return "unknown"
    return (head + "+" if changed else head) or "unknown"
