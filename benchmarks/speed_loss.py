"""Fine-tuning a built-in base: how fast and how far the held-out loss falls.

Each author's bot is trained once by us and once with the original recipe, on the same posts and
weights, with the same held-out posts and the same evaluation code. The median over authors replaces
repetitions. Time starts with the training call, includes tokenizing, and excludes this benchmark's
evaluations during training.

The peer ends after its four epochs, at some loss and time. The first row is the time after which
our loss, measured sixteen times, was first as low. The second row compares, within the peer's time,
the lowest loss measured for the peer with the lowest loss whose weights our training keeps; so it
is the stricter one for us.

The default base is measured on an author's first posts only, as the original recipe takes an hour
for all of them; the row of memory is of the same trainings.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.likeness_results import TEST_ONLY
from benchmarks.speed_plan import Failed, Plan, Runs, in_turn, not_run, stamped, times_more
from benchmarks.speed_results import Result
from benchmarks.speed_training import CLASSIC, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.speed_process import Answer

OUR_POINTS, THEIR_POINTS = 16, 4
SIDES = ("ours", "classic")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fine-tuned.

    Attributes:
        base: its name among the prepared ones.
        rows: names of the rows: seconds, lowest and memory, the last one empty for none.
        posts: how many of each author's posts, None for all.
    """

    base: str
    rows: tuple[str, str, str]
    posts: int | None = None


POCKET = Subject("pocket", ("loss-seconds", "loss-lowest", ""))
DEFAULT = Subject("default", ("default-seconds", "default-lowest", "default-memory"), 400)


def by_preference(sources: Sequence[Path]) -> list[Path]:
    """The authors no setting was ever chosen on come first."""
    return sorted(sources, key=lambda source: (source.stem not in TEST_ONLY, source.stem))


def measure(plan: Plan, subject: Subject = POCKET) -> list[Result]:
    """All rows, from all authors of the plan; those of a measurement that was stopped stay."""
    runs = Runs()
    rows = [not_run(name, "not run") for name in subject.rows if name]
    found: dict[str, tuple[Answer, Answer]] = {}
    known = earlier(plan, subject)
    sources = by_preference(plan.sources)
    for source in sources:
        print(f" {source.stem}", file=sys.stderr, flush=True)
        try:
            both = known.get(source.stem) or _author(plan, subject, source)
            why = both.why_not("ours") or both.why_not("classic")
        except Failed as error:
            why = str(error)
        if why:  # the authors before it took hours and stay
            return [replace(row, value=None, why_not=f"{why} ({source.stem})") for row in rows]
        runs.answers |= {f"{name}, {source.stem}": both.answers[name] for name in both.answers}
        runs.busy = max(runs.busy or 0.0, both.busy or 0.0)
        found[source.stem] = both.answers["ours"][0], both.answers["classic"][0]
        rows = [
            _soonest(found, runs, subject.rows[0]),
            _lowest(found, runs, len(sources), subject.rows[1]),
            *([_memory(found, runs, subject.rows[2])] if subject.rows[2] else []),
        ]
        plan.keep(rows)
    return rows


def of_default(plan: Plan) -> list[Result]:
    """The rows of the default base."""
    return measure(plan, DEFAULT)


def earlier(plan: Plan, subject: Subject = POCKET) -> dict[str, Runs]:
    """Authors that were measured before; none where all of them were, as those are done anew."""
    first = subject.rows[0]
    before = next((row for row in plan.earlier if row.name == first), Result(first))
    names = [source.stem for source in plan.sources]
    known = {
        name: Runs({side: before.runs[f"{side}, {name}"] for side in SIDES}, before.busy)
        for name in names
        if all(f"{side}, {name}" in before.runs for side in SIDES)
    }
    return {} if len(known) == len(names) else known


def _author(plan: Plan, subject: Subject, source: Path) -> Runs:
    file = plan.folder / f"{source.stem}.json"
    asked = {"what": "posts", "sources": [str(source)], "file": str(file)}
    first = plan.sizes.first_posts or subject.posts
    plan.needed("benchmarks.speed_prepare", asked | {"first_posts": first})
    task = {"base": plan.prepared[subject.base], "posts": str(file), "device": "cpu"}
    return in_turn(
        replace(plan, repeats=1),
        {
            "ours": (OURS, task | {"points": OUR_POINTS}),
            # never cut off: where it ends is what is asked
            "classic": (CLASSIC, task | {"points": THEIR_POINTS}),
        },
    )


def _soonest(found: dict[str, tuple[Answer, Answer]], runs: Runs, name: str) -> Result:
    """Median over the authors no setting was chosen on, or over all where none of them is there."""
    chosen = {name: both for name, both in found.items() if name in TEST_ONLY} or found
    ours, theirs, times, never, worse = [], [], [], [], []
    for author, (mine, peer) in chosen.items():
        seconds, loss = peer["curve"][-1]
        reached = seconds_to(mine["curve"], loss)
        ours.append(float("inf") if reached is None else reached)
        theirs.append(seconds)
        times.append(0.0 if reached is None else seconds / reached)
        never += [author] if reached is None else []
        worse += [author] if loss > mine["kept"][0][1] else []
    row = Result(name, runs=runs.answers, sides=SIDES, busy=runs.busy)
    middle = statistics.median(ours)
    row.ours = None if middle == float("inf") else middle
    row.theirs, row.value = statistics.median(theirs), statistics.median(times)
    row.notes.append(f"median over {', '.join(chosen)}, of the seconds and of the ratios")
    if never:
        row.notes.append(f"never as low: {', '.join(never)}")
    if worse:
        row.notes.append(
            "classic ends above the untouched base, so that ours is as low as soon as it has been "
            f"measured, before any step: {', '.join(worse)}"
        )
    return stamped(row)


def _memory(found: dict[str, tuple[Answer, Answer]], runs: Runs, name: str) -> Result:
    """Peak memory, median over the authors."""
    row = Result(name, sides=SIDES, busy=runs.busy)
    row.ours, row.theirs = (
        statistics.median(float(both[side]["peak_mb"]) for both in found.values())
        for side in (0, 1)
    )
    row.value = times_more(row.ours, row.theirs)
    return stamped(row)


def _lowest(found: dict[str, tuple[Answer, Answer]], runs: Runs, authors: int, name: str) -> Result:
    """How often ours is lower; a number once there are all the authors."""
    ours = {
        author: lowest_kept(mine["kept"], peer["seconds"]) for author, (mine, peer) in found.items()
    }
    theirs = {who: min(loss for _, loss in peer["curve"]) for who, (_, peer) in found.items()}
    lost = [author for author in found if not ours[author] < theirs[author]]
    row = Result(name, sides=SIDES, busy=runs.busy)  # runs are in the first row
    row.ours, row.theirs = statistics.median(ours.values()), statistics.median(theirs.values())
    lower = f"lower for {len(found) - len(lost)} of {len(found)} authors"
    if len(found) < authors:
        row.why_not = f"{lower}, the others not measured yet"
    else:
        row.value = len(found) - len(lost)
    row.notes.append(f"{lower}; medians: ours {row.ours:.4f}, classic {row.theirs:.4f}")
    if lost:
        row.notes.append(f"not lower: {', '.join(lost)}")
    return stamped(row)


def seconds_to(curve: Sequence[tuple[float, float]], loss: float) -> float | None:
    """When a curve of (seconds, loss) is first as low, or None."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def lowest_kept(kept: Sequence[tuple[float, float]], seconds: float) -> float:
    """The lowest measurement in time; the first is of the untouched base and always there."""
    return min(loss for when, loss in kept if when <= seconds or when == kept[0][0])
