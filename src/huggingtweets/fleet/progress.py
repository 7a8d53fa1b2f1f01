"""The state of every author of a fleet, kept in ``progress.json`` for whoever watches."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from huggingtweets.storage.fleets import FleetFolder

AuthorState = Literal["waiting", "running", "done", "failed", "skipped"]
STATES: tuple[AuthorState, ...] = ("done", "running", "waiting", "failed", "skipped")
_AT_WORK = ("reading", "training")
_SAVE_SECONDS = 1.0
_STALE_SECONDS = 5.0
"""Age of a progress file from which its session may have been killed."""
_MOST_EVENT_BYTES = 8192


@dataclass
class AuthorProgress:
    """One author, or a source whose authors aren't known.

    Attributes:
        author: as people read it.
        name: name of the run folder; empty until there is one.
        state: where it is.
        reason: why it failed or was skipped, one sentence.
        characters: in the training posts, after curation.
        posts: number of them.
        started: when its training started, in seconds since 1970.
        seconds: that reading, training and measuring took, without pauses.
        bits_per_byte: of the finished bot, on held-out posts.
        attempts: number of workers that ended while training it.
    """

    author: str
    name: str = ""
    state: AuthorState = "waiting"
    reason: str = ""
    characters: int = 0
    posts: int = 0
    started: float | None = None
    seconds: float | None = None
    bits_per_byte: float | None = None
    attempts: int = 0


@dataclass
class FleetProgress:
    """All authors, and what is left to do.

    Attributes:
        authors: by the name of the run folder, or by the source as long as there is none.
        stage: ``reading``, ``training`` or ``finished``; ``stopped`` if it ended before that.
        workers: number of concurrent trainings.
        started: when this session started, in seconds since 1970.
        seconds_left: estimate; None at first.
    """

    authors: dict[str, AuthorProgress] = field(default_factory=dict)
    stage: str = "reading"
    workers: int = 0
    started: float = field(default_factory=time.time)
    seconds_left: float | None = None

    def counts(self) -> dict[str, int]:
        """Return the number of authors in each state that occurs."""
        counted = Counter(author.state for author in self.authors.values())
        return {state: counted[state] for state in STATES if counted[state]}

    def in_state(self, *states: AuthorState) -> list[AuthorProgress]:
        """Return the authors in one of the states."""
        return [author for author in self.authors.values() if author.state in states]

    def stop(self) -> None:
        """Say that nobody works on the fleet any more; who was in training waits."""
        self.stage, self.seconds_left = "stopped", None
        for author in self.in_state("running"):
            author.state, author.started = "waiting", None

    def estimate(self) -> None:
        """Estimate the seconds left from the authors finished in this session.

        An author's time has a part that grows with the text and one that doesn't (the likeness
        report); with fewer than two different finished authors only the first can be estimated.
        """
        done = [
            (author.characters, author.seconds)
            for author in self.in_state("done")
            if author.seconds and author.started and author.started >= self.started
        ]
        if not done:
            return
        fixed, each = _line(done)
        left = 0.0
        longest = 0.0
        for author in self.in_state("waiting", "running"):
            seconds = fixed + each * author.characters
            if author.state == "running" and author.started:
                seconds = max(1.0, seconds - (time.time() - author.started))
            left += seconds
            longest = max(longest, seconds)
        self.seconds_left = max(longest, left / max(1, self.workers))


def _line(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Fit seconds = fixed + each * characters by least squares, neither below 0."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread:
        each = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
        if each > 0 and (fixed := mean_y - each * mean_x) >= 0:
            return fixed, each
    return (0.0, mean_y / mean_x) if mean_x else (mean_y, 0.0)


Tell = Callable[[FleetProgress, str], None]
"""Called after each change, with one line about it or an empty one."""


class Board:
    """Holds the progress, saves it in the fleet's folder and tells the terminal.

    Args:
        fleet: whose progress it is.
        tell: called after each change.
    """

    def __init__(self, fleet: FleetFolder, tell: Tell) -> None:
        self._fleet, self._tell, self._saved = fleet, tell, 0.0
        self.progress = FleetProgress()

    def update(self, key: str, line: str = "", **values: Any) -> None:  # noqa: ANN401 - fields
        """Change an author's fields, which are those of :class:`AuthorProgress`."""
        author = self.progress.authors.setdefault(key, AuthorProgress(values.pop("author", key)))
        for name, value in values.items():
            setattr(author, name, value)
        self.tell(line)

    def remove(self, key: str) -> None:
        """Remove a source whose authors are known now."""
        self.progress.authors.pop(key, None)

    def tell(self, line: str = "", *, now: bool = False) -> None:
        """Save at most once a second, or now, and tell the terminal."""
        self.progress.estimate()
        if now or time.monotonic() > self._saved + _SAVE_SECONDS:
            with suppress(StorageError):  # a full disk: the trainings report it
                files.write_json(self._fleet.progress_file, asdict(self.progress))
            self._saved = time.monotonic()
        self._tell(self.progress, line)


def read_progress(fleet: FleetFolder) -> FleetProgress:
    """Read the progress of a fleet; empty if there is none or it is damaged.

    A session that was killed left it as it was then, so nothing is said to be running any more.
    """
    found = FleetProgress()
    with suppress(OSError, ValueError, TypeError, AttributeError):
        values = files.read_json(fleet.progress_file)
        known = {item.name for item in fields(AuthorProgress)}
        authors = {
            str(key): AuthorProgress(**{k: v for k, v in author.items() if k in known})
            for key, author in values.pop("authors").items()
        }
        found = FleetProgress(authors, **values)
        if found.stage in _AT_WORK and _was_killed(fleet):
            found.stop()
    return found


def _was_killed(fleet: FleetFolder) -> bool:
    """Whether no process works on a fleet; only asked of an old file, as asking takes the lock."""
    age = time.time() - fleet.progress_file.stat().st_mtime
    return age > _STALE_SECONDS and not files.is_locked(fleet.path)


def with_updates(fleet: FleetFolder, progress: FleetProgress) -> FleetProgress:
    """Return the progress with what other commands changed since: bots updated or deleted."""
    for author in progress.in_state("done"):
        run = RunFolder(fleet.authors / author.name)
        try:
            author.bits_per_byte = run.held_out_bits_per_byte()
        except BotError:  # the next training makes it again
            author.state, author.bits_per_byte = "waiting", None
    return progress


def steps(fleet: FleetFolder, authors: Iterable[AuthorProgress]) -> dict[str, str]:
    """Return how far each author's training is, such as ``training 40 %``, by run folder."""
    return {a.name: _step(RunFolder(fleet.authors / a.name)) for a in authors if a.name}


def _step(run: RunFolder) -> str:
    event = _last_event(run.events_file)
    stage = {"train": "training", "evaluate": "measuring"}.get(event.get("stage", ""), "")
    if stage == "training" and event.get("total"):
        return f"training {100 * event.get('done', 0) // event['total']} %"
    return stage or "starting"


def _last_event(file: Path) -> dict[str, Any]:
    """Return the last whole event of a run; empty if there is none."""
    with suppress(OSError, ValueError):
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - _MOST_EVENT_BYTES))
            lines = opened.read().decode(errors="replace").splitlines()
        for line in reversed(lines):
            with suppress(ValueError):
                event = json.loads(line)
                return event if isinstance(event, dict) else {}
    return {}
