"""Parse the post ids that the user gives, as a list or in a file."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError, SourceError
from huggingtweets.privacy.deleted_posts import parse_post_id, stable_id
from huggingtweets.sources._columns import known_columns
from huggingtweets.sources._text import decode_utf8, file_chunks, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Rows = Iterator[tuple[int, object]]

_MAX_LINE_CHARS = 100_000
_EXTENSIONS = (".txt", ".csv", ".json", ".jsonl")
_FORMS = "an id, `@author id` or the address of a post"


def read_ids(given: str) -> frozenset[str]:
    """Read post ids, as the option ``--forget`` takes them.

    Args:
        given: comma-separated ids, or the name of a file: one id per line, a table with a column of
            ids, or JSON such as X's deletion notices.

    Raises:
        InputError: the file can't be read or has no ids, or an id is invalid.
    """
    file = Path(given)
    if file.suffix.lower() in _EXTENSIONS or _is_file(file):
        values = dict(_read_file(file))
    else:
        values = dict(enumerate(given.split(","), start=1))
    ids = set()
    for number, value in values.items():
        post_id = parse_post_id(value) if isinstance(value, str) else None
        if post_id is None:
            where = f"Line {number} of {file}" if file.is_file() else f"Number {number} of the ids"
            raise InputError(f"{where} is not a post id ({str(value)[:60]!r}); give {_FORMS}.")
        ids.add(post_id)
    if not ids:
        raise InputError(f"{file} holds no post ids.")
    return frozenset(ids)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a list of ids is too long for a file name
        return False


def _read_file(path: Path) -> _Rows:
    """Yield the number and the raw id of each line or item."""
    extension = path.suffix.lower()
    if not path.exists():
        raise SourceError(f"There is no file {path} of post ids.")
    if extension == ".json":
        return _json_ids(path)
    if extension == ".csv":
        return _csv_ids(path)
    if extension == ".jsonl":
        return ((number, _id_in(_parse_json(line, path))) for number, line in _lines(path))
    return _lines(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments."""
    with closing(file_chunks(path)) as chunks:
        for number, line in lines(decode_utf8(chunks, str(path)), str(path), _MAX_LINE_CHARS):
            if line.strip() and not line.startswith("#"):
                yield number, line


def _csv_ids(path: Path) -> _Rows:
    """Yield the ids of a table; without a known header, the first column is a plain list."""
    rows = [(number, next(csv.reader([line]), [])) for number, line in _lines(path)]
    columns = known_columns(tuple(rows[0][1]), None) if rows else {}
    if "id" not in columns:
        yield from ((number, row[0]) for number, row in rows)
        return
    names = rows[0][1]
    id_index = names.index(columns["id"])
    author_index = names.index(columns["author"]) if "author" in columns else None
    for number, row in rows[1:]:
        padded = row + [""] * (len(names) - len(row))
        author = None if author_index is None else padded[author_index]
        yield number, _qualified(padded[id_index], author)


def _json_ids(path: Path) -> _Rows:
    value = _parse_json("\n".join(line for _, line in _lines(path)), path)
    items = value if isinstance(value, list) else [value]
    yield from ((number, _id_in(item)) for number, item in enumerate(items, start=1))


def _parse_json(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is invalid JSON: {error}.") from error


def _id_in(value: object) -> object:
    """Return the id in a post or in one of X's deletion notices."""
    if isinstance(value, dict) and isinstance(value.get("delete"), dict):
        value = value["delete"].get("status")
    if isinstance(value, dict):
        fields = known_columns(tuple(value), None)
        raw_id = value.get("id_str") or value.get("uri") or value.get(fields.get("id", ""))
        return _qualified(raw_id, value.get(fields.get("author", "")))
    return _qualified(value, None)


def _qualified(raw_id: object, author: object) -> object:
    """Add the author, if known, to an id that isn't globally unique."""
    if isinstance(raw_id, int) and not isinstance(raw_id, bool):
        raw_id = str(raw_id)
    if not isinstance(raw_id, str) or not isinstance(author, str) or not author.strip():
        return raw_id
    post_id = parse_post_id(raw_id)
    return stable_id(author.strip().removeprefix("@"), post_id) if post_id else raw_id
