"""The items of a JavaScript file such as ``window.YTD.tweets.part0 = [...]``, one by one.

An archive of ten years is a single list of a few hundred MB. The standard library's decoder reads
one value at a place in a string, so a buffer of about two chunks is enough: decode the item at its
start, and where the buffer cuts an item, read on. No other library is needed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_ITEM = 16 * 1024 * 1024
"""Characters. A tweet with everything X adds is some 10,000."""

_LONGEST_HEAD = 1_000  # characters up to the `=`
_SPACE = re.compile(r"[ \t\r\n]*")
# Numbers stay text: ids have 64 bits, and Python refuses to convert one of 5,000 digits.
DECODER = json.JSONDecoder(parse_int=str)


def js_items(chunks: Iterable[str], where: str) -> Iterator[object]:
    """Yield the items of the list that a file assigns to a variable of any name.

    Args:
        chunks: the file's text in pieces.
        where: the file's name for error messages.
    """
    return _Reader(iter(chunks), where).items()


class _Reader:
    """A buffer over the chunks and a place in it."""

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._text = ""
        self._at = 0  # place in `_text`
        self._before = 0  # characters that left the buffer
        self._count = 0  # whole items so far

    def items(self) -> Iterator[object]:
        self._enter_list()
        while self._peek() != "]":
            yield self._item()
            self._count += 1
            mark = self._peek()
            if mark == ",":
                self._at += 1
            elif mark != "]":
                raise self._broken("no comma between two items") if mark else self._truncated()
        self._at += 1
        if self._peek() not in ("", ";"):
            raise self._broken("something follows the list")

    def _enter_list(self) -> None:
        """Go past the first ``=`` (the variable's name has changed over time) and the ``[``."""
        first = self._peek()
        if not first:
            raise SourceError(f"{self._where} is empty.")
        if first != "[":
            while "=" not in self._text and len(self._text) < _LONGEST_HEAD and self._more():
                pass
            cut = self._text.find("=", self._at, self._at + _LONGEST_HEAD)
            self._at = cut + 1
            if cut < 0 or self._peek() != "[":
                raise SourceError(
                    f"{self._where} is not a file of an X archive: "
                    "it does not begin like `window.YTD.tweets.part0 = [`."
                )
        self._at += 1

    def _item(self) -> object:
        """Decode the item at this place, reading on while the buffer holds only its start."""
        if not self._peek():
            raise self._truncated()
        while True:
            value: object = None
            end = -1
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error):
                    self._at = error.pos
                    raise self._broken(error.msg) from error
            except RecursionError as error:
                raise self._broken("nested too deeply") from error
            if 0 <= end < len(self._text):
                self._at = end
                return value
            if len(self._text) - self._at > LONGEST_ITEM:
                raise self._broken(f"an item of over {LONGEST_ITEM:,} characters")
            if not self._more():
                raise self._truncated()

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Tell an item that the buffer cuts from a broken one.

        A cut shows at the end of the buffer (``-Infinity`` or an escape begins up to 12 characters
        before it) or as a string without its end.
        """
        return error.pos > len(self._text) - 13 or error.msg.startswith("Unterminated string")

    def _peek(self) -> str:
        """Return the next character that is no space, without taking it; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Drop what was read and append the next chunk; False at the end of the file."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._before += self._at
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return True

    def _broken(self, what: str) -> SourceError:
        return SourceError(
            f"{self._where} is broken at character {self._before + self._at:,}, "
            f"after {self._count:,} whole items ({what}); download the archive again."
        )

    def _truncated(self) -> SourceError:
        return SourceError(
            f"{self._where} ends in the middle, after {self._count:,} whole items; "
            "it is cut short, download the archive again."
        )
