"""The run folder: all files of one run. Their names are defined here and nowhere else.

.. code-block:: text

    RUN/
      run.json             authors, date, versions, seed, configuration, counts, state
      events.jsonl         progress events, append-only; every view of a run reads them
      data/kept.parquet    curated posts, with a column `split` (train or held_out)
      data/posts.parquet   posts as read
      data/dropped.parquet dropped posts with the reason
      checkpoint/          state.safetensors, state.previous.safetensors
                           paraphrases.json, with --augment paraphrase
      bot/                 the model folder, for any Hugging Face tool; only this is published
      report/              likeness.json, likeness.html, generations.json
                           human.json, answers from quizzes
      favourites.json      generated posts that users marked
      published.json       the repository on the Hub, if the bot was published

A run folder is created with one rename after its posts are read, curated and found sufficient, so
bad input leaves nothing behind.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

FORMAT = 1
_MOST_RECORD_BYTES = 10_000_000
Table = Literal["posts", "kept", "dropped"]
_TABLES = (".csv", ".json", ".jsonl", ".parquet", ".txt")
State = Literal["prepared", "training", "trained", "done", "failed"]


@dataclass
class RunRecord:
    """The contents of ``run.json``; enough to repeat the run.

    Attributes:
        name: name of the folder.
        authors: handles, in the order given.
        config: every option of the run, as plain values.
        counts: posts downloaded, retweets, short, duplicates, kept; the last four add up to the
            first.
        counts_by_author: the same for each author.
        left_out: records of the sources that are no posts of the authors, by reason.
        handles: the authors whose handle a source gave; the others have only a name. None in runs
            of earlier versions.
        chats: the kinds of the sources that are private chats, such as ``whatsapp``.
        masked: pieces of private data masked in the posts kept, by kind; None for a run from before
            they were masked by default.
        state: how far the run got.
        created_at: UTC, ISO 8601.
        versions: of Python and of the packages that affect the numbers.
        machine: processor, cores, device, precision.
        seconds: wall-clock time of each stage.
        result: held-out bits per byte before and after, steps and epochs, tokens per second.
        error: message of a failed run.
        forgotten: number of training or held-out posts that their author deleted since.
        forgotten_at: when the last of them was removed, UTC, ISO 8601.
        format: version of the file format.
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
    masked: dict[str, int] | None = None
    format: int = FORMAT
    left_out: dict[str, int] = field(default_factory=dict)
    chats: list[str] = field(default_factory=list)
    handles: list[str] | None = None

    def shown(self, author: str) -> str:
        """Return an author as people read it: ``@handle``, or the name if no handle is known.

        In runs of earlier versions an author with the name of a table is taken for its name.
        """
        known = self.handles
        if known is None:
            tables = (PurePath(str(source)) for source in self.config.get("sources") or ())
            files_of = {table.stem for table in tables if table.suffix.lower() in _TABLES}
            known = [name for name in self.authors if name not in files_of]
        return f"@{author.lstrip()}" if author in known else author.lstrip("@\uff20") or author

    @property
    def names(self) -> list[str]:
        """The authors as people read them, see :meth:`shown`."""
        return [self.shown(author) for author in self.authors]


class _Recipe(TypedDict, total=False):
    """The settings of ``config["recipe"]`` that are read without a further check."""

    name: str
    epochs: int
    learning_rate: float


class _Config(TypedDict, total=False):
    """The types of the settings in ``config``; earlier versions lack some of them."""

    base: str
    sources: list[str]
    seed: int
    out: str
    minutes: float | None
    holdout: float
    split: str
    recipe: _Recipe
    curation: dict[str, Any]
    device: str | None
    precision: str | None
    checkpoint_seconds: float
    compiled: bool | None
    track: str | None
    raw_artifacts: bool
    train_posts: int | None
    plan: str | None


class _Measurement(TypedDict, total=False):
    epoch: int
    step: int
    train_loss: float | None
    held_out_bits_per_byte: float


class _Result(TypedDict, total=False):
    """The types of the numbers in ``result``."""

    best: float | None
    steps: int
    tokens: int
    way: float | None
    history: list[_Measurement]


class _Settings(dict[str, Any]):
    """Settings of a run; one that is missing is an error for users, not a ``KeyError``."""

    def __missing__(self, name: str) -> Any:  # noqa: ANN401
        raise BotError(
            f"The run's run.json is damaged or incomplete: it has no {name!r}. Train the bot again."
        )


