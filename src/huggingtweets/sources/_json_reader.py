"""Read JSON value by value without loading the whole document.

An archive of ten years is a single list of a few hundred MB. The standard library can decode one
value at a position in a string, so a buffer of about two chunks suffices: decode the value at its
start, and read more if the buffer ends within it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ITEM_CHARS = 16 * 1024 * 1024
"""A tweet with all the fields that X adds has about 10,000 characters."""

_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE_ENDS = ("}", "]", '"')
# Integers stay text, because Python refuses to convert one of 5,000 digits.
DECODER = json.JSONDecoder(parse_int=str)


class JsonReader:
    """A cursor over JSON text that arrives in chunks.

    Args:
        chunks: the text in chunks.
        where: the file's name for error messages.
    """

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._text = ""
        self._position = 0  # in `_text`
        self._discarded = 0  # characters removed from the buffer
        self._count = 0  # complete items so far

    def peek(self) -> str:
        """Return the next non-space character without consuming it; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._position)
            self._position = space.end() if space else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Consume the character that :meth:`peek` returned."""
        self._position += 1

    def skip_past(self, mark: str, limit: int) -> bool:
        """Skip past the first ``mark`` within ``limit`` characters; False if there is none."""
        while mark not in self._text[self._position :] and len(self._text) < limit and self._more():
            pass
        index = self._text.find(mark, self._position, self._position + limit)
        if index >= 0:
            self._position = index + 1
        return index >= 0

    def next_item(self, end: str) -> bool:
        """Skip the comma after an item, or stop at ``end``; return whether an item follows."""
        self._count += 1
        mark = self.peek()
        if mark == ",":
            self._position += 1
            mark = self.peek()
        elif mark != end:
            raise self.invalid("no comma between two items") if mark else self.truncated()
        return mark != end

    def key(self) -> str:
        """Read the name of an object's field and the colon after it."""
        mark = self.peek()
        name = self.value() if mark == '"' else None
        if not isinstance(name, str) or self.peek() != ":":
            raise self.invalid("a field without a name") if self.peek() else self.truncated()
        self._position += 1
        return name

    def value(self) -> object:
        """Decode the value at this position, reading more while the buffer ends within it."""
        if not self.peek():
            raise self.truncated()
        while True:
            value: object = None
            end = -1
            try:
                value, end = DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                if not self._is_incomplete(error):
                    self._position = error.pos
                    raise self.invalid(error.msg) from error
            except RecursionError as error:
                raise self.invalid("nested too deeply") from error
            # A number or literal at the end of the buffer may continue in the next chunk.
            if end >= 0 and (end < len(self._text) or self._text[end - 1] in _VALUE_ENDS):
                self._position = end
                return value
            if len(self._text) - self._position > MAX_ITEM_CHARS:
                raise self.invalid(f"an item of over {MAX_ITEM_CHARS:,} characters")
            if not self._more():
                raise self.truncated()

    def invalid(self, what: str) -> SourceError:
        """Return the error for invalid JSON at this position."""
        return SourceError(
            f"{self._where} is broken at character {self._discarded + self._position:,}, "
            f"after {self._count:,} complete items ({what}); download the archive again."
        )

    def truncated(self) -> SourceError:
        """Return the error for text that ends too early."""
        return SourceError(
            f"{self._where} is truncated after {self._count:,} complete items; "
            "download the archive again."
        )

    def _is_incomplete(self, error: json.JSONDecodeError) -> bool:
        """Return whether the error may come from the end of the buffer rather than invalid JSON.

        Such an error is at the end of the buffer (``-Infinity`` or an escape begins up to 12
        characters before it) or is an unterminated string.
        """
        return error.pos > len(self._text) - 13 or error.msg.startswith("Unterminated string")

    def _more(self) -> bool:
        """Discard consumed text and append the next chunk; False at the end of the file."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._discarded += self._position
        self._text = self._text[self._position :] + chunk
        self._position = 0
        return True
