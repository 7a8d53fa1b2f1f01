"""Decompress a file while it is read: gzip, bzip2, xz and Zstandard, told by the first bytes.

Each call returns a bounded piece, so a bomb costs time but no memory, and it ends at a ratio that
no text reaches.
"""

from __future__ import annotations

import bz2
import lzma
import re
import sys
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHUNK = 1 << 20
"""Bytes per read."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zstd")
"""Extensions after that of the format, as in ``posts.csv.gz``."""


class _Named(Protocol):
    """A path, or a file of a zip."""

    @property
    def suffix(self) -> str: ...
    @property
    def stem(self) -> str: ...


_PUSHSHIFT = re.compile(r"R[CS]_\d{4}-\d\d|.+_(?:comments|submissions)")
"""Dumps of Reddit are called so, and then ``.zst``."""


def format_of(path: _Named) -> str:
    """Return the extension that tells the format: ``.csv`` of ``posts.csv.gz``."""
    suffix = path.suffix.lower()
    if suffix not in COMPRESSED:
        return suffix
    inner = PurePosixPath(path.stem).suffix.lower()
    return ".jsonl" if not inner and _PUSHSHIFT.fullmatch(path.stem) else inner


_MAX_BYTES = 16 * 1024**3
"""Unpacked: four times the largest file that a zip may hold, for tables of whole networks."""

_MIN_SUSPECT_SIZE = 100 * 1000**2  # bytes; below it, any compression ratio is fine
_MAX_RATIO = 200  # posts compress about 20 times
_MEMORY = 256 * 1024**2  # bytes that xz may use for its dictionary


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)


def _zstandard() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor
    else:
        from backports.zstd import ZstdDecompressor

    return ZstdDecompressor()


def _errors() -> tuple[type[Exception], ...]:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdError
    else:
        from backports.zstd import ZstdError

    return (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError, ZstdError)


_KINDS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b\x08", _Gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
    (b"\x28\xb5\x2f\xfd", _zstandard),
)
_BZIP2_BLOCK = (b"1AY&SY", b"\x17rE8P\x90")  # a text may begin with "BZh"


def decompressed(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Yield chunks as they are, or decompressed.

    Args:
        chunks: of the file.
        where: the file's name for error messages.

    Raises:
        SourceError: the compressed data is damaged or a bomb.
    """
    iterator = iter(chunks)
    first = next(iterator, b"")
    start = next((start for mark, start in _KINDS if first.startswith(mark)), None)
    if start is None or (first.startswith(b"BZh") and not first[4:].startswith(_BZIP2_BLOCK)):
        if first:
            yield first
        yield from iterator
        return
    try:
        yield from _pieces(first, iterator, start, where)
    except _errors() as error:
        raise SourceError(
            f"{where} is damaged, or was not downloaded to its end ({error}); get it again."
        ) from error


def _pieces(
    first: bytes, chunks: Iterator[bytes], start: Callable[[], _Decompressor], where: str
) -> Iterator[bytes]:
    """Decompress one stream after another, as ``cat a.gz b.gz`` makes them."""
    data, read, written = first, len(first), 0
    stream = start()
    while True:
        piece = stream.decompress(data, CHUNK)
        data = b""
        written += len(piece)
        if written > _MAX_BYTES or (written > _MIN_SUSPECT_SIZE and written > _MAX_RATIO * read):
            raise SourceError(
                f"{where} looks like a decompression bomb (over {written:,} bytes from {read:,}); "
                "unpack it yourself if you trust it, and give a part of it."
            )
        if piece:
            yield piece
        if stream.eof:
            data = stream.unused_data or next(chunks, b"")
            read += 0 if stream.unused_data else len(data)
            if not data.strip(b"\0"):  # padding, as of a tape
                return
            stream = start()
        elif stream.needs_input:
            data = next(chunks, b"")
            read += len(data)
            if not data:
                raise EOFError("it ends too early")
