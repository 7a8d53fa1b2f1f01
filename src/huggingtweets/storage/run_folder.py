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
      bot/                 the model folder, for any Hugging Face tool, or of a small bot the
                           adapter to its base; only this is published
      report/              likeness.json, likeness.html, generations.json
                           human.json, answers from quizzes
      favourites.json      generated posts that users marked
      published.json       the repository on the Hub, if the bot was published
      exports.json         the folders to which the bot was exported
      versions/N/          older versions of an updated bot (:mod:`huggingtweets.storage.versions`)

A run folder is created with one rename after its posts are read, curated and found sufficient, so
bad input leaves nothing behind.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from huggingtweets.errors import BotError, HuggingTweetsError, StorageError
from huggingtweets.storage import files, fleets, versions
from huggingtweets.storage.run_record import FORMAT, RunRecord, State, checked_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

T = TypeVar("T")

__all__ = [
    "FORMAT",
    "RunFolder",
    "RunRecord",
    "State",
    "Table",
    "check_name_is_free",
    "check_space",
    "create",
    "folder_name",
    "list_runs",
    "named",
    "suggestion",
    "unique_name",
]

_MOST_RECORD_BYTES = 10_000_000
Table = Literal["posts", "kept", "dropped"]


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
    def has_bot(self) -> bool:
        """Whether the bot was saved: a whole model, or an adapter to its base."""
        return any((self.bot / name).is_file() for name in ("config.json", "adapter_config.json"))

    @property
    def is_small(self) -> bool:
        """Whether the bot is an adapter to its base."""
        return self.has_bot and not (self.bot / "config.json").is_file()

    @property
    def picture(self) -> Path:
        """The picture of a generated post."""
        return self.bot / "predictions.png"

    @property
    def dark_picture(self) -> Path:
        """The same picture on a dark ground, for the web app; it is not published."""
        return self.path / "report" / "predictions-dark.png"

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
    def space_file(self) -> Path:
        """The Space with the bot's page, if it was published."""
        return self.path / "published-space.json"

    @property
    def exports_file(self) -> Path:
        """The folders to which the bot was exported, if it was."""
        return self.path / "exports.json"

    @property
    def track_file(self) -> Path:
        """Where the run is tracked, if it is."""
        return self.path / "track" / "track.json"

    @property
    def staging(self) -> RunFolder:
        """The next version of the bot, while it is made; a run folder like this one."""
        return RunFolder(self.path / versions.STAGING)

    def versions(self) -> dict[int, RunFolder]:
        """The older versions that are kept, by number; each is a run folder like this one."""
        folder = self.path / versions.FOLDER
        return {n: RunFolder(folder / str(n)) for n in versions.numbers(self.path)}

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
        """Read ``run.json``, after completing an exchange of versions that was interrupted.

        Raises:
            BotError: the file is missing, damaged, or from a newer version.
        """
        versions.complete_if_interrupted(self.path)
        try:
            values = files.read_json(self.record_file, most_bytes=_MOST_RECORD_BYTES)
            if values.get("format", FORMAT) > FORMAT:  # before fields whose types may differ
                raise BotError(
                    f"{self.path} was made by a newer huggingtweets. Upgrade huggingtweets."
                )
            return checked_record(values, str(self.record_file))
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

    def read_steadily(self, read: Callable[[], T]) -> T:
        """Read several files of one version: again if an update exchanged them meanwhile.

        While parts are exchanged, ``bot/`` is missing for a moment; :meth:`record` waits for that.

        Args:
            read: reads the files; called again only if another version became the current one.

        Raises:
            HuggingTweetsError: what ``read`` raised on files that didn't change.
        """
        while True:
            version = self.record().version
            try:
                result = read()
            except (HuggingTweetsError, OSError):
                if self.record().version == version:
                    raise
                continue
            if self.record().version == version:
                return result

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

        A finished run of a fleet is stored again at the end.

        Raises:
            StorageError: another process holds the lock.
        """
        with files.locked(self.path):
            files.make_private(self.path)
            versions.remove_leftovers(self.path)
            try:
                yield
            finally:
                fleets.store_again(self.path)

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
        record = self.record()
        if not record.forgotten or not self.has_bot:
            return None
        posts = "1 post was" if record.forgotten == 1 else f"{record.forgotten:,} posts were"
        renew = "train its bots again and merge them again" if record.merged else "train it again"
        return f"out of date: {posts} deleted by their author since; {renew}"

    def renewal(self) -> str:
        """Return the arguments of the command that renews a bot that is out of date."""
        merged = self.record().merged
        if not merged:
            return f"train --resume {self.path}"
        paths = " ".join(shlex.quote(str(bot["path"])) for bot in merged["bots"])
        weights = ",".join(f"{weight:g}" for weight in merged["weights"])
        return f"merge {paths} --weights {weights} --method {merged['method']}"

    def check_up_to_date(self) -> None:
        """Check that the bot may be passed on: it may repeat posts that were deleted since.

        Raises:
            BotError: it is out of date.
        """
        if outdated := self.staleness_warning():
            raise BotError(
                f"The bot {self.path.name} is {outdated} before you pass it on "
                f"({self.renewal() if self.record().merged else 'train --resume RUN'})."
            )


def create(
    out: Path,
    record: RunRecord,
    tables: dict[str, pl.DataFrame],
    save_bot: Callable[[Path], None] | None = None,
) -> RunFolder:
    """Create the run folder ``out/record.name`` with its tables, or nothing.

    Args:
        out: folder of the run's folder.
        record: contents of ``run.json``.
        tables: by name.
        save_bot: writes the bot into a new folder, for a bot that exists already.

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
            if save_bot is not None:
                with files.atomic_write_dir(run.bot) as temporary:
                    save_bot(temporary)
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


def check_name_is_free(run: RunFolder) -> None:
    """Raise an error if the run folder exists, before anything is read."""
    if run.path.exists():
        unfinished = run.record_file.is_file() and run.record().state != "done"
        resume = f", or resume it with: huggingtweets train --resume {run.path}"
        raise StorageError(
            f"{run.path} already exists. Choose another --name{resume if unfinished else '.'}"
        )


def folder_name(authors: Sequence[str]) -> str:
    """Return a folder name made of the authors' handles."""
    name = re.sub(r"[^\w.-]+", "_", "+".join(authors).replace("+", "-and-"))
    return name.strip("._-")[:80] or "bot"


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


def check_space(
    out: Path,
    parameters: int,
    bytes_each: int = 2 * (12 + 4) + 4 + 4,
    remedy: str = "Free some space or choose another --out.",
) -> None:
    """Raise an error if the disk has too little space for a run, before anything is written.

    A checkpoint holds fp32 weights and two moments, 12 bytes per parameter, and the best weights
    take up to 4; both exist twice while they are replaced. Base and bot take up to 4 each.

    Args:
        out: folder of the run's folder; it may not exist yet.
        parameters: of the base.
        bytes_each: needed for each parameter; the default is that of a training.
        remedy: ends the error.

    Raises:
        StorageError: it says how much is needed.
    """
    needed = parameters * bytes_each
    existing = next(
        folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists()
    )
    with files.wrap_os_errors(out):
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise StorageError(
            f"Can't write to {out}: the disk has {free / 1e6:,.1f} MB left, and "
            f"{needed / 1e6:,.1f} MB are needed. {remedy}"
        )
