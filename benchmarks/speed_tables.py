"""The speed benchmark as a Markdown table, on the screen and in a document."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmarks.speed_results import CLAIMS, written

from benchmarks import markers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.speed_results import Claim, Result, Results

BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
NOT_YET = "not measured yet on a quiet machine"
_BUSY = 0.25
"""Cores kept busy by others from which a number is called one of a busy machine."""

HEAD = (
    "| what | beside | ours | theirs | result | goal | reached |\n|---|---|---:|---:|---:|---|---|"
)


def row(claim: Claim, found: Result | None) -> str:
    """The line of a claim, measured or not."""
    if found is None:
        return _line([claim.what, claim.peer, "", "", NOT_YET, claim.goal, "–"])
    if found.value is None:
        return _line([claim.what, claim.peer, "", "", found.why_not, claim.goal, "–"])
    reached = {None: "–", True: "yes", False: "**no**"}[found.reached]
    numbers = [number(found.ours), number(found.theirs), written(found.value, claim.form)]
    return _line([claim.what, claim.peer, *numbers, claim.goal, reached])


def number(value: float | None) -> str:
    """Three digits that count, without more than a reader can use."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Result], claims: Sequence[Claim] = CLAIMS) -> str:
    """All claims with what was found for them."""
    found = {result.name: result for result in rows}
    return "\n".join([HEAD, *(row(claim, found.get(claim.name)) for claim in claims)])


def notes(rows: Sequence[Result]) -> str:
    """What must be known beside the numbers, as a list."""
    return "\n".join([*_busy(rows), *(f"- `{row.name}`: {n}" for row in rows for n in row.notes)])


def _busy(rows: Sequence[Result]) -> list[str]:
    """Which numbers are no good because others were at work."""
    busy = {row.name: row.busy for row in rows if row.value is not None and row.busy is not None}
    busy = {name: cores for name, cores in busy.items() if cores >= _BUSY}
    if not busy:
        return []
    named = ", ".join(f"`{name}`" for name in busy)
    most = f"others kept up to {max(busy.values()):.1f} cores busy"
    return [f"- **Not to be quoted, {most} meanwhile:** {named}"]


def described(results: Results) -> str:
    """When, where and how: the line above the table."""
    days = sorted({_day(found.date) for found in results.rows})
    commits = sorted({found.commit for found in results.rows})
    where, setup = results.machine, results.setup
    names = ("python", "torch", "transformers", "trl", "datasets")
    versions = ", ".join(f"{n} {v}" for n in names if (v := results.versions.get(n)))
    quick = (
        "**A quick try of tiny sizes, which says nothing about speed.** " if setup["quick"] else ""
    )
    return (
        f"{quick}{' and '.join(days)}, commit {' and '.join(commits)}. {where['processor']}, "
        f"{_several(where['cores'], 'thread')}, {where['precision']} by default, "
        f"{where['system']}{_gpu(where)}. {versions}. Medians of {setup['repeats']}; "
        f"weights: {setup['weights']}."
    )


def _gpu(where: dict[str, Any]) -> str:
    return f", {where['gpu']}" if where.get("gpu") else ""


def markdown(results: Results) -> str:
    """Everything between the markers."""
    parts = [described(results)] if results.rows else []
    parts.append(table(results.rows))
    if said := notes(results.rows):
        parts.append(said)
    return "\n\n".join(parts)


def put_markdown(file: Path, results: Results) -> None:
    """Put the table between the two markers of ``file``.

    Raises:
        InputError: there are no markers.
    """
    markers.put(file, BEGIN, END, markdown(results))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _day(date: str) -> str:
    moment = datetime.fromisoformat(date)
    return f"{moment.day} {moment:%B %Y}"


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
