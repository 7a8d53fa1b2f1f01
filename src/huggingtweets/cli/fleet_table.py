"""The table of a fleet in the terminal: live while it is trained, or once."""

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from huggingtweets.cli.console import ConsoleOutput, escape_control_chars
from huggingtweets.events import counted
from huggingtweets.fleet.progress import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.fleet.progress import AuthorProgress, FleetProgress
    from huggingtweets.storage.fleets import FleetFolder

_MOST_DONE, _MOST_FAILED, _MOST_RUNNING = 5, 8, 16
_STYLES = {"running": "cyan", "failed": "red", "skipped": "yellow"}
_NARROW = 72
"""Columns under which numbers are left out."""


class FleetTable:
    """Shows the progress: a live table on a terminal, else a line for each change.

    Args:
        screen: where to print.
        fleet: the folder, whose runs tell how far their training is.
    """

    def __init__(self, screen: ConsoleOutput, fleet: "FleetFolder") -> None:
        self._screen, self._fleet = screen, fleet
        self._live: Live | None = None

    def __enter__(self) -> "FleetTable":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "FleetProgress", line: str) -> None:
        """Show a change."""
        if not self._screen.console.is_terminal:
            if line:
                self._screen.say(line)
            return
        if self._live is None:
            self._live = Live(
                console=self._screen.console, auto_refresh=False, transient=True, screen=False
            )
            self._live.start()
        if (line and ": failed: " in line) or line.endswith("trying again"):
            self._screen.say(line, "yellow")
        self._live.update(self._render(progress), refresh=True)

    def _render(self, progress: "FleetProgress") -> Table:
        width = self._screen.console.width
        grid = Table.grid()
        grid.add_row(Text(summary(progress), "bold"))
        running = progress.in_state("running")[:_MOST_RUNNING]
        done = sorted(
            (author for author in progress.in_state("done") if author.started),
            key=lambda author: (author.started or 0) + (author.seconds or 0),
        )
        failed = progress.in_state("failed", "skipped")
        shown = [*running, *failed[-_MOST_FAILED:], *done[: -_MOST_DONE - 1 : -1]]
        if shown:
            grid.add_row(_table(shown, width, steps(self._fleet, running)))
        if len(failed) > _MOST_FAILED:
            grid.add_row(Text(f"and {len(failed) - _MOST_FAILED:,} more failed or skipped", "dim"))
        return grid


def summary(progress: "FleetProgress") -> str:
    """Return one line: how many authors are in each state, and the time left."""
    parts = [counted(len(progress.authors), "author")]
    parts += [f"{number:,} {state}" for state, number in progress.counts().items()]
    if progress.stage in ("reading", "stopped"):
        parts.append({"reading": "reading posts", "stopped": "stopped"}[progress.stage])
    left = progress.seconds_left
    if left is not None and progress.stage == "training":
        parts.append(f"{_time(left)} left")
    return " · ".join(parts)


def all_authors(fleet: "FleetFolder", progress: "FleetProgress", width: int) -> Table:
    """Return a table of all authors."""
    order = {"running": 0, "failed": 1, "skipped": 2, "waiting": 3, "done": 4}
    authors = sorted(progress.authors.values(), key=lambda author: order[author.state])
    return _table(authors, width, steps(fleet, progress.in_state("running")))


def _table(authors: "Sequence[AuthorProgress]", width: int, steps: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=True)
    table.add_column("author", overflow="fold", max_width=max(12, width // 3))
    table.add_column("state", overflow="fold")
    if width >= _NARROW:
        for heading in ("posts", "bits per byte", "time"):
            table.add_column(heading, justify="right", no_wrap=True)
    for author in authors:
        state = Text(steps.get(author.name) or author.state, _STYLES.get(author.state, ""))
        if author.reason and author.state in ("failed", "skipped"):
            state.append(f": {escape_control_chars(author.reason.partition('; ')[0])}")
        cells: list[str | Text] = [Text(escape_control_chars(author.author)), state]
        if width >= _NARROW:
            bits = "" if author.bits_per_byte is None else f"{author.bits_per_byte:.3f}"
            cells += [f"{author.posts:,}" if author.posts else "", bits, _elapsed(author)]
        table.add_row(*cells)
    return table


def _elapsed(author: "AuthorProgress") -> str:
    if author.state == "running" and author.started:
        return _time(time.time() - author.started)
    return "" if author.seconds is None else _time(author.seconds)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
