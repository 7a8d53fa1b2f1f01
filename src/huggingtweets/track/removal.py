"""Remove tracked runs, with their artifacts, from trackio's database on this machine.

trackio deletes runs but keeps their artifacts, and has no command for those. So this module changes
its database (of trackio 0.43) and blob folder as trackio does: one transaction, and a blob goes
when no version refers to it. Freed pages are overwritten, so that no text stays in the file.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import StorageError
from huggingtweets.storage import files
from huggingtweets.storage.places import trackio_folder
from huggingtweets.track.sync import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_OWN_KINDS = ("raw-dataset", "train-dataset", "finetuned-model")
_RUN_TABLES = ("metrics", "configs", "system_metrics", "traces", "alerts", "pending_uploads")
_LINKS = ("run_artifact_links", "external_run_artifact_links")
_SECONDS_TO_WAIT = 30.0


def remove_from_trackio(
    is_chosen: Callable[[dict[str, Any]], bool], holds: Callable[[Path], bool] = lambda _: False
) -> int:
    """Remove runs, and the datasets and bots that no other run uses; return the number of runs.

    Args:
        is_chosen: whether to remove a run, given its configuration. Its ``id`` begins with the
            ``id`` in ``track.json``.
        holds: whether a stored Parquet file holds posts that must go, with all runs that use it.

    Raises:
        StorageError: the database is damaged or in use.
    """
    database = trackio_folder() / f"{PROJECT}.db"
    if not database.is_file():
        return 0
    try:
        with closing(sqlite3.connect(database, _SECONDS_TO_WAIT, isolation_level=None)) as opened:
            return _Store(opened, database.parent).remove(is_chosen, holds)
    except sqlite3.Error as error:
        raise StorageError(
            f"trackio's database {database} can't be changed ({error}). Close trackio's dashboard."
        ) from error


class _Store:
    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database = database
        self._blobs = folder / "artifacts" / PROJECT / "blobs" / "sha256"

    def remove(
        self, is_chosen: Callable[[dict[str, Any]], bool], holds: Callable[[Path], bool]
    ) -> int:
        self._database.execute("PRAGMA secure_delete = ON")
        self._database.execute("BEGIN IMMEDIATE")
        try:
            before = self._digests()
            configs = {run: _parse(text) for run, text in self._all("run_id, config", "configs")}
            chosen = {run for run, config in configs.items() if is_chosen(config)}
            chosen |= self._users_of({digest for digest in before if holds(self._blob(digest))})
            # the three jobs of a tracked run belong together
            groups = {_group(configs[run]) for run in chosen & configs.keys()} - {""}
            chosen |= {run for run, config in configs.items() if _group(config) in groups}
            self._delete("run_id", chosen, (*_RUN_TABLES, *_LINKS))
            self._delete_unused_versions()
            gone = before - self._digests()
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        if chosen or gone:
            self._database.execute("VACUUM")
        (busy, _, _) = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("it is in use")
        for digest in gone:
            with files.wrap_os_errors(self._blob(digest)):
                self._blob(digest).unlink(missing_ok=True)
        for partial in self._blobs.glob("**/*.partial.*"):  # left by a crash
            partial.unlink(missing_ok=True)
        return len(groups) if groups else len(chosen)

    def _all(self, columns: str, table: str) -> list[Any]:
        return self._database.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608

    def _delete(self, column: str, values: Iterable[Any], tables: Iterable[str]) -> None:
        for table in tables:
            for value in values:
                self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", (value,))  # noqa: S608

    def _digests(self) -> set[str]:
        """Return the digests of all files that versions of artifacts refer to."""
        return {
            entry["digest"]
            for (manifest,) in self._all("manifest", "artifact_versions")
            for entry in json.loads(manifest)
            if "digest" in entry
        }

    def _users_of(self, digests: set[str]) -> set[str]:
        """Return the runs that made or used a version with one of these files."""
        versions = {
            version
            for version, manifest in self._all("id, manifest", "artifact_versions")
            if digests & {entry.get("digest") for entry in json.loads(manifest)}
        }
        links = self._all("run_id, artifact_version_id", "run_artifact_links")
        users = {run for run, version in links if version in versions and run}
        self._delete("artifact_version_id", versions, ("run_artifact_links",))
        return users

    def _delete_unused_versions(self) -> None:
        """Delete versions of our kinds that no run is linked with, as trackio leaves them."""
        unused = self._database.execute(
            "SELECT v.id FROM artifact_versions v JOIN artifacts a ON a.id = v.artifact_id "
            "WHERE a.type IN (?, ?, ?) AND v.id NOT IN "
            "(SELECT artifact_version_id FROM run_artifact_links)",
            _OWN_KINDS,
        ).fetchall()
        versions = [version for (version,) in unused]
        self._delete("artifact_version_id", versions, ("artifact_aliases",))
        self._delete("id", versions, ("artifact_versions",))
        self._database.execute(
            "DELETE FROM artifacts WHERE id NOT IN (SELECT artifact_id FROM artifact_versions)"
        )

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest[:2] / digest


def _parse(config: bytes | str | None) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        values = json.loads(config or "{}")
        if isinstance(values, dict):
            return values
    return {}


def _group(config: dict[str, Any]) -> str:
    """The id in ``track.json``, which the ids of a run's three jobs begin with."""
    return str(config.get("id", "")).rpartition("-")[0]
