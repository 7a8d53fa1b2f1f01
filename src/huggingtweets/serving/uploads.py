"""Received files, with limits that hold from their first byte.

.. code-block:: text

    VISITOR'S FOLDER/uploads/ID/NAME     a file that was received completely
    VISITOR'S FOLDER/uploads/.ID/NAME    one that is being received

An id is random and ends with a tag of the client that sent the file, so that one client's files
count together however many cookies it has. A whole upload is reserved before its first byte is
read, so uploads at the same time can't exceed a limit together.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from huggingtweets.errors import InputError, StorageError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.serving.schemas import Settings

ID = re.compile(r"upload-[0-9a-f]{32}-(?P<tag>[0-9a-f]{0,16})")
"""What a visitor learns of an upload; as a source it stands for the file."""

RETENTION_HOURS = 24.0
"""How long an unused upload or an export is kept."""

_EXTENSIONS = (
    *(".zip", ".js", ".tar.gz", ".tgz", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"),
    *(".txt", ".car", ".gz", ".bz2", ".xz", ".zst", ".xml", ".rss", ".atom"),
)
_SUPPORTED = (
    "the export of a network or chat (.zip, .tar.gz, .js, .car, .xml), or a table or list (.csv, "
    ".tsv, .json, .jsonl, .parquet, .txt)"
)
_MOST_FILES = 100  # of one visitor at a time
_PARTIAL_HOURS = 1.0  # kept of what a killed server was receiving


class Uploads:
    """The uploads of all visitors.

    Args:
        settings: of the server.
        home: ``OUT/.app``.
    """

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings, self._home = settings, home
        self._reserved: dict[object, tuple[Path, str, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def reserve(self, folder: Path, tag: str, size: int) -> Iterator[Arrivals]:
        """Reserve room for an upload, until its files are complete or removed.

        Args:
            folder: uploads folder of the visitor.
            tag: of the client, in hexadecimal digits.
            size: bytes of all its files together, at most.

        Raises:
            StorageError: the visitor, the client or the server has no room for it.
        """
        key = object()
        with self._lock:
            self._check_room(folder, tag, size)
            self._reserved[key] = folder, tag, size
        arrivals = Arrivals(folder, tag, self._settings.max_upload_mb)
        try:
            yield arrivals
        finally:
            arrivals.remove_unfinished()
            with self._lock:
                del self._reserved[key]

    def _check_room(self, folder: Path, tag: str, size: int) -> None:
        everyone = own = client = count = 0
        for file in (file for each in self.folders() for file in each.glob("[!.]*/*")):
            found = ID.fullmatch(file.parent.name)
            with suppress(OSError):  # removed meanwhile
                bytes_of_file = file.stat().st_size
                everyone += bytes_of_file
                is_own = file.parent.parent == folder
                own, count = own + is_own * bytes_of_file, count + is_own
                client += bytes_of_file if found and tag and found["tag"] == tag else 0
        for of_folder, of_client, reserved in self._reserved.values():
            everyone += reserved
            own += reserved if of_folder == folder else 0
            client += reserved if tag and of_client == tag else 0
        settings = self._settings
        total = settings.total_uploads_mb * 1e6
        each = min(total, settings.uploads_of_a_visitor_mb * 1e6)
        if everyone + size > total:
            raise StorageError("The server's storage for uploads is full; try again later.")
        if settings.shared and (own + size > each or client + size > 2 * each):
            raise StorageError(
                f"Your uploads would take over {each / 1e6:,.0f} MB together, which is the limit. "
                "Train a bot from them, or wait: unused files are deleted after a day."
            )
        if count >= _MOST_FILES:
            raise StorageError(
                f"You have {count} unused uploads, which is the limit; wait until they are deleted."
            )

    def folders(self) -> list[Path]:
        """The uploads folders of all visitors."""
        return [self._home / "uploads", *(self._home / "visitors").glob("*/uploads")]

    def remove(self, file: Path) -> None:
        """Delete an upload and its folder."""
        if any(is_upload(file, folder) for folder in self.folders()):
            shutil.rmtree(file.parent, ignore_errors=True)

    def clean_up(self, in_use: set[Path]) -> None:
        """Delete old exports, old uploads that are not ``in_use``, and what was left half received.

        The age is that of the folder's last change of state, which the system's clock sets: unlike
        the time of a file's content, nobody who sends a file can choose it.
        """
        used = {file.parent for file in in_use}
        arriving = self._home / "arriving"  # what Gradio has in place of uploads
        uploads = self.folders()
        exports = [folder.with_name("exports") for folder in uploads]
        places = [place for place in (arriving, *uploads, *exports) if place.is_dir()]
        for folder in (entry for place in places for entry in place.iterdir()):
            partial = folder.name.startswith(".")
            hours = _PARTIAL_HOURS if partial else RETENTION_HOURS
            if folder not in used:
                remove_if_older(folder, hours)


def remove_if_older(path: Path, hours: float) -> None:
    """Delete a folder or file whose last change of state is longer ago."""
    with suppress(OSError, StorageError):
        if path.stat().st_ctime < time.time() - 3600 * hours:
            files.remove(path)


class Arrivals:
    """The files of one upload while they are received.

    Args:
        folder: uploads folder of the visitor.
        tag: of the client.
        limit: of one file, in MB.
    """

    def __init__(self, folder: Path, tag: str, limit: float) -> None:
        self._folder, self._tag, self._limit = folder, tag, limit
        self._parts: list[Path] = []

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file for writing, under a safe name.

        Raises:
            InputError: its kind is not supported, or it is too large.
            StorageError: it can't be written.
        """
        safe = _safe_file_name(name)
        if not safe.lower().endswith(_EXTENSIONS):
            raise InputError(f"{safe} has an unsupported file type; use {_SUPPORTED}.")
        with files.wrap_os_errors(Path(safe)):
            part = self._folder / f".upload-{secrets.token_hex(16)}-{self._tag}"
            files.make_folder(self._folder)
            self._parts.append(part)
            part.mkdir(mode=0o700)
            with open(part / safe, "wb", opener=files.private_opener) as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
        size = (part / safe).stat().st_size
        if size > self._limit * 1e6:
            raise InputError(
                f"{safe} is too large: {size / 1e6:,.0f} MB, the limit is {self._limit:,.0f} MB. "
                "Remove the media from the archive, or start the server with a higher "
                "--max-upload-mb."
            )

    def finish(self) -> list[Path]:
        """Keep all files, and return their paths; the name of the parent is the id."""
        kept = []
        with files.wrap_os_errors(self._folder):
            while self._parts:
                part = self._parts[0]
                folder = part.rename(part.with_name(part.name.removeprefix(".")))
                self._parts.pop(0)
                kept += list(folder.iterdir())
        return kept

    def remove_unfinished(self) -> None:
        """Delete what was not kept."""
        for part in self._parts:
            shutil.rmtree(part, ignore_errors=True)


def find_upload(folder: Path, upload_id: str) -> Path | None:
    """The file of an upload in a visitor's folder, or None."""
    if not ID.fullmatch(upload_id):
        return None
    try:
        [file] = (folder / upload_id).iterdir()
    except (OSError, ValueError):
        return None
    return file if file.is_file() and not file.is_symlink() else None


def is_upload(file: Path, folder: Path) -> bool:
    """Whether a path has the form ``folder/RANDOM/FILE``; the file system is not consulted."""
    return ".." not in file.parts and file.parent.parent == folder


def _safe_file_name(name: str) -> str:
    """A file name without folders and special characters, shortened to 100 characters."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.+-]+", "_", last).strip("._") or "posts"
    return plain if len(plain) <= 100 else plain[:80] + plain[-20:]
