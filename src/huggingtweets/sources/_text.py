"""Decode bytes to checked text, one chunk at a time.

All text formats use these functions, so that wrong encodings, NUL bytes and endless lines give the
same errors everywhere, and a 100 MB line takes one chunk (1 MB) of memory.
"""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes per read."""

MAX_POST_CHARS = 100_000
"""Four times the longest post of any network."""


def file_chunks(path: Path) -> Generator[bytes, None, None]:
    """Read a file in chunks.

    Raises:
        SourceError: it can't be read.
    """
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}.") from error


def decode_utf8(chunks: Iterable[bytes], where: str) -> Iterator[str]:
    """Decode UTF-8 chunks, without the byte order mark and with every line end as a newline.

    Raises:
        SourceError: the chunks are not UTF-8 text.
    """
    utf8 = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    done = 0  # bytes before this chunk
    for chunk in chunks:
        if (nul := chunk.find(0)) >= 0:
            raise SourceError(
                f"{where} has a NUL byte at {done + nul}, so it is not text; save it as UTF-8."
            )
        text = _decode(utf8, chunk, done, where)
        if done == 0:
            text = text.removeprefix("\ufeff")
        done += len(chunk)
        yield newlines.decode(text)
    yield newlines.decode(_decode(utf8, b"", done, where, final=True), final=True)


def _decode(
    decoder: codecs.IncrementalDecoder, chunk: bytes, done: int, where: str, *, final: bool = False
) -> str:
    pending = decoder.getstate()[0]  # first bytes of a character split by the last chunk
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        position = done - len(pending) + error.start
        raise SourceError(
            f"{where} is not UTF-8 text (byte 0x{byte:02X} at {position}); save it as UTF-8."
        ) from error


def lines(texts: Iterable[str], where: str, max_chars: int) -> Iterator[tuple[int, str]]:
    """Split decoded text into lines without their ends, numbered from 1.

    Raises:
        SourceError: a line is over ``max_chars`` characters long; raised before its end is read.
    """
    number = 0
    rest = ""
    for text in texts:
        *complete, rest = (rest + text).split("\n")
        for line in complete:
            number += 1
            _check_length(line, number, where, max_chars)
            yield number, line
        _check_length(rest, number + 1, where, max_chars)
    if rest:
        yield number + 1, rest


def _check_length(line: str, number: int, where: str, max_chars: int) -> None:
    if len(line) > max_chars:
        raise SourceError(
            f"Line {number} of {where} is over {max_chars:,} characters long; "
            "give a file with one post per line."
        )


def list_names(names: Sequence[str], limit: int) -> str:
    """Format untrusted names for a message: few, short, printable, on one line."""
    shown = ["".join(c if c.isprintable() else "?" for c in name[:40]) for name in names[:limit]]
    return ", ".join(shown + ["…"] * (len(names) > limit)) or "nothing"
