"""Read untrusted tar files safely, with or without gzip compression.

As with :mod:`~huggingtweets.sources.safe_zip`, nothing is extracted to disk, and an archive with
content that no export has is refused. A tar has no index: one pass finds and checks the members,
and each read passes over the file up to its member. The ``data`` filter of :mod:`tarfile` is not
enough: it checks where members would be written, but neither compression bombs nor the headers,
which are read into memory and, before Python 3.11.10, searched in quadratic time (CVE-2024-6232).
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from huggingtweets.errors import SourceError
from huggingtweets.sources._compressed import CHUNK
from huggingtweets.sources._text import list_names
from huggingtweets.sources.safe_zip import MAX_MEMBER_BYTES, is_unsafe_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path
    from typing import Self

TAR_ENDINGS = (".tar.gz", ".tgz", ".tar")
"""Extensions of tar files."""

_RATIO_WINDOW = 100 * 1000**2  # unpacked bytes over which the compression ratio is measured
_MAX_RATIO = 200  # posts with all their fields compress about 20 times
_MAX_HEADER = 64 * 1024  # bytes; long names have headers of their own
_MAX_MEMBERS = 1_000_000
_HEADERS = frozenset(
    {
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    }
)

_PAX_LENGTH = re.compile(rb"(\d{1,5}) ")  # of a record, itself included
_MANY_DIGITS = re.compile(rb"\d{100}")
_SPARSE = b"GNU.sparse"

# Exceptions that tarfile and gzip raise on damaged input.
_DAMAGE = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    IndexError,
    RecursionError,
)


class SafeTar:
    """A checked tar file; use it in ``with closing(...)``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[str, int] = {}
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path} is empty.")
        self._check_all()

    def close(self) -> None:
        """Do nothing: the file is closed after each pass."""

    def names(self) -> list[str]:
        """Return the names of all files, in archive order."""
        return list(self._sizes)

    def check(self, names: list[str]) -> None:
        """Refuse files too large to be posts."""
        for name in names:
            if self._sizes[name] > MAX_MEMBER_BYTES:
                raise SourceError(
                    f"{list_names([name], 1)} in {self._path} would unpack to "
                    f"{self._sizes[name]:,} bytes, more than any export holds; download it again."
                )

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        """Stream one file that :meth:`check` has passed."""
        with self._wrap_errors(), closing(self._iter_members()) as members:
            for tar, member in members:
                if not member.isreg() or _normalize(member.name) != name:
                    continue
                content = tar.extractfile(member)
                while content is not None and (chunk := content.read(CHUNK)):
                    yield chunk
                return

    def _check_all(self) -> None:
        """Check all members in one pass and record their sizes."""
        count = 0
        with closing(self._iter_members()) as members:
            for _, member in members:
                self._check_member(member)
                count += 1
                if count > _MAX_MEMBERS:
                    raise SourceError(
                        f"{self._path} holds over {_MAX_MEMBERS:,} files, more than any export; "
                        "unpack it and give the folder."
                    )
                if member.isreg():
                    self._sizes.setdefault(_normalize(member.name), member.size)

    def _iter_members(self) -> Generator[tuple[tarfile.TarFile, tarfile.TarInfo], None, None]:
        """Yield the members in order; only the latest one can be read."""
        with self._wrap_errors(), closing(_Unpacked(self._path)) as unpacked:
            stream = cast("IO[bytes]", unpacked)
            with tarfile.open(
                fileobj=stream, mode="r|", tarinfo=_ShortHeaders, bufsize=CHUNK
            ) as tar:
                while (member := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # or it would grow without bound
                    yield tar, member

    @contextmanager
    def _wrap_errors(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise SourceError(f"{self._path} can't be read: {error.strerror}.") from error
        except _BombError as error:
            raise SourceError(
                f"{self._path} looks like a decompression bomb ({error}); give the export as you "
                "downloaded it."
            ) from error
        except _SpecialMemberError as error:
            raise self._special(str(error)) from error
        except _DAMAGE as error:
            raise SourceError(
                f"{self._path} is not a tar.gz file, or a damaged one; download it again."
            ) from error

    def _check_member(self, member: tarfile.TarInfo) -> None:
        name = list_names([member.name], 1)
        if is_unsafe_name(_normalize(member.name)):
            raise SourceError(
                f"{self._path} contains the unsafe name {name!r}, unlike any export; "
                "download it again."
            )
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise self._special(name)

    def _special(self, name: str) -> SourceError:
        return SourceError(
            f"{self._path} contains a link or device ({name!r}), unlike any export; "
            "download it again."
        )


class _SpecialMemberError(Exception):
    """A member that is not an ordinary file; the text is its name."""


class _BombError(Exception):
    """The archive unpacks to far more than any export; the text says to how much."""


class _ShortHeaders(tarfile.TarInfo):
    """Members with bounded, checked extension headers, which tarfile reads into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError("negative size")
        if member.type in _HEADERS and member.size > _MAX_HEADER:
            raise _BombError(f"a header of {member.size:,} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise _SpecialMemberError(list_names([member.name], 1))
        return member

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Check a header before tarfile parses it; no public method lies between the two."""
        stream: Any = tar.fileobj
        header: bytes = stream.read(self._block(self.size))  # type: ignore[attr-defined]
        _check_pax(header)
        tar.fileobj = cast("Any", _PutBack(header, stream))
        try:
            return super()._proc_pax(tar)  # type: ignore[misc, no-any-return]
        finally:
            tar.fileobj = stream


def _check_pax(header: bytes) -> None:
    """Refuse a header with records that no program writes: ``LENGTH NAME=VALUE`` and a newline."""
    if _MANY_DIGITS.search(header):
        raise tarfile.InvalidHeaderError("a long number")  # type: ignore[attr-defined]
    position = 0
    while position < len(header) and header[position]:
        length = _PAX_LENGTH.match(header, position)
        end = position + int(length[1]) if length else 0
        if length is None or end <= length.end() or header[end - 1 : end] != b"\n":
            raise tarfile.InvalidHeaderError("a broken record")  # type: ignore[attr-defined]
        name, equals, _ = header[length.end() : end].partition(b"=")
        if not equals:
            raise tarfile.InvalidHeaderError("a record without a name")  # type: ignore[attr-defined]
        if name.startswith(_SPARSE):
            raise _SpecialMemberError("a sparse file")
        position = end


class _PutBack:
    """A stream with bytes put back in front of it."""

    def __init__(self, data: bytes, stream: IO[bytes]) -> None:
        self._data, self._stream = data, stream

    def read(self, size: int) -> bytes:
        """Read the bytes put back, at once, then those of the stream."""
        data, self._data = self._data, b""
        return data or self._stream.read(size)

    def tell(self) -> int:
        """Return the position in the stream."""
        return self._stream.tell()


class _Unpacked:
    """A stream of the unpacked bytes that fails on a suspicious compression ratio."""

    def __init__(self, path: Path) -> None:
        self._packed = path.open("rb")
        is_gzip = self._packed.read(2) == b"\x1f\x8b"
        self._packed.seek(0)
        self._stream: IO[bytes] = (
            cast("IO[bytes]", gzip.GzipFile(fileobj=self._packed)) if is_gzip else self._packed
        )
        self._unpacked_bytes = 0  # since the last check of the ratio
        self._packed_position = 0  # at the last check

    def read(self, size: int) -> bytes:
        """Read bytes; each 100 MB must come from at least 0.5 MB of packed data."""
        data = self._stream.read(size)
        self._unpacked_bytes += len(data)
        if self._unpacked_bytes > _RATIO_WINDOW:
            packed = self._packed.tell() - self._packed_position
            if self._unpacked_bytes > _MAX_RATIO * packed:
                raise _BombError(f"{self._unpacked_bytes:,} bytes from {packed:,}")
            self._unpacked_bytes, self._packed_position = 0, self._packed.tell()
        return data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._packed.close()


def _normalize(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
