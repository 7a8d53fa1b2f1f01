"""Zip files from strangers, read without harm.

Nothing is ever extracted to disk, so a ``../`` name or a symbolic link could do nothing here; such
an archive is refused all the same, since no network writes one and somebody made it for a reason.
Members are streamed. A bomb fails on the sizes that the zip declares, before a byte of it is read:
:mod:`zipfile` never hands out more than a member declares, for stored and deflated members, which
are the only ones read (bzip2 and LZMA can grow a thousandfold inside one call).
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import CHUNK

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LARGEST_MEMBER = 4 * 1024**3
"""Bytes. Twenty years of tweets are a tenth of it."""

_SUSPECT_SIZE = 100 * 1000**2  # bytes from which the ratio counts
_HIGHEST_RATIO = 200  # tweets with all their fields deflate about 20 times

# What zipfile raises on damaged input; the last four come from fields it does not check.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    ValueError,
    OverflowError,
    IndexError,
)


class SafeZip:
    """A checked zip file; use it in a ``with`` statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        try:
            self._size = path.stat().st_size
            self._zip = zipfile.ZipFile(path)
        except PermissionError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}.") from error
        except _DAMAGE as error:
            raise self._unreadable() from error
        self._members = {_plain(info.filename): info for info in self._zip.infolist()}
        try:
            for info in self._members.values():
                self._check_name(info)
        except SourceError:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of all members, in the order of the zip, with forward slashes."""
        return [name for name, info in self._members.items() if not info.is_dir()]

    def check(self, names: list[str]) -> None:
        """Refuse members that are encrypted, packed in a rare way, or a bomb, alone or together."""
        infos = [self._members[name] for name in names]
        for info in infos:
            self._check_packing(info)
            self._check_size(info.filename, info.file_size, info.compress_size)
        # Members that overlap share the same packed bytes; together they are in the file once.
        self._check_size("all parts", sum(info.file_size for info in infos), self._size)

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        """Stream one member that :meth:`check` has passed."""
        try:
            with self._zip.open(self._members[name]) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except _DAMAGE as error:
            raise SourceError(
                f"{name} in {self._path} is damaged; download the archive again."
            ) from error

    def _unreadable(self) -> SourceError:
        if self._size == 0:
            return SourceError(f"{self._path} is empty.")
        return SourceError(
            f"{self._path} is not a zip file, or a damaged one; download the archive again."
        )

    def _check_name(self, info: zipfile.ZipInfo) -> None:
        name = _plain(info.orig_filename)
        if leads_out(name):
            raise SourceError(
                f"{self._path} holds the unsafe name {name[:80]!r}, which no export does; "
                "give the zip as it was downloaded."
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError(
                f"{self._path} holds a symbolic link ({name[:80]!r}), which no export does; "
                "give the zip as it was downloaded."
            )

    def _check_packing(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 1:
            raise SourceError(
                f"{info.filename} in {self._path} is encrypted; "
                "unpack the zip with its password and give the folder."
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceError(
                f"{info.filename} in {self._path} is packed in a rare way; "
                "unpack the zip and give the folder."
            )

    def _check_size(self, name: str, size: int, packed: int) -> None:
        bomb = size > _SUSPECT_SIZE and size > _HIGHEST_RATIO * packed
        if bomb or (size > LARGEST_MEMBER and name != "all parts"):
            raise SourceError(
                f"{self._path} looks like a zip bomb ({name} would unpack to {size:,} bytes "
                f"from {packed:,}); give the zip as it was downloaded."
            )


def leads_out(name: str) -> bool:
    """Tell whether a member's name, with forward slashes, leads out of the archive's folder."""
    outside = name.startswith("/") or ".." in name.split("/")
    return outside or re.match("[A-Za-z]:", name) is not None


def _plain(name: str) -> str:
    return name.replace("\\", "/")
