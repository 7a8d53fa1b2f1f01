"""Tar files from strangers, packed by gzip or not, read without harm.

As with :mod:`~huggingtweets.sources.safe_zip`, nothing is ever extracted to disk and an archive
that holds what no export does is refused. A tar has no list of its members: it is gone through
once to find and check them, and again up to the member that is read. :mod:`tarfile`'s own ``data``
filter would not do: it looks at where members would be written, and neither at how much a few
bytes unpack to nor at headers of any length, which are read whole.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, cast

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import CHUNK, listed
from huggingtweets.sources.safe_zip import LARGEST_MEMBER, leads_out

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path
    from typing import Self

TAR_ENDINGS = (".tar.gz", ".tgz", ".tar")
"""How the names of tar files end."""

_SUSPECT_SIZE = 100 * 1000**2  # bytes of which the ratio is taken
_HIGHEST_RATIO = 200  # posts with all their fields deflate about 20 times
_LONGEST_HEADER = 64 * 1024  # bytes; names of any length lie in headers of their own
_MOST_MEMBERS = 1_000_000
_HEADERS = frozenset(
    {
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    }
)

# What tarfile and gzip raise on damaged input.
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
    """A checked tar file; use it in a ``with closing(...)`` statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[str, int] = {}
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path} is empty.")
        self._check_all()

    def close(self) -> None:
        """Do nothing: the file is closed after each pass."""

    def names(self) -> list[str]:
        """Return the names of all files, in the order of the tar."""
        return list(self._sizes)

    def check(self, names: list[str]) -> None:
        """Refuse files too large to be posts."""
        for name in names:
            if self._sizes[name] > LARGEST_MEMBER:
                raise SourceError(
                    f"{listed([name], 1)} in {self._path} would unpack to "
                    f"{self._sizes[name]:,} bytes, more than any export holds; download it again."
                )

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        """Stream one file that :meth:`check` has passed."""
        with self._faults_told(), closing(self._passed()) as passed:
            for tar, member in passed:
                if not member.isreg() or _plain(member.name) != name:
                    continue
                content = tar.extractfile(member)
                while content is not None and (chunk := content.read(CHUNK)):
                    yield chunk
                return

    def _check_all(self) -> None:
        """Go through the whole tar once."""
        count = 0
        with closing(self._passed()) as passed:
            for _, member in passed:
                self._check_member(member)
                count += 1
                if count > _MOST_MEMBERS:
                    raise SourceError(
                        f"{self._path} holds over {_MOST_MEMBERS:,} files, more than any export; "
                        "unpack it and give the folder."
                    )
                if member.isreg():
                    self._sizes.setdefault(_plain(member.name), member.size)

    def _passed(self) -> Generator[tuple[tarfile.TarFile, tarfile.TarInfo], None, None]:
        """Yield the members one after another; only the latest can be read, and is kept."""
        with self._faults_told(), closing(_Unpacked(self._path)) as unpacked:
            stream = cast("IO[bytes]", unpacked)
            with tarfile.open(
                fileobj=stream, mode="r|", tarinfo=_ShortHeaders, bufsize=CHUNK
            ) as tar:
                while (member := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                    yield tar, member

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise SourceError(f"{self._path} can't be read: {error.strerror}.") from error
        except _Bomb as error:
            raise SourceError(
                f"{self._path} looks like a bomb ({error}); give the export as it was downloaded."
            ) from error
        except _DAMAGE as error:
            raise SourceError(
                f"{self._path} is not a tar.gz file, or a damaged one; download it again."
            ) from error

    def _check_member(self, member: tarfile.TarInfo) -> None:
        name = listed([member.name], 1)
        if leads_out(_plain(member.name)):
            raise SourceError(
                f"{self._path} holds the unsafe name {name!r}, which no export does; "
                "download it again."
            )
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise SourceError(
                f"{self._path} holds a link, a device or the like ({name!r}), which no export "
                "does; download it again."
            )


class _Bomb(Exception):  # noqa: N818 - reads as what it is
    """What unpacks to far more than any export; the text says to how much."""


class _ShortHeaders(tarfile.TarInfo):
    """Members whose long names and the like have some bound: tarfile reads them whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError("negative size")
        if member.type in _HEADERS and member.size > _LONGEST_HEADER:
            raise _Bomb(f"a header of {member.size:,} bytes")
        return member


class _Unpacked:
    """The bytes inside, as a stream that fails where a few bytes unpack to many."""

    def __init__(self, path: Path) -> None:
        self._packed = path.open("rb")
        zipped = self._packed.read(2) == b"\x1f\x8b"
        self._packed.seek(0)
        self._stream: IO[bytes] = (
            cast("IO[bytes]", gzip.GzipFile(fileobj=self._packed)) if zipped else self._packed
        )
        self._since = 0  # bytes unpacked since the last look at the ratio
        self._place = 0  # in the packed file, then

    def read(self, size: int) -> bytes:
        """Read on; each 100 MB must come from half a MB at least."""
        data = self._stream.read(size)
        self._since += len(data)
        if self._since > _SUSPECT_SIZE:
            packed = self._packed.tell() - self._place
            if self._since > _HIGHEST_RATIO * packed:
                raise _Bomb(f"{self._since:,} bytes from {packed:,}")
            self._since, self._place = 0, self._packed.tell()
        return data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._packed.close()


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
