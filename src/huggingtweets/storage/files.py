"""Atomic writes, private files and file locks.

A reader sees the old file or the new one, never half of one: every file of a run is written to a
temporary file in the same folder, flushed to disk and renamed. Files may hold posts, so only this
user may read them, whatever the umask: folders have the mode 0700 and files 0600. Only
a folder that is made for a web server has the modes of the umask.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "it is on a read-only file system; choose another folder",
    errno.EACCES: "permission denied; choose another folder",
    errno.EPERM: "permission denied; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


_LEFTOVER = re.compile(r"\..+(\.\w{8}\.tmp|\.\w+\.new|\.deleted|\.before)")
_WRITER = re.compile(r"\..+\.([0-9a-f]{8})p(\d+)\.(\w{8}\.tmp|new)")
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
_SECONDS_IN_USE = 600.0
"""A temporary file of an unknown process that was changed within this time may be in use."""


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


def is_full(error: BaseException | None) -> bool:
    """Whether an error was caused by a full disk or a quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents for this user alone; existing ones don't change.

    Raises:
        OSError: it can't be created.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(_FOLDER_MODE, exist_ok=True)
        folder.chmod(_FOLDER_MODE)  # the umask may have taken more away


def make_private(folder: Path) -> None:
    """Take a folder and all it contains away from other users; links don't change.

    Earlier versions left files readable to others. What belongs to another user stays as it is.
    """
    _restrict(folder)
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            _restrict(Path(parent, name))


def _restrict(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if mode & 0o077 and not stat.S_ISLNK(mode):
            path.chmod(_FOLDER_MODE if stat.S_ISDIR(mode) else _FILE_MODE)


def writer() -> str:
    """Return this process's mark in the names of temporary files: the machine and the process."""
    return f"{_MACHINE}p{os.getpid()}"


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that no longer run left half-written directly in a folder.

    Files of running processes, of other machines and of earlier versions stay for ten minutes.
    Whole runs that were set aside stay.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.endswith((".tmp", ".new")) and _is_abandoned(path):
            with suppress(StorageError):  # another process may remove it as well
                remove(path)


def _is_abandoned(path: Path) -> bool:
    if not _LEFTOVER.fullmatch(path.name):
        return False
    named = _WRITER.fullmatch(path.name)
    if named and named[1] == _MACHINE and not _is_running(int(named[2])):
        return True
    with suppress(OSError):  # removed meanwhile
        return path.lstat().st_mtime < time.time() - _SECONDS_IN_USE
    return False


def _is_running(process: int) -> bool:
    if sys.platform == "win32":  # where asking with the signal 0 ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def leftovers(folder: Path, *, in_use: bool = False) -> list[Path]:
    """Return what crashes left behind directly in a folder: half-written files and folders.

    Args:
        folder: to search.
        in_use: whether a running process may be writing there, whose files are left out.
    """
    found = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if _LEFTOVER.fullmatch(path.name)
    ]
    newest = time.time() - _SECONDS_IN_USE
    return sorted(p for p in found if not in_use or p.lstat().st_mtime < newest)


def remove(path: Path) -> bool:
    """Remove a folder or file; return whether it was there.

    Raises:
        StorageError: it can't be removed.
    """
    with wrap_os_errors(path):
        if not path.is_symlink() and path.is_dir():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink(missing_ok=True)
        else:
            return False
    return True


def mode_of(path: Path) -> int:
    """Return the permissions of a file that the user may have opened to others, else 0600."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return _FILE_MODE


def private_opener(path: str, flags: int) -> int:
    """Create files for this user alone, as the ``opener`` of :func:`open`."""
    return os.open(path, flags, _FILE_MODE)


def _prefix(path: Path) -> str:
    return f".{path.name}.{writer()}."


@contextmanager
def atomic_write(path: Path, mode: int = _FILE_MODE) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` once its contents are on disk.

    On any error the temporary file is removed and ``path`` doesn't change.

    Args:
        path: the file to write.
        mode: its permissions.
    """
    with wrap_os_errors(path):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(mode)
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def atomic_write_dir(path: Path, *, public: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``path`` once its files are on disk.

    An existing folder at ``path`` is removed just before the rename. A ``public`` one gets the
    modes of the umask: a web server is another user.
    """
    with wrap_os_errors(path):
        make_folder(path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp"))
        try:
            yield temporary
            _make_public(temporary) if public else make_private(temporary)
            for file in temporary.rglob("*"):
                sync(file)
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(path.parent)


def _make_public(folder: Path) -> None:
    mask = os.umask(0o077)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


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
        for place in (folder, *folder.iterdir()):
            remove_abandoned(place)
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

    with wrap_os_errors(folder), FileLock(folder / ".lock", mode=_FILE_MODE):
        remove_abandoned(folder)
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder."""
    from filelock import Timeout

    try:
        with file_lock(folder):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that can't be written can't be in use
        return False


def file_lock(folder: Path) -> FileLock:
    """Return the lock that :func:`locked` takes; it never waits."""
    from filelock import FileLock

    return FileLock(folder / ".lock", mode=_FILE_MODE, blocking=False)


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str, mode: int = _FILE_MODE) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, *, most_bytes: int = 1 << 30) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Read a JSON file that may be damaged.

    Args:
        path: the file.
        most_bytes: its size limit.

    Raises:
        OSError: it can't be read.
        ValueError: it is not JSON, or too large or too deeply nested to be read.
    """
    if (size := path.stat().st_size) > most_bytes:
        raise ValueError(f"it has {size:,} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


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
