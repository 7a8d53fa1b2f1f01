"""Bytes to checked text, a chunk at a time.

Every text format goes through here, so that encoding, NUL bytes and endless lines are told in the
same words everywhere, and so that a 100 MB line costs one chunk (1 MB) of memory, not 100.
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
"""Bytes read at a time."""

LONGEST_POST = 100_000
"""Characters. The longest post of any network is a quarter of it."""


def file_chunks(path: Path) -> Generator[bytes, None, None]:
    """Read a file in chunks; what the system refuses becomes a sentence."""
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}.") from error


def decoded(chunks: Iterable[bytes], where: str) -> Iterator[str]:
    """Decode UTF-8 chunks without the byte order mark, with every line end as a newline."""
    utf8 = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    done = 0  # bytes before this chunk
    for chunk in chunks:
        if (nul := chunk.find(0)) >= 0:
            raise SourceError(
                f"{where} holds a NUL byte at {done + nul}, so it is not text; save it as UTF-8."
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
    waiting = decoder.getstate()[0]  # the first bytes of a character that the last chunk cut
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        position = done - len(waiting) + error.start
        raise SourceError(
            f"{where} is not UTF-8 text (byte 0x{byte:02X} at {position}); save it as UTF-8."
        ) from error


def lines(texts: Iterable[str], where: str, longest: int) -> Iterator[tuple[int, str]]:
    """Split decoded text into lines without their ends, numbered from 1.

    A line over ``longest`` characters is an error as soon as that many have been read.
    """
    number = 0
    rest = ""
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            number += 1
            _check_length(line, number, where, longest)
            yield number, line
        _check_length(rest, number + 1, where, longest)
    if rest:
        yield number + 1, rest


def _check_length(line: str, number: int, where: str, longest: int) -> None:
    if len(line) > longest:
        raise SourceError(
            f"Line {number} of {where} is over {longest:,} characters long; "
            "give a file with one post a line."
        )


def listed(names: Sequence[str], most: int) -> str:
    """List names that came from a file, fit for a sentence: few, short, on one line."""
    shown = ["".join(c if c.isprintable() else "?" for c in name[:40]) for name in names[:most]]
    return ", ".join(shown + ["…"] * (len(names) > most)) or "nothing"
