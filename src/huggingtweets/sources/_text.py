"""Decode bytes to checked text, one chunk at a time.

All text formats use these functions, so that wrong encodings, NUL bytes and endless lines give the
same errors everywhere, and a 100 MB line takes one chunk (1 MB) of memory.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._compressed import CHUNK, decompressed
from huggingtweets.sources._signatures import what_it_is
from huggingtweets.sources._zip_member import Member

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

MAX_POST_CHARS = 100_000
"""Four times the longest post of any network."""

LINE_SEPARATOR = "\u2028"
"""A line end inside a value, until the row is split into its values."""

_LINE_END = re.compile(r"\r+\n|\n|\r")


def file_chunks(path: Path | Member) -> Generator[bytes, None, None]:
    """Read a file in chunks, decompressed if its first bytes say that it is compressed.

    Raises:
        SourceError: it can't be read, or is a bomb.
    """
    if isinstance(path, Member):
        yield from decompressed(path.chunks(), str(path))
        return
    try:
        with path.open("rb") as stream:
            yield from decompressed(iter(lambda: stream.read(CHUNK), b""), str(path))
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}.") from error


def decode_utf8(chunks: Iterable[bytes], where: str, *, translate: bool = True) -> Iterator[str]:
    """Decode UTF-8 chunks, without the byte order mark and with every line end as a newline.

    UTF-16 with a byte order mark, as spreadsheets write it, is read as well.

    Args:
        chunks: the bytes.
        where: the file's name for error messages.
        translate: False to keep line ends as they are.

    Raises:
        SourceError: the chunks are not text.
    """
    decoder, is_utf16 = codecs.getincrementaldecoder("utf-8")(), False
    newlines = io.IncrementalNewlineDecoder(None, translate=translate)
    done = 0  # bytes before this chunk
    for chunk in chunks:
        if done == 0:
            if what := what_it_is(chunk):
                raise SourceError(f"{where} is {what}.")
            if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                decoder, is_utf16 = codecs.getincrementaldecoder("utf-16")(), True
        if not is_utf16 and (nul := chunk.find(0)) >= 0:
            raise SourceError(
                f"{where} has a NUL byte at {done + nul}, so it is not text; save it as UTF-8."
            )
        text = _decode(decoder, chunk, done, where)
        if done == 0:
            text = text.removeprefix("\ufeff")
        done += len(chunk)
        yield newlines.decode(text) if translate else text
    text = _decode(decoder, b"", done, where, final=True)
    yield newlines.decode(text, final=True) if translate else text


def _decode(
    decoder: codecs.IncrementalDecoder, chunk: bytes, done: int, where: str, *, final: bool = False
) -> str:
    pending = decoder.getstate()[0]  # first bytes of a character split by the last chunk
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        if not error.encoding.startswith("utf-8"):
            raise SourceError(f"{where} is damaged UTF-16 text; save it as UTF-8.") from error
        byte = error.object[error.start]
        position = done - len(pending) + error.start
        raise SourceError(
            f"{where} is not UTF-8 text (byte 0x{byte:02X} at {position}); save it as UTF-8."
        ) from error


def decode_table(chunks: Iterable[bytes], where: str) -> Iterator[str]:
    """Decode a table like :func:`decode_utf8`, but keep a lone CR inside a line.

    If the first line ends in LF, a lone CR is part of a value; it becomes :data:`LINE_SEPARATOR`,
    which no reader takes for the end of a row.

    Raises:
        SourceError: the chunks are not text.
    """
    held = lone = ""
    for text in decode_utf8(chunks, where, translate=False):
        whole = held + text
        kept = whole.removesuffix("\r").removesuffix("\r")  # an LF may follow in the next chunk
        held = whole[len(kept) :]
        if not lone and (end := _LINE_END.search(kept)):
            lone = "\n" if end[0] == "\r" else LINE_SEPARATOR
        yield _one_line_end(kept, lone)
    yield _one_line_end(held, "\n")


def _one_line_end(text: str, lone: str) -> str:
    if "\r" not in text:
        return text
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", lone)


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
