"""Fine-tuning a built-in base: how fast and how far the held-out loss falls.

Each author's bot is trained once with our recipe and once with the original one, on the same posts
and weights, with the same held-out posts and the same evaluation code. The median over authors
replaces repetitions. Time starts with the training call, includes tokenizing, and excludes this
benchmark's evaluations during training.

The peer ends after four epochs. The first row is the time after which our loss, measured sixteen
times, first reached the peer's final loss. The second row compares losses within the peer's time:
the lowest one measured for the peer, and the lowest one whose weights our training keeps. So it is
the stricter one for us.

The default base is trained on an author's first posts only, as the original recipe takes an hour
for all of them. The memory row is from the same trainings.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.likeness_results import TEST_ONLY
from benchmarks.speed_plan import (
    Plan,
    PreparationError,
    Runs,
    not_run,
    ratio,
    run_alternately,
    stamp,
)
from benchmarks.speed_results import Result
from benchmarks.speed_training import CLASSIC, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.speed_process import TaskResult

OUR_POINTS, THEIR_POINTS = 16, 4
SIDES = ("ours", "classic")


@dataclass(frozen=True, slots=True)
class Subject:
    """A base to fine-tune, and the rows it gives.

    Attributes:
        base: its key in :attr:`Plan.prepared`.
        rows: names of the rows for seconds, lowest loss and memory (empty: no memory row).
        posts: number of posts per author; None for all.
    """

    base: str
    rows: tuple[str, str, str]
    posts: int | None = None


POCKET = Subject("pocket", ("loss-seconds", "loss-lowest", ""))
DEFAULT = Subject("default", ("default-seconds", "default-lowest", "default-memory"), 200)


def by_preference(sources: Sequence[Path]) -> list[Path]:
    """Sort the sources: test-only authors first, then by name."""
    return sorted(sources, key=lambda source: (source.stem not in TEST_ONLY, source.stem))


def measure(plan: Plan, subject: Subject = POCKET) -> list[Result]:
    """Measure all authors of the plan that aren't measured yet; return all rows."""
    runs = Runs()
    rows = [not_run(name, "not run") for name in subject.rows if name]
    found: dict[str, tuple[TaskResult, TaskResult]] = {}
    measured = earlier(plan, subject)
    sources = by_preference(plan.sources)
    for source in sources:
        print(f" {source.stem}", file=sys.stderr, flush=True)
        try:
            both = measured.get(source.stem) or _train_author(plan, subject, source)
            why = both.why_not("ours") or both.why_not("classic")
        except PreparationError as error:
            why = str(error)
        if why:  # keep the previous authors, which took hours
            return [replace(row, value=None, why_not=f"{why} ({source.stem})") for row in rows]
        runs.answers |= {f"{name}, {source.stem}": both.answers[name] for name in both.answers}
        runs.busy = max(runs.busy or 0.0, both.busy or 0.0)
        found[source.stem] = both.answers["ours"][0], both.answers["classic"][0]
        rows = [
            _soonest(found, runs, subject.rows[0]),
            _lowest(found, runs, len(sources), subject.rows[1]),
            *([_memory(found, runs, subject.rows[2])] if subject.rows[2] else []),
        ]
        plan.save(rows)
    return rows


def of_default(plan: Plan) -> list[Result]:
    """Measure the rows of the default base."""
    return measure(plan, DEFAULT)


def earlier(plan: Plan, subject: Subject = POCKET) -> dict[str, Runs]:
    """Return the authors measured before; none if all were, so that a complete row is repeated."""
    first = subject.rows[0]
    saved = next((row for row in plan.earlier if row.name == first), Result(first))
    names = [source.stem for source in plan.sources]
    measured = {
        name: Runs({side: saved.runs[f"{side}, {name}"] for side in SIDES}, saved.busy)
        for name in names
        if all(f"{side}, {name}" in saved.runs for side in SIDES)
    }
    return {} if len(measured) == len(names) else measured


