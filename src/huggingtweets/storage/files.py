"""Atomic writes and file locks. A reader sees the old file or the new one, never half of one.

Every file of a run is written here: temporary file in the same folder, fsync, rename.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "it is on a read-only file system; choose another folder",
    errno.EACCES: "permission denied; choose another folder",
    errno.EPERM: "permission denied; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


@contextmanager
def wrap_os_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised while writing ``path`` into a :class:`StorageError`.

    Raises:
        StorageError: it names the path, the cause and what to do.
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"Can't write {path}: {reason}.") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` once its contents are on disk.

    On any error the temporary file is removed and ``path`` doesn't change.
    """
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def atomic_write_dir(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``path`` once its files are on disk.

    An existing folder at ``path`` is removed just before the rename.
    """
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        try:
            yield temporary
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):
                sync(file)
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(path.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes.

    Raises:
        StorageError: another process holds the lock.
    """
    from filelock import Timeout

    lock = file_lock(folder)
    with wrap_os_errors(folder):
        try:
            lock.acquire()
        except Timeout as error:  # which is an OSError as well
            raise StorageError(f"{folder} is in use by another process.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def waiting_for(folder: Path) -> Iterator[None]:
    """Lock a folder, waiting while another process holds the lock.

    Raises:
        StorageError: the folder can't be written.
    """
    from filelock import FileLock

    with wrap_os_errors(folder), FileLock(folder / ".lock"):
        yield


def file_lock(folder: Path) -> FileLock:
    """Return the lock that :func:`locked` takes; it never waits."""
    from filelock import FileLock

    return FileLock(folder / ".lock", blocking=False)


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def to_os_error(error: Exception) -> OSError:
    """Return the ``OSError`` that caused another library's exception, by the number in its text.

    Rust libraries report a full disk as ``… (os error 28)`` in exceptions of their own.
    """
    match = re.search(r"os error (\d+)", str(error))
    number = int(match[1]) if match else errno.EIO
    return OSError(number, os.strerror(number) if match else str(error))
