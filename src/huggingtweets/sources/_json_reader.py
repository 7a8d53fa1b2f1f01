"""JSON text, value by value, without the whole of it in memory.

An archive of ten years is a single list of a few hundred MB. The standard library's decoder reads
one value at a place in a string, so a buffer of about two chunks is enough: decode the value at its
start, and where the buffer cuts it, read on. No other library is needed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_ITEM = 16 * 1024 * 1024
"""Characters. A tweet with everything X adds is some 10,000."""

_SPACE = re.compile(r"[ \t\r\n]*")
_WHOLE = ("}", "]", '"')
# Numbers stay text: ids have 64 bits, and Python refuses to convert one of 5,000 digits.
DECODER = json.JSONDecoder(parse_int=str)


class JsonReader:
    """A buffer over the chunks of a text and a place in it.

    Args:
        chunks: the text in pieces.
        where: the file's name for error messages.
    """

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._text = ""
        self._at = 0  # place in `_text`
        self._before = 0  # characters that left the buffer
        self._count = 0  # items that are over

    def peek(self) -> str:
        """Return the next character that is no space, without taking it; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Take the character that :meth:`peek` returned."""
        self._at += 1

    def skip_past(self, mark: str, longest: int) -> bool:
        """Go past the first ``mark`` within ``longest`` characters; False when there is none."""
        while mark not in self._text[self._at :] and len(self._text) < longest and self._more():
            pass
        place = self._text.find(mark, self._at, self._at + longest)
        if place >= 0:
            self._at = place + 1
        return place >= 0

    def next_item(self, end: str) -> bool:
        """Go past the comma after an item, or up to ``end``; tell whether an item follows."""
        self._count += 1
        mark = self.peek()
        if mark == ",":
            self._at += 1
            mark = self.peek()
        elif mark != end:
            raise self.broken("no comma between two items") if mark else self.truncated()
        return mark != end

    def key(self) -> str:
        """Read the name of an object's field and the colon after it."""
        mark = self.peek()
        name = self.value() if mark == '"' else None
        if not isinstance(name, str) or self.peek() != ":":
            raise self.broken("no name of a field") if self.peek() else self.truncated()
        self._at += 1
        return name

    def value(self) -> object:
        """Decode the value at this place, reading on while the buffer holds only its start."""
        if not self.peek():
            raise self.truncated()
        while True:
            value: object = None
            end = -1
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error):
                    self._at = error.pos
                    raise self.broken(error.msg) from error
            except RecursionError as error:
                raise self.broken("nested too deeply") from error
            # A number may go on in the next chunk; what ends like this does not.
            if end >= 0 and (end < len(self._text) or self._text[end - 1] in _WHOLE):
                self._at = end
                return value
            if len(self._text) - self._at > LONGEST_ITEM:
                raise self.broken(f"an item of over {LONGEST_ITEM:,} characters")
            if not self._more():
                raise self.truncated()

    def broken(self, what: str) -> SourceError:
        """Make the error for what no JSON holds at this place."""
        return SourceError(
            f"{self._where} is broken at character {self._before + self._at:,}, "
            f"after {self._count:,} whole items ({what}); download the archive again."
        )

    def truncated(self) -> SourceError:
        """Make the error for a text that ends too early."""
        return SourceError(
            f"{self._where} ends in the middle, after {self._count:,} whole items; "
            "it is cut short, download the archive again."
        )

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Tell an item that the buffer cuts from a broken one.

        A cut shows at the end of the buffer (``-Infinity`` or an escape begins up to 12 characters
        before it) or as a string without its end.
        """
        return error.pos > len(self._text) - 13 or error.msg.startswith("Unterminated string")

    def _more(self) -> bool:
        """Drop what was read and append the next chunk; False at the end of the file."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._before += self._at
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return True
