"""Stream the values inside one large JSON document, such as the messages of a Telegram export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._json_reader import JsonReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KeyPath = tuple[str, ...]
"""The field names that lead to a value; :data:`ITEM` stands for an index in a list."""

ITEM = "[]"

LISTS = frozenset({"orderedItems", "items"})
PAGES = frozenset({"first", "last"})
"""Names in an ActivityPub collection of the list and of the pages that may hold it."""


def tree_values(
    chunks: Iterable[str], where: str, enter: Callable[[KeyPath, str], bool]
) -> Iterator[tuple[KeyPath, object]]:
    """Yield every value with its key path; only values that are not entered must fit in memory.

    Args:
        chunks: the document's text in chunks.
        where: the file's name for error messages.
        enter: given key path and bracket, whether to yield the values inside an object or list one
            by one. The document itself is always entered.
    """
    reader = JsonReader(iter(chunks), where)
    opening_bracket(reader, where)
    yield from _walk(reader, (), enter)
    if mark := reader.peek():
        if mark == "{":
            raise SourceError(
                f"{where} holds one JSON object after another; rename it to end in .jsonl."
            )
        raise reader.invalid("extra text at the end")


def opening_bracket(reader: JsonReader, where: str) -> str:
    """Return the bracket that the document begins with.

    Raises:
        SourceError: it begins with something else.
    """
    first = reader.peek()
    if not first:
        raise SourceError(f"{where} is empty.")
    if first not in "[{":
        raise SourceError(f"{where} is not JSON: it begins with neither `[` nor `{{`.")
    return first


def _walk(
    reader: JsonReader, path: KeyPath, enter: Callable[[KeyPath, str], bool]
) -> Iterator[tuple[KeyPath, object]]:
    mark = reader.peek()
    if mark not in ("[", "{") or (path and not enter(path, mark)):
        yield path, reader.value()
        return
    end = "]" if mark == "[" else "}"
    reader.skip()
    more = reader.peek() != end
    while more:
        name = ITEM if mark == "[" else reader.key()
        yield from _walk(reader, (*path, name), enter)
        more = reader.next_item(end)
    reader.skip()
