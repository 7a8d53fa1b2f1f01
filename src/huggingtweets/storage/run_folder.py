"""The run folder: everything that is known about one bot, and the only place for its file names.

.. code-block:: text

    RUN/
      run.json            who, when, versions, seed, configuration, counts, state
      events.jsonl        append-only progress; the terminal and every other view read this
      data/kept.parquet   as curated, with a column `split` (train or held_out)
      data/posts.parquet  as read      data/dropped.parquet  what was left out and why
      checkpoint/         state.safetensors: one file, so that one rename makes it whole
      bot/                what any Hugging Face tool loads, and all that would ever be published
      report/             likeness.json, likeness.html, generations.json
                          human.json, what people said in quizzes
      favourites.json     posts of the bot that somebody marked
      published.json      the repository on the Hub, once the bot was published

A run folder appears in one rename once its posts are read, curated and found to be enough, so bad
input never leaves half a run behind.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import polars as pl

FORMAT = 1
Table = Literal["posts", "kept", "dropped"]
State = Literal["prepared", "training", "trained", "done", "failed"]


@dataclass
class RunRecord:
    """What ``run.json`` holds; enough to repeat the run.

    Attributes:
        name: the folder's name.
        authors: handles in the order they were given.
        config: every option of the run, as plain values.
        counts: posts downloaded, retweets, short, duplicates, kept (kept and dropped add up).
        counts_by_author: the same for each author.
        state: how far the run got.
        created_at: UTC, ISO 8601.
        versions: of Python and the packages that decide the numbers.
        machine: processor, cores, device, precision.
        seconds: wall-clock time of each stage.
        result: held-out bits per byte before and after, steps and epochs run, tokens a second.
        error: the sentence a failed run ended with.
        forgotten: posts that their author deleted after the bot had learnt from them.
        forgotten_at: when the last of them was removed, UTC, ISO 8601.
        format: version of this file's shape.
    """

    name: str
    authors: list[str]
    config: dict[str, Any]
    counts: dict[str, int]
    counts_by_author: dict[str, dict[str, int]]
    state: State = "prepared"
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    forgotten: int = 0
    forgotten_at: str | None = None
    format: int = FORMAT


@dataclass(frozen=True)
class RunFolder:
    """A run on disk. All paths are derived from ``path``."""

    path: Path

    @property
    def record_file(self) -> Path:
        """``run.json``."""
        return self.path / "run.json"

    @property
    def events_file(self) -> Path:
        """``events.jsonl``."""
        return self.path / "events.jsonl"

    @property
    def checkpoint_file(self) -> Path:
        """The resumable state."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def bot(self) -> Path:
        """The bot folder."""
        return self.path / "bot"

    @property
    def picture(self) -> Path:
        """What the bot wrote, as a picture."""
        return self.bot / "predictions.png"

    @property
    def report_json(self) -> Path:
        """The likeness report as JSON."""
        return self.path / "report" / "likeness.json"

    @property
    def report_page(self) -> Path:
        """The likeness report as a page."""
        return self.path / "report" / "likeness.html"

    @property
    def generations_file(self) -> Path:
        """The unfiltered generations the report was made from."""
        return self.path / "report" / "generations.json"

    @property
    def human_file(self) -> Path:
        """What people said in quizzes, if some played."""
        return self.path / "report" / "human.json"

    @property
    def favourites_file(self) -> Path:
        """Posts of the bot that somebody marked."""
        return self.path / "favourites.json"

    @property
    def published_file(self) -> Path:
        """Where the bot was published, if it was."""
        return self.path / "published.json"

    @property
    def track_file(self) -> Path:
        """Where the run was tracked, if it was."""
        return self.path / "track" / "track.json"

    def table(self, name: Table) -> pl.DataFrame:
        """Read one of the tables under ``data/``.

        Raises:
            BotError: the table is missing or damaged.
        """
        import polars as pl

        file = self.path / "data" / f"{name}.parquet"
        try:
            return pl.read_parquet(file)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BotError(f"{file} is missing or damaged; train the bot again.") from error

    def record(self) -> RunRecord:
        """Read ``run.json``.

        Raises:
            BotError: it is missing, damaged, or written by a newer version.
        """
        try:
            values = json.loads(self.record_file.read_text(encoding="utf-8"))
            if values.get("format", FORMAT) > FORMAT:  # whose other fields may be anything
                raise BotError(f"{self.path} was made by a newer huggingtweets; please upgrade.")
            known = {f.name for f in fields(RunRecord)}
            return RunRecord(**{key: value for key, value in values.items() if key in known})
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BotError(f"{self.path} is not a run folder: it has no run.json.") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BotError(f"{self.record_file} is damaged: {error}.") from error

    def replace_table(self, name: Table, table: pl.DataFrame) -> None:
        """Write one of the tables under ``data/`` anew, atomically."""
        file = self.path / "data" / f"{name}.parquet"
        with files.atomic_write(file) as temporary:
            _write_table(table, temporary)

    def save(self, record: RunRecord) -> None:
        """Write ``run.json`` atomically."""
        files.write_json(self.record_file, asdict(record))

    def append_event(self, event: dict[str, Any]) -> None:
        """Add one line to ``events.jsonl``."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
        with files.wrap_os_errors(self.events_file), self.events_file.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                cut = file.read() != b"\n"  # by a crash; the new line must not be glued to it
                line = "\n" + line if cut else line
            file.write(line.encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """All events so far; a last line cut by a crash is passed over."""
        events = []
        with suppress(FileNotFoundError):
            for line in self.events_file.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    events.append(json.loads(line))
        return events

    def locked(self) -> AbstractContextManager[None]:
        """Hold the run so that no second process works on it.

        Raises:
            StorageError: another process holds it.
        """
        return files.locked(self.path)

    def is_live(self) -> bool:
        """Whether some process works on this run right now."""
        from filelock import Timeout

        try:
            with files.file_lock(self.path):
                return False
        except Timeout:
            return True
        except OSError:  # who can't write here can't work here
            return False

    def display_state(self) -> str:
        """The state for people: a run nobody works on that isn't done was interrupted."""
        state = self.record().state
        if state in ("done", "failed"):
            return state
        return state if self.is_live() else f"interrupted ({state})"

    def staleness_warning(self) -> str | None:
        """What is wrong with a bot that has learnt from posts which were deleted since."""
        forgotten = self.record().forgotten
        if not forgotten or not (self.bot / "config.json").is_file():
            return None
        posts = "1 post was" if forgotten == 1 else f"{forgotten:,} posts were"
        return f"out of date: {posts} deleted by their author since; train it again"


