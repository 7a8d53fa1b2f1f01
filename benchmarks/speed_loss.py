"""Fine-tuning the embedded base: how soon, and how low, the held-out loss falls.

Each author's bot is trained once by us and once by the original recipe, on the same posts, from
the same weights, with the same posts held out and scored by the same code; the median over authors
takes the place of repetitions. Seconds begin with the call that trains, tokenizing included, and
leave out what this benchmark takes to note the loss on the way.

The peer ends after its four epochs, at a loss and a number of seconds. The first row asks when our
loss, noted sixteen times on the way, was first as low. The second one compares, within those
seconds, the lowest loss that the peer was ever noted at with the lowest of which our training keeps
the weights; so it is the stricter of the two for us.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.likeness_results import TEST_ONLY
from benchmarks.speed_plan import Failed, Plan, Runs, in_turn, not_run, stamped
from benchmarks.speed_results import Result
from benchmarks.speed_training import CLASSIC, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.speed_process import Answer

OUR_POINTS, THEIR_POINTS = 16, 4
ROWS = ("loss-seconds", "loss-lowest")
SIDES = ("ours", "classic")


def by_preference(sources: Sequence[Path]) -> list[Path]:
    """The authors no setting was ever chosen on come first."""
    return sorted(sources, key=lambda source: (source.stem not in TEST_ONLY, source.stem))


def measure(plan: Plan) -> list[Result]:
    """Both rows, from all authors of the plan; those of a measurement that was stopped stay."""
    runs = Runs()
    rows = [not_run(name, "not run") for name in ROWS]
    found: dict[str, tuple[Answer, Answer]] = {}
    known = earlier(plan)
    sources = by_preference(plan.sources)
    for source in sources:
        print(f" {source.stem}", file=sys.stderr, flush=True)
        try:
            both = known.get(source.stem) or _author(plan, source)
            why = both.why_not("ours") or both.why_not("classic")
        except Failed as error:
            why = str(error)
        if why:  # the authors before it took hours and stay
            return [replace(row, value=None, why_not=f"{why} ({source.stem})") for row in rows]
        runs.answers |= {f"{name}, {source.stem}": both.answers[name] for name in both.answers}
        runs.busy = max(runs.busy or 0.0, both.busy or 0.0)
        found[source.stem] = both.answers["ours"][0], both.answers["classic"][0]
        rows = [_soonest(found, runs), _lowest(found, runs, len(sources))]
        plan.keep(rows)
    return rows


def earlier(plan: Plan) -> dict[str, Runs]:
    """Authors that were measured before; none where all of them were, as those are done anew."""
    before = next((row for row in plan.earlier if row.name == ROWS[0]), Result(ROWS[0]))
    names = [source.stem for source in plan.sources]
    known = {
        name: Runs({side: before.runs[f"{side}, {name}"] for side in SIDES}, before.busy)
        for name in names
        if all(f"{side}, {name}" in before.runs for side in SIDES)
    }
    return {} if len(known) == len(names) else known


def _author(plan: Plan, source: Path) -> Runs:
    file = plan.folder / f"{source.stem}.json"
    asked = {"what": "posts", "sources": [str(source)], "file": str(file)}
    plan.needed("benchmarks.speed_prepare", asked | {"first_posts": plan.sizes.first_posts})
    task = {"base": plan.prepared["pocket"], "posts": str(file), "device": "cpu"}
    return in_turn(
        replace(plan, repeats=1),
        {
            "ours": (OURS, task | {"points": OUR_POINTS}),
            # never cut off: where it ends is what is asked
            "classic": (CLASSIC, task | {"points": THEIR_POINTS}),
        },
    )


def _soonest(found: dict[str, tuple[Answer, Answer]], runs: Runs) -> Result:
    """Median over the authors no setting was chosen on, or over all where none of them is there."""
    chosen = {name: both for name, both in found.items() if name in TEST_ONLY} or found
    ours, theirs, times, never, worse = [], [], [], [], []
    for name, (mine, peer) in chosen.items():
        seconds, loss = peer["curve"][-1]
        reached = seconds_to(mine["curve"], loss)
        ours.append(float("inf") if reached is None else reached)
        theirs.append(seconds)
        times.append(0.0 if reached is None else seconds / reached)
        never += [name] if reached is None else []
        worse += [name] if loss > mine["kept"][0][1] else []
    row = Result(ROWS[0], runs=runs.answers, sides=SIDES, busy=runs.busy)
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


def _lowest(found: dict[str, tuple[Answer, Answer]], runs: Runs, authors: int) -> Result:
    """How often ours is lower; a number once there are all the authors."""
    ours = {
        name: lowest_kept(mine["kept"], peer["seconds"]) for name, (mine, peer) in found.items()
    }
    theirs = {name: min(loss for _, loss in peer["curve"]) for name, (_, peer) in found.items()}
    lost = [name for name in found if not ours[name] < theirs[name]]
    row = Result(ROWS[1], sides=SIDES, busy=runs.busy)  # runs are in the first row
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
