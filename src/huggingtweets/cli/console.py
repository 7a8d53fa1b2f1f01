"""What the terminal shows: counts, one progress bar, posts. All output goes through here."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from huggingtweets.events import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.status import Status

    from huggingtweets.generation.writer import GeneratedPost
    from huggingtweets.storage.run_folder import RunFolder

# Terminals obey control characters, and posts come from strangers: shown as pictures (␛) instead.
_PICTURES = (
    {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
_VERY_NARROW = 56  # columns under which not even the numbers fit
_NARROW = 72  # columns under which the bar makes room for its numbers


class ConsoleOutput:
    """Shows what a person should see.

    Args:
        quiet: all of it goes to stderr, for ``--json``.
        samples: also show what the untouched base writes, before training.
    """

    def __init__(self, *, quiet: bool = False, samples: bool = False) -> None:
        self.console = Console(stderr=quiet, highlight=False)
        self.samples = samples
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._status: Status | None = None

    def say(self, text: str, style: str = "") -> None:
        """Print a line; what looks like markup in it is shown as it is."""
        self.console.print(
            Text(escape_control_chars(text), style=style), soft_wrap=not self.console.is_terminal
        )

    def heading(self, text: str) -> None:
        """Print a heading after an empty line."""
        self.console.print()
        self.say(text, "bold")

    def counts(self, counts: Mapping[str, int]) -> None:
        """Print what was read and what became of it; the parts add up to the first number."""
        self.say(" · ".join(f"{number:,} {name}" for name, number in counts.items()))

    def posts(self, posts: "Iterator[GeneratedPost]") -> "list[GeneratedPost]":
        """Print posts as they come; into a file or a pipe, their lines stay whole."""
        shown = []
        for post in posts:
            text = Text(escape_control_chars(post.text))
            if post.copied:
                text.append("  (a copy)", style="yellow")
            if self.console.is_terminal:
                bullet = Table.grid(padding=(0, 1))  # wrapped lines start under the text
                bullet.add_row(" •", text)
                self.console.print(bullet)
            else:
                lines = Text("\n   ").join(text.split("\n", allow_blank=True))
                self.console.print(Text(" • ") + lines, soft_wrap=True)
            shown.append(post)
        return shown

    def print_deleted(self, event: Event) -> None:
        """Say how many posts a source left out because they were deleted; pass over the rest."""
        if event.stage == "forget":
            posts = "1 post is" if event.done == 1 else f"{event.done:,} posts are"
            self.say(f"{posts} left out, to be forgotten")

    def commands(self, lines: list[str]) -> None:
        """Print commands to copy, unwrapped."""
        for line in lines:
            self.console.print(Text("  " + line, style="cyan"), soft_wrap=True)

    # -- questions -------------------------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return self.console.is_terminal and bool(sys.stdin) and sys.stdin.isatty()

    def ask(self, question: str) -> str | None:
        """Let the user type an answer; None where nobody can, and for Ctrl-D."""
        if not self.can_ask:
            return None
        with self.paused():
            try:
                return self.console.input(Text(escape_control_chars(question)))
            except EOFError:
                return None

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask for a y, no where nobody can; with ``yes`` only show what would have been asked."""
        if yes:
            self.say(question)
            return True
        return (self.ask(f"{question} [y/N] ") or "").strip().lower() in ("y", "yes")

    # -- progress --------------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> "Iterator[ConsoleOutput]":
        """Show events while the pipeline works; whatever moves is cleared away at the end."""
        try:
            yield self
        finally:
            self._end_progress()
            self._end_status()

    def __call__(self, event: Event) -> None:
        """Show an event of the pipeline."""
        if event.stage == "train":
            self._train(event)
        elif event.stage == "evaluate":
            self._end_progress()
            self._working(f"measuring likeness: {event.message}", event)
        elif event.stage == "read" and event.message:
            left = "" if event.seconds_left is None else f", {event.seconds_left:,.0f} s left"
            self._working(f"reading · {event.message}{left}", event)
        elif event.stage == "encode":
            self._working(f"encoding {event.message}", event)
        elif event.stage == "forget":
            self._end_status()
            self.print_deleted(event)
        elif event.stage == "track":
            self._end_status()
            self.say(event.message)
        elif event.counts is not None:
            self._end_status()
            self.counts(event.counts)
        elif event.stage == "curate" and event.done:
            self._working(f"curating {event.message}", event)
        elif event.stage == "curate" and event.message:
            self.say(f"warning: {event.message}", "yellow")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop drawing while the user is asked something."""
        moving = [one for one in (self._progress, self._status) if one]
        for one in moving:
            one.stop()
        yield
        for one in moving:
            one.start()

    def _train(self, event: Event) -> None:
        if event.message:
            self._end_status()
            self.say(event.message, "dim")
            return
        if self.samples and event.samples and not event.done:
            self._end_status()
            self.say("Before training, the base writes:")
            for sample in event.samples:
                self.say(f" • {sample.post}", "dim")
        if not self.console.is_terminal:
            if event.held_out_bits_per_byte is not None:
                self.say(
                    f"training: step {event.done} of {event.total}{_numbers(event)}, "
                    f"held-out {event.held_out_bits_per_byte:.3f} bits per byte"
                )
            return
        if self._progress is None:
            self._start_progress(event.total)
        if self._progress is not None and self._task is not None:
            numbers = _numbers(event, speed=self.console.width >= _VERY_NARROW)
            self._progress.update(
                self._task, completed=event.done, numbers=numbers.removeprefix(" · ")
            )

    def _start_progress(self, total: int) -> None:
        self._end_status()
        from rich.progress import (
            BarColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
        )

        bar = [BarColumn(bar_width=None)] if self.console.width >= _NARROW else []
        columns: list[str | ProgressColumn] = [
            "training",
            *bar,
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
        ]
        self._progress = Progress(*columns, console=self.console, expand=bool(bar))
        self._task = self._progress.add_task("", total=total, numbers="")
        self._progress.start()

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None

    def _working(self, what: str, event: Event) -> None:
        """Show what goes on as one line that is cleared away later."""
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        counts = f": {event.done:,}" if event.done and event.stage != "evaluate" else ""
        self._status.update(escape_control_chars(what) + counts)

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _numbers(event: Event, *, speed: bool = True) -> str:
    """Loss, speed and time left, as far as they are known."""
    parts = []
    if event.loss is not None:
        parts.append(f"loss {event.loss:.2f}")
    if event.tokens_per_second is not None and speed:
        parts.append(f"{event.tokens_per_second:,.0f} tokens/s")
    if event.seconds_left is not None:
        minutes, seconds = divmod(round(event.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "".join(" · " + part for part in parts)


def escape_control_chars(text: str) -> str:
    """The text without anything that a terminal would take for a command."""
    return text.translate(_PICTURES)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print one JSON document on stdout, in ASCII so that no terminal can spoil it."""
    # unlike write, print does nothing where stdout is closed
    print(json.dumps(value, indent=2), flush=True)


def command(text: str) -> str:
    """A command as the user can type it from here, also where it isn't on the PATH."""
    if shutil.which("huggingtweets"):
        return f"huggingtweets {text}"
    program = Path(sys.argv[0])
    here = Path.cwd()
    return f"{program.relative_to(here) if program.is_relative_to(here) else program} {text}"


def outcome(run: "RunFolder") -> dict[str, Any]:
    """What ``--json`` tells of a finished run."""
    record = run.record()
    return {
        "run": str(run.path),
        "bot": str(run.bot),
        "authors": record.authors,
        "counts": record.counts,
        "counts_by_author": record.counts_by_author,
        "state": record.state,
        "seconds": record.seconds,
        "result": record.result,
        "likeness": json.loads(run.report_json.read_text(encoding="utf-8")),
    }


def has_display() -> bool:
    """Whether a browser could show anything, to somebody who is there."""
    if not sys.stdout.isatty():
        return False
    shows = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")
    return bool(shows or os.environ.get("WAYLAND_DISPLAY"))
