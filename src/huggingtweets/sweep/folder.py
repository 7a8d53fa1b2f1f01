"""The sweep folder and its Optuna storage.

.. code-block:: text

    SWEEP/
      sweep.json            sources and settings; enough to resume the sweep
      journal.log           the studies, unless --storage names another place
      data/authors.parquet  the posts, curated and split; they never leave this folder
      workers.log           stderr of the worker processes
      report/               written by `sweep report`

A study is a normal Optuna study that any Optuna tool can open. Besides parameters and objective,
each trial has these user attributes: ``recipe`` (all fields), ``order`` (of the authors),
``author:NAME`` for each evaluated author (an :class:`~huggingtweets.sweep.trial.Outcome`),
``owner`` and ``beat`` (host id and last heartbeat), ``default`` (whether it is the default recipe),
``retry_of`` (number of the trial that it continues) and ``ended`` (why it didn't complete).
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.decoding import convert
from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import optuna
    import polars as pl

FORMAT = 1
AUTHOR = "author:"
"""Prefix of the author's name in a trial's user attributes."""


@dataclass
class Settings:
    """The contents of ``sweep.json``.

    Attributes:
        name: name of the study, that of the folder.
        sources: sources as given, with absolute paths.
        authors: handles, in the order given.
        fingerprint: hash of all posts and their split.
        space: see :mod:`huggingtweets.sweep.search_space`.
        objective: robust, mean, median or worst.
        base: the base.
        base_width: hidden size of the base, which the default learning rate depends on.
        holdout: share of each author's posts that is held out.
        posts: most training posts of each author, the newest; None for all.
        seed: seed of the trainings and of the search.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` or ``fp32``.
        storage: a journal file, relative to the folder, or an SQL address without its password.
        owner: unique id of this folder, which tells its trials from those of other machines.
        forgotten: number of posts that their author deleted since the sweep started.
        speaker: whose messages of a chat are the posts.
        join: whether messages of a chat were joined.
        keep_names: whether the names of the other people of a chat stay in the posts.
        format: version of the file format.
    """

    name: str
    sources: list[str]
    authors: list[str]
    fingerprint: str
    space: dict[str, Any]
    objective: str
    base: str
    holdout: float
    posts: int | None
    seed: int
    device: str
    precision: str
    base_width: int = RECIPES["fast"].base_width
    storage: str = "journal.log"
    owner: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    forgotten: int = 0
    speaker: str | None = None
    join: bool = False
    keep_names: bool = False
    format: int = FORMAT

    def shared(self) -> dict[str, Any]:
        """Return the settings that must agree on all machines that share a study."""
        own = {"name", "sources", "storage", "owner", "device", "forgotten", "base_width"}
        own |= {"speaker", "join", "keep_names"}  # the fingerprint tells the posts apart
        return {key: value for key, value in asdict(self).items() if key not in own}


@dataclass(frozen=True)
class SweepFolder:
    """A sweep on disk."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """``sweep.json``."""
        return self.path / "sweep.json"

    @property
    def authors_file(self) -> Path:
        """``data/authors.parquet``."""
        return self.path / "data" / "authors.parquet"

    def settings(self) -> Settings:
        """Read ``sweep.json``.

        Raises:
            BotError: the file is missing, damaged, or from a newer version.
        """
        try:
            values = files.read_json(self.settings_file)
            if values.get("format", FORMAT) > FORMAT:
                raise BotError(
                    f"{self.path} was made by a newer huggingtweets. Upgrade huggingtweets."
                )
            return convert(values, Settings)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BotError(f"{self.path} is not a sweep folder: it has no sweep.json.") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BotError(f"{self.settings_file} is damaged: {error}.") from error

    def create(self, settings: Settings, posts: pl.DataFrame) -> None:
        """Create the folder with all its files, or nothing.

        Raises:
            StorageError: the folder can't be written, or has other contents.
        """
        from huggingtweets.sweep.posts import save_authors

        with files.wrap_os_errors(self.path):
            if self.path.exists() and any(self.path.iterdir()):
                raise StorageError(
                    f"{self.path} exists and is not a sweep folder. Choose another --out."
                )
        with files.atomic_write_dir(self.path) as building:
            folder = SweepFolder(building)
            save_authors(posts, folder.authors_file)
            files.write_json(folder.settings_file, asdict(settings))

    def storage(
        self, settings: Settings, address: str | None = None
    ) -> optuna.storages.BaseStorage:
        """Open the storage of the sweep's studies.

        Args:
            settings: settings of the sweep.
            address: SQL address with its password, which ``sweep.json`` doesn't hold.

        Raises:
            InputError: a database driver is missing.
            StorageError: the storage can't be opened.
        """
        saved = settings.storage
        if "://" not in saved:
            return _journal(self.path / saved)
        return _sql(saved if address is None or saved.startswith("sqlite") else address)


def load_optuna() -> None:
    """Import Optuna and silence its log.

    Raises:
        InputError: Optuna isn't installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "Sweeps need Optuna. Install it with: pip install 'huggingtweets[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def redacted_storage_url(given: str | None) -> str:
    """Return ``--storage`` for ``sweep.json``: an absolute path, or an address without password.

    Raises:
        InputError: the address is invalid.
    """
    if given is None:
        return "journal.log"
    if "://" not in given:
        return str(Path(given).expanduser().absolute())
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(given)
    except ArgumentError as error:
        raise InputError(
            "--storage is not a valid address: give a file, sqlite:///FILE or "
            "postgresql://USER@HOST/NAME."
        ) from error
    if url.drivername.startswith("sqlite") and url.database:
        url = url.set(database=str(Path(url.database).absolute()))
    # not url.set, for which a password of None means no change
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database)
    query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    return bare.update_query_dict(query).render_as_string(hide_password=False)


def _journal(file: Path) -> optuna.storages.BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    with files.wrap_os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalFileSymlinkLock(str(file))
        backend = JournalFileBackend(str(file), lock)
        lock.acquire()
        try:
            _remove_partial_line(file)
        finally:
            lock.release()
        try:
            return JournalStorage(backend)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise StorageError(
                f"{file} is damaged or not an Optuna journal. Choose another --storage."
            ) from error


def _remove_partial_line(file: Path) -> None:
    """Remove a last line truncated by a crash, with which Optuna can't read a journal."""
    with file.open("rb+") as journal:
        size = journal.seek(0, os.SEEK_END)
        if not size:
            return
        journal.seek(0)
        complete = journal.read().rfind(b"\n") + 1
        if complete < size:
            journal.truncate(complete)


def _sql(address: str) -> optuna.storages.BaseStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(address)
    except ImportError as error:
        raise InputError(
            "--storage needs a database driver. For PostgreSQL, install it with: "
            "pip install psycopg2-binary"
        ) from error
    except (SQLAlchemyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
        raise StorageError(
            f"The database of --storage can't be used: {reason[:200]}. Check the address and "
            "whether the database exists."
        ) from error


def outcomes_of(trial: optuna.trial.FrozenTrial) -> dict[str, dict[str, Any]]:
    """Return the outcome of each author that a trial has evaluated."""
    return {
        key.removeprefix(AUTHOR): value
        for key, value in trial.user_attrs.items()
        if key.startswith(AUTHOR)
    }


def values_of(trial: optuna.trial.FrozenTrial) -> dict[str, float]:
    """Return the held-out bits per byte of each author that a trial has evaluated."""
    values = {}
    for author, outcome in outcomes_of(trial).items():
        with suppress(KeyError):
            if outcome["bits_per_byte"] is not None:
                values[author] = float(outcome["bits_per_byte"])
    return values
