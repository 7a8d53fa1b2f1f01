"""Terminal output: messages, counts, posts and one progress bar. All output goes through here."""

import json
import os
import shutil
import sys
import time
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

    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.storage.run_folder import RunFolder

# Posts are untrusted and terminals execute control characters, so they are shown as symbols (␛).
_CONTROL_PICTURES = (
    {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
_WIDTH_FOR_SPEED = 56  # columns under which tokens/s is left out
_WIDTH_FOR_BAR = 72  # columns under which the bar is left out
_SECONDS_BETWEEN_LINES = 60.0  # of a training's progress where there is no bar, as in a log


def stop_printing() -> None:
    """Print nothing more: nobody reads it, as after ``| head``. The command finishes its work."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def _on_broken_pipe(console: Console) -> None:
    """Replace rich's handler, which exits with 1 in the middle of the work."""
    console.quiet = True
    stop_printing()


Console.on_broken_pipe = _on_broken_pipe  # type: ignore[method-assign, assignment]  # help, too


class ConsoleOutput:
    """Writes messages for users.

    Args:
        quiet: write to stderr, for ``--json``.
        samples: also show posts of the untouched base before training.
    """

    def __init__(self, *, quiet: bool = False, samples: bool = False) -> None:
        self.console = Console(stderr=quiet, highlight=False)
        self.samples = samples
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._status: Status | None = None
        self._last_line_at = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Print a line without interpreting markup."""
        self.console.print(
            Text(escape_control_chars(text), style=style), soft_wrap=not self.console.is_terminal
        )

    def heading(self, text: str) -> None:
        """Print a heading after an empty line."""
        self.console.print()
        self.say(text, "bold")

    def counts(self, counts: Mapping[str, int]) -> None:
        """Print the counts of curation; the parts add up to the first number."""
        self.say(" · ".join(f"{number:,} {name}" for name, number in counts.items()))

    def masked(self, masked: Mapping[str, int]) -> None:
        """Print how much private data was masked, if any."""
        if masked:
            from huggingtweets.privacy.masking import counted

            self.say("masked: " + " · ".join(counted(masked)))

    def posts(self, posts: "Iterator[GeneratedPost]") -> "list[GeneratedPost]":
        """Print posts as they are generated; wrap lines only on a terminal."""
        shown = []
        for post in posts:
            text = Text(escape_control_chars(post.text))
            if post.copied:
                text.append("  (a copy)", style="yellow")
            if self.console.is_terminal:
                bullet = Table.grid(padding=(0, 1))  # indents wrapped lines
                bullet.add_row(" •", text)
                self.console.print(bullet)
            else:
                lines = Text("\n   ").join(text.split("\n", allow_blank=True))
                self.console.print(Text(" • ") + lines, soft_wrap=True)
            shown.append(post)
            if self.console.quiet:
                break  # nobody reads further posts
        return shown

    def print_left_out(self, event: Event) -> None:
        """Print what a source left out, and its warnings; ignore other events."""
        if event.left_out:
            reasons = (f"{number:,} {reason}" for reason, number in event.left_out.items())
            self.say(f"left out: {' · '.join(reasons)}")
        if event.stage == "forget":
            posts = "1 deleted post" if event.done == 1 else f"{event.done:,} deleted posts"
            self.say(f"{posts} left out")
        if event.is_warning:
            self.say(f"warning: {event.message}", "yellow")

    def commands(self, lines: list[str]) -> None:
        """Print commands to copy, unwrapped."""
        for line in lines:
            self.console.print(Text("  " + line, style="cyan"), soft_wrap=True)

    # -- questions -------------------------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Whether a user can answer questions."""
        return self.console.is_terminal and bool(sys.stdin) and sys.stdin.isatty()

    def ask(self, question: str) -> str | None:
        """Ask the user a question; None if nobody can answer, and for Ctrl-D."""
        if not self.can_ask:
            return None
        with self.paused():
            try:
                return self.console.input(Text(escape_control_chars(question)))
            except EOFError:
                return None

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask a yes-or-no question, no if nobody can answer; with ``yes`` only print it."""
        if yes:
            self.say(question)
            return True
        return (self.ask(f"{question} [y/N] ") or "").strip().lower() in ("y", "yes")

    # -- progress --------------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> "Iterator[ConsoleOutput]":
        """Show events of the pipeline; clear the progress bar at the end."""
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
        elif event.stage in ("encode", "rewrite", "merge", "export"):
            self._working(f"{event.stage.removesuffix('e')}ing {event.message}", event)
        elif event.stage == "forget" or event.left_out:
            self._end_status()
            self.print_left_out(event)
        elif event.stage == "track":
            self._end_status()
            self.say(event.message)
        elif event.counts is not None:
            self._end_status()
            self.counts(event.counts)
            self.masked(event.masked or {})
        elif event.stage == "curate" and event.done:
            self._working(f"curating {event.message}", event)
        elif event.is_warning:
            self.print_left_out(event)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the progress bar while the user is asked something."""
        active = [display for display in (self._progress, self._status) if display]
        for display in active:
            display.stop()
        yield
        for display in active:
            display.start()

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
            self._training_line(event)
            return
        if self._progress is None:
            self._start_progress(event.total)
        if self._progress is not None and self._task is not None:
            numbers = _numbers(event, speed=self.console.width >= _WIDTH_FOR_SPEED)
            self._progress.update(
                self._task, completed=event.done, numbers=numbers.removeprefix(" · ")
            )

    def _training_line(self, event: Event) -> None:
        """Say how far a training is: at each measurement, and in between once a minute."""
        bits, now = event.held_out_bits_per_byte, time.monotonic()
        if bits is None and now - self._last_line_at < _SECONDS_BETWEEN_LINES:
            return
        self._last_line_at = now
        measured = "" if bits is None else f", held-out {bits:.3f} bits per byte"
        self.say(f"training: {_place(event)}{_numbers(event)}{measured}")

    def _start_progress(self, total: int) -> None:
        self._end_status()
        from rich.progress import (
            BarColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
        )

        bar = [BarColumn(bar_width=None)] if self.console.width >= _WIDTH_FOR_BAR else []
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
        """Show the current step in a status line."""
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


def _place(event: Event) -> str:
    """How far the training is: its steps, or the share of the budget of a pre-training."""
    if event.epoch is None:
        return f"{event.done / max(1, event.total):.0%}"
    return f"step {event.done} of {event.total}"


def _numbers(event: Event, *, speed: bool = True) -> str:
    """Format loss, speed and time left, without unknown ones."""
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
    """Replace characters that a terminal would execute."""
    return text.translate(_CONTROL_PICTURES)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print a JSON document on stdout, in ASCII for terminals with another encoding."""
    # unlike write, print does nothing if stdout is closed
    try:
        print(json.dumps(value, indent=2), flush=True)
    except BrokenPipeError:
        stop_printing()


def command(text: str) -> str:
    """Return a command that the user can type, even if the program isn't on the PATH."""
    if shutil.which("huggingtweets"):
        return f"huggingtweets {text}"
    program = Path(sys.argv[0])
    cwd = Path.cwd()
    return f"{program.relative_to(cwd) if program.is_relative_to(cwd) else program} {text}"


def outcome(run: "RunFolder") -> dict[str, Any]:
    """Return the ``--json`` output for a finished run."""
    from huggingtweets.storage import files

    record = run.record()
    return {
        "run": str(run.path),
        "bot": str(run.bot),
        "authors": record.authors,
        "counts": record.counts,
        "counts_by_author": record.counts_by_author,
        "masked": record.masked,
        "state": record.state,
        "seconds": record.seconds,
        "result": record.result,
        "likeness": files.read_json(run.report_json),
    }


def has_display() -> bool:
    """Whether a user is at a terminal and a browser can be opened."""
    if not sys.stdout.isatty():
        return False
    is_desktop = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")
    return bool(is_desktop or os.environ.get("WAYLAND_DISPLAY"))