def create(out: Path, record: RunRecord, tables: dict[str, pl.DataFrame]) -> RunFolder:
    """Make a new run folder ``out/record.name`` with its tables, all of it or nothing.

    Raises:
        StorageError: the folder exists, can't be written, or the disk is full.
    """
    final = out / record.name
    building = out / f".{record.name}.{os.getpid()}.new"
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with files.wrap_os_errors(final):
            (building / "data").mkdir(parents=True)
            run = RunFolder(building)
            for name, table in tables.items():
                with files.atomic_write(building / "data" / f"{name}.parquet") as temporary:
                    _write_table(table, temporary)
            run.save(record)
            run.events_file.touch()
            _publish_folder(building, final)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        for folder in made:  # leave no empty folders of ours behind either
            with suppress(OSError):
                folder.rmdir()
        raise
    return RunFolder(final)


def _write_table(table: pl.DataFrame, path: Path) -> None:
    import polars as pl

    try:
        table.write_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise files.to_os_error(error) from error


def _publish_folder(building: Path, final: Path) -> None:
    if final.exists():
        raise StorageError(f"{final} is already there; choose another --name.")
    building.rename(final)


def unique_name(out: Path, wanted: str) -> str:
    """``wanted``, or ``wanted-2``, ``wanted-3``… when that is taken in ``out``."""
    names = (wanted if i == 1 else f"{wanted}-{i}" for i in range(1, 100_000))
    return next(name for name in names if not (out / name).exists())


def list_runs(out: Path) -> list[RunFolder]:
    """Every run folder in ``out``, oldest first."""
    if not out.is_dir():
        return []
    found = [RunFolder(p) for p in out.iterdir() if (p / "run.json").is_file() and p.name[0] != "."]
    return sorted(found, key=lambda run: (run.record_file.stat().st_mtime, run.path.name))
