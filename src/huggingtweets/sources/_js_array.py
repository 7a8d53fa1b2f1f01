"""Parse JavaScript files such as ``window.YTD.tweets.part0 = [...]``, item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._json_reader import JsonReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_HEADER = 1_000  # characters up to the `=`


def js_items(chunks: Iterable[str], where: str) -> Iterator[object]:
    """Yield the items of the list that a file assigns to a variable of any name.

    Args:
        chunks: the file's text in chunks.
        where: the file's name for error messages.
    """
    reader = JsonReader(iter(chunks), where)
    _skip_assignment(reader, "[", where)
    reader.skip()
    more = reader.peek() != "]"
    while more:
        yield reader.value()
        more = reader.next_item("]")
    reader.skip()
    if reader.peek() not in ("", ";"):
        raise reader.invalid("extra text after the list")


def js_object(chunks: Iterable[str], where: str) -> object:
    """Return the object that a file assigns to a variable of any name."""
    reader = JsonReader(iter(chunks), where)
    _skip_assignment(reader, "{", where)
    return reader.value()


def _skip_assignment(reader: JsonReader, bracket: str, where: str) -> None:
    """Skip past the first ``=`` to the bracket; the variable's name has changed over time."""
    first = reader.peek()
    if not first:
        raise SourceError(f"{where} is empty.")
    if first == bracket:
        return
    if not reader.skip_past("=", _MAX_HEADER) or reader.peek() != bracket:
        raise SourceError(
            f"{where} is not a file of an X archive: "
            f"it doesn't begin like `window.YTD.tweets.part0 = {bracket}`."
        )
