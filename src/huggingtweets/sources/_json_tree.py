"""Values inside one large JSON document, such as the messages of a Telegram export, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._json_reader import JsonReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Path = tuple[str, ...]
"""The names of the fields that lead to a value; :data:`ITEM` stands for a place in a list."""

ITEM = "[]"


def tree_values(
    chunks: Iterable[str], where: str, enter: Callable[[Path, str], bool]
) -> Iterator[tuple[Path, object]]:
    """Yield every value with the path to it; only what is not entered has to fit in memory.

    Args:
        chunks: the document's text in pieces.
        where: the file's name for error messages.
        enter: by path and bracket, whether to yield the values inside an object or a list instead
            of the whole. The document itself is always entered.
    """
    reader = JsonReader(iter(chunks), where)
    begin(reader, where)
    yield from _walk(reader, (), enter)
    if mark := reader.peek():
        if mark == "{":
            raise SourceError(
                f"{where} holds one JSON object after another; give it the ending .jsonl."
            )
        raise reader.broken("something follows the end")


def begin(reader: JsonReader, where: str) -> str:
    """Return the bracket with which the document begins; one that has none is an error."""
    first = reader.peek()
    if not first:
        raise SourceError(f"{where} is empty.")
    if first not in "[{":
        raise SourceError(f"{where} is not JSON: it begins with neither `[` nor `{{`.")
    return first


def _walk(
    reader: JsonReader, path: Path, enter: Callable[[Path, str], bool]
) -> Iterator[tuple[Path, object]]:
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