def _checked_record(values: Any) -> RunRecord:  # noqa: ANN401 - JSON
    """Return the record in a JSON document.

    Raises:
        ValueError: a value is missing, of a wrong type, or not a finite number.
    """
    import msgspec

    if not all(map(math.isfinite, _fractions(values))):
        raise ValueError("a number is infinite or not a number")
    record = msgspec.convert(values, RunRecord)
    msgspec.convert(record.config, _Config)
    msgspec.convert(record.result, _Result)
    if not record.authors:
        raise ValueError("it names no author")
    record.config = _Settings(record.config)
    if isinstance(recipe := record.config.get("recipe"), dict):
        record.config["recipe"] = _Settings(recipe)
    record.machine = _Settings(record.machine)
    return record


def _fractions(values: Any) -> Iterator[float]:  # noqa: ANN401 - JSON
    todo = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, float):
            yield value
        elif isinstance(value, dict | list):
            todo += value.values() if isinstance(value, dict) else value


@dataclass(frozen=True)
class RunFolder:
    """A run on disk; all paths derive from ``path``."""

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
        """The checkpoint from which training resumes."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def paraphrases_file(self) -> Path:
        """The posts that the base rewrote; like the checkpoint, it is deleted after training."""
        return self.path / "checkpoint" / "paraphrases.json"

    @property
    def bot(self) -> Path:
        """The bot folder."""
        return self.path / "bot"

    @property
    def picture(self) -> Path:
        """The picture of a generated post."""
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
        """The unfiltered generated posts of the report."""
        return self.path / "report" / "generations.json"

    @property
    def human_file(self) -> Path:
        """Answers from quizzes, if any were played."""
        return self.path / "report" / "human.json"

    @property
    def favourites_file(self) -> Path:
        """Generated posts that users marked."""
        return self.path / "favourites.json"

    @property
    def published_file(self) -> Path:
        """The repository of the bot, if it was published."""
        return self.path / "published.json"

    @property
    def track_file(self) -> Path:
        """Where the run is tracked, if it is."""
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
            raise BotError(f"{file} is missing or damaged. Train the bot again.") from error

    def record(self) -> RunRecord:
        """Read ``run.json``.

        Raises:
            BotError: the file is missing, damaged, or from a newer version.
        """
        try:
            values = files.read_json(self.record_file, most_bytes=_MOST_RECORD_BYTES)
            if values.get("format", FORMAT) > FORMAT:  # before fields whose types may differ
                raise BotError(
                    f"{self.path} was made by a newer huggingtweets. Upgrade huggingtweets."
                )
            return _checked_record(values)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BotError(
                f"{self.path} is not a run folder: it has no run.json. {suggestion(self.path)}"
            ) from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise BotError(
                f"{self.record_file} is damaged: {reason}. Train the bot again, or delete it with: "
                f"huggingtweets delete {self.path}"
            ) from error

    def held_out_bits_per_byte(self) -> float | None:
        """Return the bot's held-out bits per byte; None if it wasn't measured yet.

        The report measured the saved bot. Training measured its weights before they were rounded to
        the precision in which a bot is saved; that number stands in until there is a report.
        """
        with suppress(OSError, ValueError, TypeError, KeyError):
            return float(files.read_json(self.report_json)["bits_per_byte"]["bot"])
        best = self.record().result.get("best")
        return None if best is None else float(best)

    def replace_table(self, name: Table, table: pl.DataFrame) -> None:
        """Replace one of the tables under ``data/`` atomically."""
        file = self.path / "data" / f"{name}.parquet"
        with files.atomic_write(file) as temporary:
            _write_table(table, temporary)

    def save(self, record: RunRecord) -> None:
        """Write ``run.json`` atomically."""
        files.write_json(self.record_file, asdict(record))

    def append_event(self, event: dict[str, Any]) -> None:
        """Append one line to ``events.jsonl``."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
        with (
            files.wrap_os_errors(self.events_file),
            open(self.events_file, "ab+", opener=files.private_opener) as file,
        ):
            if file.tell():
                file.seek(-1, os.SEEK_END)
                is_truncated = file.read() != b"\n"  # after a crash: start a new line
                line = "\n" + line if is_truncated else line
            file.write(line.encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """Return all events so far, without a last line truncated by a crash."""
        events = []
        with suppress(FileNotFoundError):
            for line in self.events_file.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, RecursionError):
                    events.append(json.loads(line))
        return [event for event in events if isinstance(event, dict)]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run against other processes, make it private, and remove a crash's leftovers.

        Raises:
            StorageError: another process holds the lock.
        """
        with files.locked(self.path):
            files.make_private(self.path)
            yield

    def remove_leftovers(self) -> None:
        """Remove half-written files and folders."""
        for folder in (self.path, *(path for path in self.path.iterdir() if path.is_dir())):
            for left in files.leftovers(folder):
                files.remove(left)

    def is_live(self) -> bool:
        """Whether a process is working on this run."""
        return files.is_locked(self.path)

    def display_state(self) -> str:
        """Return the state for users: an unfinished run in use by no process was interrupted."""
        state = self.record().state
        if state in ("done", "failed"):
            return state
        return state if self.is_live() else f"interrupted ({state})"

    def staleness_warning(self) -> str | None:
        """Describe a bot that was trained on posts deleted since; None if there are none."""
        forgotten = self.record().forgotten
        if not forgotten or not (self.bot / "config.json").is_file():
            return None
        posts = "1 post was" if forgotten == 1 else f"{forgotten:,} posts were"
        return f"out of date: {posts} deleted by their author since; train it again"

    def check_up_to_date(self) -> None:
        """Check that the bot may be passed on: it may repeat posts that were deleted since.

        Raises:
            BotError: it is out of date.
        """
        if outdated := self.staleness_warning():
            raise BotError(
                f"The bot {self.path.name} is {outdated} before you pass it on "
                "(train --resume RUN)."
            )


def create(out: Path, record: RunRecord, tables: dict[str, pl.DataFrame]) -> RunFolder:
    """Create the run folder ``out/record.name`` with its tables, or nothing.

    Raises:
        StorageError: the folder exists, can't be written, or the disk is full.
    """
    final = out / record.name
    building = out / f".{record.name}.{files.writer()}.new"
    new_parents = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with files.wrap_os_errors(final):
            files.remove_abandoned(out)
            files.make_folder(building / "data")
            run = RunFolder(building)
            for name, table in tables.items():
                with files.atomic_write(building / "data" / f"{name}.parquet") as temporary:
                    _write_table(table, temporary)
            run.save(record)
            run.events_file.touch(0o600)
            _publish_folder(building, final)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        for folder in new_parents:  # remove the empty folders created above
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
        raise StorageError(f"{final} already exists. Choose another --name.")
    building.rename(final)


def unique_name(out: Path, wanted: str) -> str:
    """Return ``wanted``, or ``wanted-2``, ``wanted-3``… if that exists in ``out``."""
    names = (wanted if i == 1 else f"{wanted}-{i}" for i in range(1, 100_000))
    return next(name for name in names if not (out / name).exists())


def list_runs(out: Path) -> list[RunFolder]:
    """Return every run folder in ``out``, oldest first."""
    if not out.is_dir():
        return []
    runs = [RunFolder(p) for p in out.iterdir() if (p / "run.json").is_file() and p.name[0] != "."]
    return sorted(runs, key=lambda run: (run.record_file.stat().st_mtime, run.path.name))


def named(spec: Path, out: Path = Path("runs")) -> Path:
    """Return the run folder that a user means: ``demo`` is ``runs/demo`` unless it is there itself.

    Args:
        spec: a path, or the name of a run.
        out: folder that holds the runs.
    """
    is_name = len(spec.parts) == 1 and spec.name not in ("", ".", "..")
    return out / spec if is_name and not spec.exists() and (out / spec).is_dir() else spec


def suggestion(spec: str | Path) -> str:
    """Return a sentence that names the runs most like a name that doesn't exist, or lists them."""
    out = Path(spec).parent if len(Path(spec).parts) > 1 else Path("runs")
    names = [run.path.name for run in list_runs(out)]
    wanted = Path(spec).name.casefold()
    close = difflib.get_close_matches(wanted, [name.casefold() for name in names], 2, 0.6)
    alike = [name for name in names if name.casefold() in close]
    if not alike:
        return "huggingtweets runs lists yours."
    return f"Did you mean {' or '.join(str(out / name) for name in alike)}?"


def check_space(out: Path, parameters: int) -> None:
    """Raise an error if the disk has too little space for a run, before anything is written.

    A checkpoint holds fp32 weights and two moments, 12 bytes per parameter, and the best weights
    take up to 4; both exist twice while they are replaced. Base and bot take up to 4 each.

    Args:
        out: folder of the run's folder; it may not exist yet.
        parameters: of the base.

    Raises:
        StorageError: it says how much is needed.
    """
    needed = parameters * (2 * (12 + 4) + 4 + 4)
    existing = next(
        folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists()
    )
    with files.wrap_os_errors(out):
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise StorageError(
            f"Can't write to {out}: the disk has {free / 1e6:,.0f} MB left and this run needs "
            f"{needed / 1e6:,.0f} MB. Free some space or choose another --out."
        )
