"""Stream posts from JSON: one object per line (``.jsonl``) or a list of objects (``.json``)."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import check_number, find_columns, known_columns
from huggingtweets.sources._json_reader import DECODER, JsonReader
from huggingtweets.sources._json_tree import ITEM, opening_bracket, tree_values
from huggingtweets.sources._text import decode_utf8, file_chunks, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    Rows = Iterator[tuple[int, dict[str, object]]]

_TELEGRAM = frozenset({"personal_information", "chats", "left_chats"})
MAX_LINE_CHARS = 1_000_000
"""More than a post's limit, because a line of JSON holds more than the text."""


def text_lines(path: Path, max_chars: int) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers."""
    with closing(file_chunks(path)) as chunks:
        yield from lines(decode_utf8(chunks, str(path)), str(path), max_chars)


def jsonl_rows(path: Path, text_column: str | None) -> Rows:
    """Read one object per line."""
    checked = False
    for number, line in text_lines(path, MAX_LINE_CHARS):
        if not line.strip():
            continue
        row = _json_object(line, number, path)
        if not checked:  # a later line without a text is an empty post
            find_columns(tuple(row), text_column, path)
            checked = True
        yield number, _fields(row, text_column)


def json_rows(path: Path, text_column: str | None) -> Rows:
    """Read the objects of the top-level list, or of the first list inside that holds posts."""
    chosen = _find_list_of_posts(path, text_column)
    for number, key_path, value in _values(path):
        if key_path == chosen:
            row = _as_row(value, f"Value {number} of {path}", "each item must be one")
            yield number, _fields(row, text_column)


def _find_list_of_posts(path: Path, text_column: str | None) -> tuple[str, ...]:
    """Return the key path of the first list with an object that has a text."""
    columns_without_text: tuple[str, ...] | None = None
    for number, key_path, value in _values(path):
        if key_path == (ITEM,) or (key_path[-1] == ITEM and isinstance(value, dict)):
            row = _as_row(value, f"Value {number} of {path}", "each item must be one")
        else:
            continue
        if "text" in known_columns(tuple(row), text_column):
            return key_path
        columns_without_text = columns_without_text or tuple(row)
    if columns_without_text is None:
        raise SourceError(f"{path} holds no posts: it has no list of objects.")
    find_columns(columns_without_text, text_column, path)
    return ()


def _values(path: Path) -> Iterator[tuple[int, tuple[str, ...], object]]:
    with closing(file_chunks(path)) as chunks:
        tree = tree_values(decode_utf8(chunks, str(path)), str(path), _is_list)
        for number, (key_path, value) in enumerate(tree, start=1):
            yield number, key_path, value


def _is_list(key_path: tuple[str, ...], bracket: str) -> bool:
    return len(key_path) == 1 and bracket == "["


def _fields(row: dict[str, object], text_column: str | None) -> dict[str, object]:
    columns = known_columns(tuple(row), text_column)
    return {"text": None} | {field: row[name] for field, name in columns.items()}


def _json_object(line: str, number: int, path: Path) -> dict[str, object]:
    try:
        row = DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise SourceError(
            f"Line {number} of {path} is invalid JSON (character {error.pos + 1}: {error.msg}); "
            "each line must be one complete object."
        ) from error
    except RecursionError as error:
        raise SourceError(f"Line {number} of {path} is nested too deeply to be a post.") from error
    return _as_row(row, f"Line {number} of {path}", "each line must be one")


def _as_row(row: object, where: str, rule: str) -> dict[str, object]:
    if isinstance(row, dict) and isinstance(row.get("tweet"), dict):
        row = row["tweet"]  # the item format of X archives
    if not isinstance(row, dict):
        raise SourceError(f'{where} is not a JSON object; {rule}, like {{"text": "..."}}.')
    check_number(len(row), where)
    return row


def kind_of_json(path: Path) -> Literal["mastodon", "telegram", "posts"]:
    """Detect what a document holds from the names of its first fields, reading no further."""
    where = str(path)
    with closing(file_chunks(path)) as chunks:
        reader = JsonReader(decode_utf8(chunks, where), where)
        if opening_bracket(reader, where) == "[":
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
