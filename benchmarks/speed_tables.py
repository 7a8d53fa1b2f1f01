"""Format the speed benchmark as a Markdown table, for the terminal and a document."""

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
"""From this many cores kept busy by other processes, a number is marked as unreliable."""

HEAD = (
    "| what | beside | ours | theirs | result | goal | reached |\n|---|---|---:|---:|---:|---|---|"
)


def row(claim: Claim, found: Result | None) -> str:
    """Return the table row of a claim, measured or not."""
    if found is None:
        return _line([claim.what, claim.peer, "", "", NOT_YET, claim.goal, "–"])
    if found.value is None:
        return _line([claim.what, claim.peer, "", "", found.why_not, claim.goal, "–"])
    reached = {None: "–", True: "yes", False: "**no**"}[found.reached]
    numbers = [number(found.ours), number(found.theirs), written(found.value, claim.form)]
    return _line([claim.what, claim.peer, *numbers, claim.goal, reached])


def number(value: float | None) -> str:
    """Format a number with three significant digits, or as a whole number from 100."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Result], claims: Sequence[Claim] = CLAIMS) -> str:
    """Return the table of all claims with their results."""
    found = {result.name: result for result in rows}
    return "\n".join([HEAD, *(row(claim, found.get(claim.name)) for claim in claims)])


def notes(rows: Sequence[Result]) -> str:
    """Return the notes of all rows as a list."""
    return "\n".join([*_busy(rows), *(f"- `{row.name}`: {n}" for row in rows for n in row.notes)])


def _busy(rows: Sequence[Result]) -> list[str]:
    """Return a note that names the rows measured on a busy machine."""
    busy = {row.name: row.busy for row in rows if row.value is not None and row.busy is not None}
    busy = {name: cores for name, cores in busy.items() if cores >= _BUSY}
    if not busy:
        return []
    named = ", ".join(f"`{name}`" for name in busy)
    cores = f"{max(busy.values()):.1f}"
    return [f"- **Unreliable, as other processes kept up to {cores} cores busy:** {named}"]


def describe(results: Results) -> str:
    """Return the line above the table: date, commit, machine, versions, settings."""
    days = sorted({_day(found.date) for found in results.rows})
    commits = sorted({found.commit for found in results.rows})
    machine, setup = results.machine, results.setup
    names = ("python", "torch", "transformers", "trl", "datasets")
    versions = ", ".join(f"{n} {v}" for n in names if (v := results.versions.get(n)))
    quick = "**A test with tiny sizes; the numbers are not valid.** " if setup["quick"] else ""
    return (
        f"{quick}{' and '.join(days)}, commit {' and '.join(commits)}. {machine['processor']}, "
        f"{_count(machine['cores'], 'thread')}, {machine['precision']} by default, "
        f"{machine['system']}{_gpu(machine)}. {versions}. Medians of {setup['repeats']}; "
        f"weights: {setup['weights']}."
    )


def _gpu(machine: dict[str, Any]) -> str:
    return f", {machine['gpu']}" if machine.get("gpu") else ""


def markdown(results: Results) -> str:
    """Return everything between the markers."""
    parts = [describe(results)] if results.rows else []
    parts.append(table(results.rows))
    if text := notes(results.rows):
        parts.append(text)
    return "\n\n".join(parts)


def put_markdown(file: Path, results: Results) -> None:
    """Write the table between the two markers of ``file``.

    Raises:
        InputError: the file has no markers.
    """
    markers.put(file, BEGIN, END, markdown(results))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _day(date: str) -> str:
    moment = datetime.fromisoformat(date)
    return f"{moment.day} {moment:%B %Y}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
