"""Posts in JSON: one object a line (``.jsonl``), or a list of objects (``.json``), streamed."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import find_columns, known_columns
from huggingtweets.sources._json_reader import DECODER, JsonReader
from huggingtweets.sources._json_tree import ITEM, begin, tree_values
from huggingtweets.sources._text import decoded, file_chunks, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    Rows = Iterator[tuple[int, dict[str, object]]]

_TELEGRAM = frozenset({"personal_information", "chats", "left_chats"})
LONGEST_LINE = 1_000_000
"""Characters; a line of JSON holds more than the post's text."""


def text_lines(path: Path, longest: int) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers."""
    with closing(file_chunks(path)) as chunks:
        yield from lines(decoded(chunks, str(path)), str(path), longest)


def jsonl_rows(path: Path, text_column: str | None) -> Rows:
    """Read one object a line."""
    checked = False
    for number, line in text_lines(path, LONGEST_LINE):
        if not line.strip():
            continue
        row = _json_object(line, number, path)
        if not checked:  # later lines may lack the text: an empty post
            find_columns(tuple(row), text_column, path)
            checked = True
        yield number, _fields(row, text_column)


def json_rows(path: Path, text_column: str | None) -> Rows:
    """Read the objects of a list: the document itself, or the first list in it that holds posts."""
    chosen = _list_of_posts(path, text_column)
    for number, place, value in _values(path):
        if place == chosen:
            row = _as_row(value, f"Value {number} of {path}", "each item must be one")
            yield number, _fields(row, text_column)


def _list_of_posts(path: Path, text_column: str | None) -> tuple[str, ...]:
    """Find the first list with an object that has a text; reads no further than that."""
    without: tuple[str, ...] | None = None  # the columns of an object that has none
    for number, place, value in _values(path):
        if place == (ITEM,):
            row = _as_row(value, f"Value {number} of {path}", "each item must be one")
        elif place[-1] == ITEM and isinstance(value, dict):
            row = value
        else:
            continue
        if "text" in known_columns(tuple(row), text_column):
            return place
        without = without or tuple(row)
    if without is None:
        raise SourceError(f"{path} holds no posts: no list of objects is in it.")
    find_columns(without, text_column, path)
    return ()


def _values(path: Path) -> Iterator[tuple[int, tuple[str, ...], object]]:
    with closing(file_chunks(path)) as chunks:
        tree = tree_values(decoded(chunks, str(path)), str(path), _is_list)
        for number, (place, value) in enumerate(tree, start=1):
            yield number, place, value


def _is_list(path: tuple[str, ...], bracket: str) -> bool:
    return len(path) == 1 and bracket == "["


def _fields(row: dict[str, object], text_column: str | None) -> dict[str, object]:
    columns = known_columns(tuple(row), text_column)
    return {"text": None} | {field: row[name] for field, name in columns.items()}


def _json_object(line: str, number: int, path: Path) -> dict[str, object]:
    try:
        row = DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise SourceError(
            f"Line {number} of {path} is broken JSON (character {error.pos + 1}: {error.msg}); "
            "each line must be one whole object."
        ) from error
    except RecursionError as error:
        raise SourceError(f"Line {number} of {path} is nested too deeply to be a post.") from error
    return _as_row(row, f"Line {number} of {path}", "each line must be one")


def _as_row(row: object, where: str, wanted: str) -> dict[str, object]:
    if isinstance(row, dict) and isinstance(row.get("tweet"), dict):
        row = row["tweet"]  # as the items of an X archive
    if not isinstance(row, dict):
        raise SourceError(f'{where} is not a JSON object; {wanted}, like {{"text": "..."}}.')
    return row


def kind_of_json(path: Path) -> Literal["mastodon", "telegram", "posts"]:
    """Tell by the names of its first fields what a document holds; reads no further."""
    where = str(path)
    with closing(file_chunks(path)) as chunks:
        reader = JsonReader(decoded(chunks, where), where)
        if begin(reader, where) == "[":
            return "posts"
        reader.skip()
        seen: set[str] = set()
        more = reader.peek() != "}"
        while more:
            name = reader.key()
            if name == "orderedItems":
                return "mastodon"
            if name in _TELEGRAM or (name == "messages" and {"type", "id"} <= seen):
                return "telegram"
            if reader.peek() == "[" and name != "@context":
                return "posts"
            reader.value()
            seen.add(name)
            more = reader.next_item("}")
    return "posts"
