"""The sweep's folder and its study: where all that a sweep knows is kept.

.. code-block:: text

    SWEEP/
      sweep.json            sources and settings; enough to go on with the sweep
      journal.log           the studies, unless --storage names another place
      data/authors.parquet  the posts, curated and split; they stay here
      workers.log           what worker processes wrote to stderr
      report/               made by `sweep report`

A study is Optuna's and any Optuna tool opens it. Each trial keeps, beside its parameters and the
objective, as user attributes: ``recipe`` (all fields), ``order`` (of the authors),
``author:NAME`` for every author it got to (an :class:`~huggingtweets.sweep.trial.Outcome`),
``owner`` and ``beat`` (who works on it, when last), ``default`` (the default recipe), ``retry_of``
(the trial that it goes on with) and ``ended`` (why it didn't complete).
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import optuna
    import polars as pl

FORMAT = 1
AUTHOR = "author:"
"""Before the author's name in the user attributes of a trial."""


@dataclass
class Settings:
    """What decides a sweep's numbers, and where it is kept.

    Attributes:
        name: of the study; the folder's.
        sources: as given, paths absolute.
        authors: handles, in the order they were given.
        fingerprint: of all posts and how they are split.
        space: see :mod:`huggingtweets.sweep.search_space`.
        objective: robust, mean, median or worst.
        base: what bots start from.
        base_width: of its hidden states, which the default recipe's rate goes by.
        holdout: share of each author's posts that recipes are judged by.
        posts: the newest training posts of each author that are used; None for all.
        seed: of trainings and of the search.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` or ``fp32``.
        storage: a journal file, relative to the folder, or an SQL address without its password.
        owner: a name of this folder's own, to tell its trials from those of other machines.
        forgotten: posts that their author deleted after the sweep had begun.
        format: version of this file's shape.
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
    format: int = FORMAT

    def shared(self) -> dict[str, Any]:
        """What must be the same on all machines that work on one study."""
        own = ("name", "sources", "storage", "owner", "device", "forgotten", "base_width")
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
        """The posts."""
        return self.path / "data" / "authors.parquet"

    def settings(self) -> Settings:
        """Read ``sweep.json``.

        Raises:
            BotError: it is missing, damaged, or written by a newer version.
        """
        try:
            values = json.loads(self.settings_file.read_text("utf-8"))
            if values.get("format", FORMAT) > FORMAT:
                raise BotError(f"{self.path} was made by a newer huggingtweets; please upgrade.")
            known = {f.name for f in fields(Settings)}
            return Settings(**{key: value for key, value in values.items() if key in known})
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BotError(f"{self.path} is no folder of a sweep: it has no sweep.json.") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BotError(f"{self.settings_file} is damaged: {error}.") from error

    def create(self, settings: Settings, posts: pl.DataFrame) -> None:
        """Make the folder, all of it or nothing.

        Raises:
            StorageError: it can't be written, or holds something else.
        """
        from huggingtweets.sweep.posts import save_authors

        with files.wrap_os_errors(self.path):
            if self.path.exists() and any(self.path.iterdir()):
                raise StorageError(f"{self.path} is there and no sweep; choose another --out.")
        with files.atomic_write_dir(self.path) as building:
            made = SweepFolder(building)
            save_authors(posts, made.authors_file)
            files.write_json(made.settings_file, asdict(settings))

    def storage(
        self, settings: Settings, address: str | None = None
    ) -> optuna.storages.BaseStorage:
        """Open the storage of the sweep's studies.

        Args:
            settings: of the sweep.
            address: with its password, where settings must not hold it.

        Raises:
            InputError: Optuna or a database driver is missing, or a password.
            StorageError: it can't be opened.
        """
        kept = settings.storage
        if "://" not in kept:
            return _journal(self.path / kept)
        return _sql(kept if address is None or kept.startswith("sqlite") else address)


def load_optuna() -> None:
    """Import Optuna and keep its log off the user's screen.

    Raises:
        InputError: it isn't installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "Sweeps need Optuna; install it with: pip install 'huggingtweets[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def redacted_storage_url(given: str | None) -> str:
    """What of ``--storage`` goes into ``sweep.json``: a path made absolute, or an address.

    Raises:
        InputError: the address can't be understood.
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
            "--storage can't be understood; give a file, sqlite:///FILE or postgresql://USER@HOST/NAME."
        ) from error
    if url.drivername.startswith("sqlite") and url.database:
        url = url.set(database=str(Path(url.database).absolute()))
    # not url.set, which takes a password of None for no change
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
            _mend(file)
        finally:
            lock.release()
        try:
            return JournalStorage(backend)
        except (ValueError, KeyError, AssertionError) as error:
            raise StorageError(
                f"{file} is damaged or no journal of Optuna's; choose another --storage."
            ) from error


def _mend(file: Path) -> None:
    """Take away a last line that a crash has cut: Optuna reads no journal with such a line."""
    with file.open("rb+") as journal:
        size = journal.seek(0, os.SEEK_END)
        if not size:
            return
        journal.seek(0)
        whole = journal.read().rfind(b"\n") + 1
        if whole < size:
            journal.truncate(whole)


def _sql(address: str) -> optuna.storages.BaseStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(address)
    except ImportError as error:
        raise InputError(
            "--storage needs a driver that isn't installed; for PostgreSQL install it with: "
            "pip install psycopg2-binary"
        ) from error
    except (SQLAlchemyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
        raise StorageError(
            f"The database of --storage can't be used: {reason[:200]}; check the address, and "
            "whether the database is there."
        ) from error


def outcomes_of(trial: optuna.trial.FrozenTrial) -> dict[str, dict[str, Any]]:
    """What a trial came out at with every author that it got to."""
    return {
        key.removeprefix(AUTHOR): value
        for key, value in trial.user_attrs.items()
        if key.startswith(AUTHOR)
    }


def values_of(trial: optuna.trial.FrozenTrial) -> dict[str, float]:
    """Held-out bits per byte of every author that a trial got to."""
    found = {}
    for author, outcome in outcomes_of(trial).items():
        with suppress(KeyError):
            if outcome["bits_per_byte"] is not None:
                found[author] = float(outcome["bits_per_byte"])
    return found
