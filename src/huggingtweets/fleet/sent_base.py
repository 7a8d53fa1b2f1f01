"""The base of a fleet on the machines of a cluster.

The driver puts the files of the base into the cluster once. A machine fetches them once and keeps
them in its cache, in a folder named after their SHA-256; later trainings of all its workers read
that folder.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from huggingtweets.nn import bases, language_model
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Files = dict[str, bytes]
"""Contents by path relative to a folder."""

_FOLDER = "sent"
_DAYS_TO_KEEP = 7


@dataclass(frozen=True, slots=True)
class SentBase:
    """A base that was put into the cluster.

    Attributes:
        name: in the fleet's settings: a built-in base, a path on the driver's machine or a Hub id.
        digest: SHA-256 of its files.
        reference: of the object with the files. As a field it isn't fetched until it is asked for.
    """

    name: str
    digest: str
    reference: Any


def send(name: str, put: Callable[[Files], Any]) -> SentBase:
    """Put a base into the cluster.

    Raises:
        BaseModelError: there is no such base.
    """
    folder = language_model.locate(name)
    sent = {file: (folder / file).read_bytes() for file in _names(folder)}
    return SentBase(name, _digest(folder), put(sent))


def on_this_machine(base: SentBase, get: Callable[[Any], Files]) -> str:
    """Return how to load the base here: a built-in one by its name, else the folder of its files.

    Args:
        base: as sent.
        get: fetches the object of a reference.

    Raises:
        StorageError: the cache can't be written.
    """
    if base.name in bases.BUILT_IN and bases.is_available(base.name):
        folder = bases.model_folder(base.name)
        if _digest(folder) == base.digest:
            return base.name
    folder = bases.cache_folder() / _FOLDER / base.digest
    with files.wrap_os_errors(folder):
        files.make_folder(folder.parent)
    with files.waiting_for(folder.parent):  # another worker may be fetching it
        _remove_old(folder)
        if not folder.is_dir():
            with files.atomic_write_dir(folder) as temporary:
                write_files(get(base.reference), temporary)
        os.utime(folder)
    return str(folder)


def _remove_old(wanted: Path) -> None:
    """Remove bases that no training has used for days."""
    oldest = time.time() - _DAYS_TO_KEEP * 86_400
    for folder in wanted.parent.iterdir():
        with suppress(FileNotFoundError):
            if folder != wanted and folder.is_dir() and folder.stat().st_mtime < oldest:
                files.remove(folder)


def _names(folder: Path) -> list[str]:
    """Return the names of the files that loading needs."""
    return language_model.needed_files(sorted(f.name for f in folder.iterdir() if f.is_file()))


@lru_cache(maxsize=8)
def _digest(folder: Path) -> str:
    """SHA-256 of the files that loading needs, computed once in each process."""
    found = hashlib.sha256()
    for name in sorted(_names(folder)):
        with (folder / name).open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        found.update(f"{name} {digest}\n".encode())
    return found.hexdigest()


def read_files(folder: Path, is_wanted: Callable[[str], bool]) -> Files:
    """Read the files of a folder whose path in it is wanted."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if is_wanted(name)}


def write_files(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, ``run.json`` last.

    Raises:
        ValueError: a path leaves the folder.
        StorageError: they can't be written.
    """
    for name in sorted(contents, key=lambda name: (name == "run.json", name)):
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"{name} leaves the folder")
        with files.atomic_write(folder / name) as temporary:
            temporary.write_bytes(contents[name])
