"""Read untrusted zip files safely.

Nothing is extracted to disk, so a ``../`` name or a symbolic link would be harmless; such archives
are refused anyway, because no network writes them. Members are streamed. A zip bomb is detected by
its declared sizes, before it is read: for stored and deflated members, the only ones read,
:mod:`zipfile` never returns more than a member declares (bzip2 and LZMA can grow a thousandfold
inside one call).
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._compressed import CHUNK

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MAX_MEMBER_BYTES = 4 * 1024**3
"""Ten times the size of twenty years of tweets."""

_MAX_MEMBERS = 300_000
"""Archives with all photos have some ten thousand; zipfile takes 550 bytes of memory for each."""

_MAX_INDEX_BYTES = 128 * 1024**2
_INDEX_ENTRY = b"PK\x01\x02"  # each entry of the index begins with it
_MIN_SUSPECT_SIZE = 100 * 1000**2  # bytes; below it, any compression ratio is fine
_MAX_RATIO = 200  # tweets with all their fields compress about 20 times

# Exceptions that zipfile raises on damaged input; the last four come from fields it doesn't check.
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
            self._file = _BoundedIndexFile(path)
        except PermissionError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}.") from error
        except _DAMAGE as error:
            raise self._unreadable() from error
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._members = {_normalize(info.filename): info for info in self._zip.infolist()}
            for info in self._members.values():
                self._check_name(info)
        except _DAMAGE as error:
            self.close()
            raise self._unreadable() from error
        except SourceError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> list[str]:
        """Return the names of all files, in archive order, with forward slashes."""
        return [name for name, info in self._members.items() if not info.is_dir()]

    def check(self, names: list[str]) -> None:
        """Refuse members that are encrypted, oddly compressed, or a bomb, alone or together."""
        infos = [self._members[name] for name in names]
        for info in infos:
            self._check_compression(info)
            self._check_size(info.filename, info.file_size, info.compress_size)
        # Overlapping members share packed bytes, so compare their sum with the size of the file.
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
        name = _normalize(info.orig_filename)
        if is_unsafe_name(name):
            raise SourceError(
                f"{self._path} contains the unsafe name {name[:80]!r}, unlike any export; "
                "give the zip as you downloaded it."
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError(
                f"{self._path} contains a symbolic link ({name[:80]!r}), unlike any export; "
                "give the zip as you downloaded it."
            )

    def _check_compression(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 1:
            raise SourceError(
                f"{info.filename} in {self._path} is encrypted; "
                "unpack the zip with its password and give the folder."
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceError(
                f"{info.filename} in {self._path} uses an unsupported compression method; "
                "unpack the zip and give the folder."
            )

    def _check_size(self, name: str, size: int, packed: int) -> None:
        is_bomb = size > _MIN_SUSPECT_SIZE and size > _MAX_RATIO * packed
        if is_bomb or (size > MAX_MEMBER_BYTES and name != "all parts"):
            raise SourceError(
                f"{self._path} looks like a zip bomb ({name} would unpack to {size:,} bytes "
                f"from {packed:,}); give the zip as you downloaded it."
            )


class _BoundedIndexFile(io.BufferedReader):
    """A zip file that refuses to give out an enormous index, which zipfile reads in one piece."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes."""
        if size is not None and size <= CHUNK:
            return super().read(size)  # of a member, or a small index
        if size is None or size > _MAX_INDEX_BYTES:
            raise self._too_many()
        data = super().read(size)
        if data.count(_INDEX_ENTRY) > _MAX_MEMBERS:
            raise self._too_many()
        return data

    def _too_many(self) -> SourceError:
        return SourceError(
            f"{self._path} holds over {_MAX_MEMBERS:,} files, more than any export; "
            "unpack it and give the folder."
        )


def is_unsafe_name(name: str) -> bool:
    """Return whether a name, with forward slashes, points outside the archive's folder."""
    is_outside = name.startswith("/") or ".." in name.split("/")
    return is_outside or re.match("[A-Za-z]:", name) is not None


def _normalize(name: str) -> str:
    return name.replace("\\", "/")
