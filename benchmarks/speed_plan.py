"""Number and order of measurements: us and the peer alternately, each in a new process."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.speed_process import ROOT, Answer, Task, busy_cores
from benchmarks.speed_results import Result

if TYPE_CHECKING:
    from pathlib import Path

Start = Callable[[str, Task, int | None], Answer]
Number = Callable[[Answer], float]
Thing = tuple[str, Task]
"""A module that measures, and what it is asked."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        tokens: that are trained on, on a CPU; sixteen blocks of the original recipe.
        gpu_tokens: on a GPU.
        posts: to generate.
        post_tokens: in each of them at most.
        rounds: that ten posts are generated in each process, after one to warm up.
        first_rounds: that a first token is waited for, likewise.
        startup_rounds: that a command is started, likewise.
        curation_posts: to curate.
        compare_posts: of each side whose distributions are compared.
        matmul: side of the smaller matrix of the hardware's rate.
        tiny: whether a model of two small layers stands for GPT-2 small and the embedded base.
        first_posts: of an author that a loss is measured on, None for all.
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


class Failed(Exception):  # noqa: N818 - it is told in the table, not to a caller
    """What rows are made from could not be prepared."""

    def row(self, name: str) -> Result:
        """A row that says so."""
        return not_run(name, str(self))


@dataclass(frozen=True)
class Plan:
    """What every family of rows is measured by.

    Attributes:
        start: measures one thing, see :func:`benchmarks.speed_process.run`.
        repeats: processes of each side.
        cores: that each may use.
        sizes: how much.
        prepared: base models and machine, as :mod:`benchmarks.speed_prepare` tells them.
        folder: for files that are gone afterwards.
        sources: of posts, one an author.
        seconds: after which a peer's training of GPT-2 is cut off, None for never.
        earlier: rows that were measured before, with the same settings on the same machine.
        keep: writes rows that are not all there yet, so that what they took hours for lasts.
    """

    start: Start
    repeats: int
    cores: int
    sizes: Sizes
    prepared: Answer
    folder: Path
    sources: list[Path]
    seconds: float | None = None
    earlier: Sequence[Result] = ()
    keep: Callable[[Sequence[Result]], None] = lambda _: None

    def once(self, module: str, task: Task) -> Answer:
        """One process of something that isn't timed."""
        return self.start(module, task, self.cores)

    def needed(self, module: str, task: Task) -> None:
        """One process of something that rows can't do without.

        Raises:
            Failed: it gave nothing.
        """
        if why := why_not(self.once(module, task)):
            raise Failed(why)


@dataclass
class Runs:
    """Repetitions of several things, and how busy others kept the machine meanwhile."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    busy: float | None = None

    def why_not(self, name: str) -> str:
        """Why there are no numbers of a thing, or empty."""
        answers = self.answers.get(name, [])
        return next((why for answer in answers if (why := why_not(answer))), "")

    def median(self, name: str, number: Number) -> float:
        """The median of a number over the repetitions of a thing."""
        return statistics.median(number(answer) for answer in self.answers[name])


def why_not(answer: Answer) -> str:
    """Why a process gave no numbers, or empty."""
    if "missing" in answer:
        return f"not run: needs the package {answer['missing']} (`pip install -e '.[bench]'`)"
    return f"not run: {answer['failed']}" if "failed" in answer else ""


def in_turn(plan: Plan, things: Mapping[str, Thing]) -> Runs:
    """Measure every thing once, then every thing again; one that failed is left at that."""
    runs = Runs({name: [] for name in things})
    for number in range(1, plan.repeats + 1):
        for name, (module, task) in things.items():
            if runs.why_not(name):
                continue
            said = f"  {name}, {number} of {plan.repeats}"
            print(said, file=sys.stderr, flush=True)
            others = busy_cores()
            if others is not None:
                runs.busy = max(others, runs.busy or 0.0)
            runs.answers[name].append(plan.start(module, task, plan.cores))
    return runs


def compared(
    name: str,
    runs: Runs,
    sides: tuple[str, str],
    number: Number,
    value: Callable[[float, float], float],
) -> Result:
    """A row from the medians of both sides."""
    ours, theirs = sides
    found = Result(
        name, runs={side: runs.answers[side] for side in sides}, sides=sides, busy=runs.busy
    )
    if why := runs.why_not(ours) or runs.why_not(theirs):
        found.why_not = why
        return stamped(found)
    found.ours, found.theirs = runs.median(ours, number), runs.median(theirs, number)
    found.value = value(found.ours, found.theirs)
    return stamped(found)


def times_more(ours: float, theirs: float) -> float:
    """For rates."""
    return ours / theirs


def times_sooner(ours: float, theirs: float) -> float:
    """For seconds."""
    return theirs / ours


def stamped(found: Result) -> Result:
    """The same with date and commit."""
    found.date = datetime.now(UTC).isoformat(timespec="seconds")
    found.commit = commit()
    return found


def not_run(name: str, why: str) -> Result:
    """A row without numbers."""
    return stamped(Result(name, why_not=why))


def commit() -> str:
    """The commit checked out, with a plus where tracked files were changed since."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510 - no repository, no commit
        return done.stdout.strip()

    try:
        head, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "-uno")
    except OSError:
        return "unknown"
    return (head + "+" if changed else head) or "unknown"
