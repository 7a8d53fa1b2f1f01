"""Older versions of a bot in its run folder, and the exchange that makes another one current.

.. code-block:: text

    RUN/
      versions/3/      version 3 as it was: run.json, events.jsonl, bot/, data/, report/
      update/          the next version while it is made; the next process that locks the run
                       removes what a crash left
      exchange.json    there while parts are exchanged

Several folders can't be replaced by one rename. So an exchange is first written down: until then
the run is the old version, from then on it is the new one. Whoever opens the run completes an
exchange that was interrupted.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files, fleets

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, STAGING, JOURNAL = "versions", "update", "exchange.json"
PARTS = ("bot", "data", "report", "events.jsonl")
"""What a version consists of, besides ``run.json``."""

_RECORD = "run.json"
_PLACE = re.compile(rf"{STAGING}|{FOLDER}/[1-9][0-9]{{0,8}}")
_SECONDS_TO_WAIT = 10.0


def numbers(run: Path) -> list[int]:
    """Return the numbers of the versions kept in a run folder, oldest first."""
    folder = run / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _PLACE.fullmatch(f"{FOLDER}/{name}"))


def exchange(run: Path, incoming: Path, number: int) -> None:
    """Make another version the current one and keep the current one; the run must be locked.

    Args:
        run: run folder.
        incoming: folder of the version in the run folder, ``update`` or one of ``versions``; it is
            removed.
        number: of the current version.

    Raises:
        StorageError: the disk is full or can't be written. If the exchange has begun, whoever
            opens the run next completes it.
    """
    kept = run / FOLDER / str(number)
    with files.wrap_os_errors(kept):
        files.remove(kept)  # an exchange that was interrupted before it was written down
        files.make_folder(kept)
        with files.atomic_write(kept / _RECORD) as temporary:
            shutil.copyfile(run / _RECORD, temporary)
        for path in (*incoming.rglob("*"), incoming, kept):
            files.sync(path)
        plan = {
            "in": str(incoming.relative_to(run).as_posix()),
            "out": f"{FOLDER}/{number}",
            "leaving": [part for part in PARTS if (run / part).exists()],
        }
    files.write_json(run / JOURNAL, plan)
    complete(run)


def complete(run: Path) -> None:
    """Complete an exchange that was written down, if there is one; the run must be locked.

    Raises:
        BotError: the note of the exchange is damaged.
        StorageError: the folder can't be written.
    """
    journal = run / JOURNAL
    if not journal.exists():
        return
    incoming, kept, leaving = _read(run, journal)
    with files.wrap_os_errors(run):
        for part in PARTS:
            # each step is skipped if it was done before the interruption
            if part in leaving and not (kept / part).exists():
                (run / part).rename(kept / part)
            if (incoming / part).exists():
                (incoming / part).rename(run / part)
        files.sync(kept)
        if (incoming / _RECORD).exists():
            (incoming / _RECORD).replace(run / _RECORD)
        files.sync(run)
        journal.unlink()
        discard(incoming)


def complete_if_interrupted(run: Path) -> None:
    """Complete an exchange whose process was killed; wait for one that goes on.

    Raises:
        BotError: the note of the exchange is damaged.
        StorageError: the folder can't be written, or another process uses it.
    """
    if not (run / JOURNAL).exists():
        return
    from filelock import Timeout

    lock = files.file_lock(run)
    with files.wrap_os_errors(run):
        try:
            lock.acquire(timeout=_SECONDS_TO_WAIT, blocking=True)
        except Timeout as error:
            raise StorageError(f"{run} is being updated by another process.") from error
    try:
        complete(run)
        fleets.store_again(run)
    finally:
        lock.release()


def discard(folder: Path) -> None:
    """Remove a version; a reader sees all of it or nothing.

    Raises:
        StorageError: it can't be removed.
    """
    trash = folder.with_name(f".{folder.name}.deleted")
    files.remove(trash)
    with files.wrap_os_errors(folder), suppress(FileNotFoundError):
        folder.rename(trash)
    files.remove(trash)


def remove_leftovers(run: Path) -> None:
    """Complete or remove what a crash left; the run must be locked.

    Raises:
        BotError: the note of an exchange is damaged.
        StorageError: the folder can't be written.
    """
    complete(run)
    discard(run / STAGING)
    for left in files.leftovers(run / FOLDER):
        files.remove(left)
    for number in numbers(run):  # of an exchange that was interrupted before it was written down
        folder = run / FOLDER / str(number)
        if folder.is_symlink() or not folder.is_dir():
            continue
        with files.wrap_os_errors(folder):
            is_begun = {path.name for path in folder.iterdir()} <= {_RECORD}
        if is_begun:
            discard(folder)


def _read(run: Path, journal: Path) -> tuple[Path, Path, list[str]]:
    """Read a note. It may be a stranger's, so it can name nothing but versions of this run."""
    try:
        plan: Any = files.read_json(journal, most_bytes=10_000)
        incoming, kept, leaving = plan["in"], plan["out"], list(plan["leaving"])
        are_versions = _PLACE.fullmatch(incoming) and _PLACE.fullmatch(kept) and incoming != kept
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BotError(f"{journal} is damaged ({error}). Delete it.") from error
    if not are_versions:
        raise BotError(f"{journal} names {incoming} and {kept}, no versions. Delete it.")
    for folder in (run / FOLDER, run / incoming, run / kept):
        if folder.is_symlink():
            raise BotError(f"{folder} is a link, which a version can't be. Delete it.")
    return run / incoming, run / kept, leaving