def _train_author(plan: Plan, subject: Subject, source: Path) -> Runs:
    file = plan.folder / f"{source.stem}.json"
    posts = {"what": "posts", "sources": [str(source)], "file": str(file)}
    first = plan.sizes.first_posts or subject.posts
    plan.require("benchmarks.speed_prepare", posts | {"first_posts": first})
    task = {"base": plan.prepared[subject.base], "posts": str(file), "device": "cpu"}
    return run_alternately(
        replace(plan, repeats=1),
        {
            "ours": (OURS, task | {"points": OUR_POINTS}),
            # no time limit: its final loss is the target
            "classic": (CLASSIC, task | {"points": THEIR_POINTS}),
        },
    )


def _soonest(found: dict[str, tuple[TaskResult, TaskResult]], runs: Runs, name: str) -> Result:
    """Return the row of seconds: medians over the test-only authors, or else over all authors."""
    selected = {name: both for name, both in found.items() if name in TEST_ONLY} or found
    ours, theirs, ratios, never, worse = [], [], [], [], []
    for author, (mine, peer) in selected.items():
        seconds, loss = peer["curve"][-1]
        reached = seconds_to(mine["curve"], loss)
        ours.append(float("inf") if reached is None else reached)
        theirs.append(seconds)
        ratios.append(0.0 if reached is None else seconds / reached)
        never += [author] if reached is None else []
        worse += [author] if loss > mine["kept"][0][1] else []
    row = Result(name, runs=runs.answers, sides=SIDES, busy=runs.busy)
    median = statistics.median(ours)
    row.ours = None if median == float("inf") else median
    row.theirs, row.value = statistics.median(theirs), statistics.median(ratios)
    row.notes.append(f"median over {', '.join(selected)}, of the seconds and of the ratios")
    if never:
        row.notes.append(f"never as low: {', '.join(never)}")
    if worse:
        row.notes.append(
            "classic ends above the untouched base, so our base matches that loss before the first "
            f"step: {', '.join(worse)}"
        )
    return stamp(row)


def _memory(found: dict[str, tuple[TaskResult, TaskResult]], runs: Runs, name: str) -> Result:
    """Return the row of peak memory, medians over the authors."""
    row = Result(name, sides=SIDES, busy=runs.busy)
    row.ours, row.theirs = (
        statistics.median(float(both[side]["peak_mb"]) for both in found.values())
        for side in (0, 1)
    )
    row.value = ratio(row.ours, row.theirs)
    return stamp(row)


def _lowest(
    found: dict[str, tuple[TaskResult, TaskResult]], runs: Runs, authors: int, name: str
) -> Result:
    """Return the row of how often our loss is lower; its number needs all authors."""
    ours = {
        author: lowest_kept(mine["kept"], peer["seconds"]) for author, (mine, peer) in found.items()
    }
    theirs = {name: min(loss for _, loss in peer["curve"]) for name, (_, peer) in found.items()}
    not_lower = [author for author in found if not ours[author] < theirs[author]]
    row = Result(name, sides=SIDES, busy=runs.busy)  # the runs are in the first row
    row.ours, row.theirs = statistics.median(ours.values()), statistics.median(theirs.values())
    lower = f"lower for {len(found) - len(not_lower)} of {len(found)} authors"
    if len(found) < authors:
        row.why_not = f"{lower}, the others not measured yet"
    else:
        row.value = len(found) - len(not_lower)
    row.notes.append(f"{lower}; medians: ours {row.ours:.4f}, classic {row.theirs:.4f}")
    if not_lower:
        row.notes.append(f"not lower: {', '.join(not_lower)}")
    return stamp(row)


def seconds_to(curve: Sequence[tuple[float, float]], loss: float) -> float | None:
    """Return when a curve of (seconds, loss) first reaches ``loss``, or None."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def lowest_kept(kept: Sequence[tuple[float, float]], seconds: float) -> float:
    """Return the lowest loss within ``seconds``; the untouched base's, the first, always counts."""
    return min(loss for when, loss in kept if when <= seconds or when == kept[0][0])
