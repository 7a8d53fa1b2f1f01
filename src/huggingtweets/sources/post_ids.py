"""Which posts the user means: ids in a row, or a file of them as people and networks write it."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError, SourceError
from huggingtweets.privacy.deleted_posts import parse_post_id, stable_id
from huggingtweets.sources._columns import known_columns
from huggingtweets.sources._text import decoded, file_chunks, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Rows = Iterator[tuple[int, object]]

_LONGEST_LINE = 100_000
_ENDINGS = (".txt", ".csv", ".json", ".jsonl")
_FORMS = "an id, `@author id` or the address of a post"


def read_ids(given: str) -> frozenset[str]:
    """Read ids as ``--forget`` takes them.

    Args:
        given: ids with commas between them, or the name of a file: one a line, a table with a
            column of ids, or JSON such as X's notices of deletion.

    Raises:
        InputError: it can't be read, has no id, or something in it is none.
    """
    file = Path(given)
    if file.suffix.lower() in _ENDINGS or _is_file(file):
        found = dict(_of_file(file))
    else:
        found = dict(enumerate(given.split(","), start=1))
    ids = set()
    for place, value in found.items():
        one = parse_post_id(value) if isinstance(value, str) else None
        if one is None:
            where = f"Line {place} of {file}" if file.is_file() else f"Number {place} of these ids"
            raise InputError(f"{where} is no post's id ({str(value)[:60]!r}); give {_FORMS}.")
        ids.add(one)
    if not ids:
        raise InputError(f"{file} holds no ids of posts.")
    return frozenset(ids)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a row of ids is too long for a name
        return False


def _of_file(path: Path) -> _Rows:
    ending = path.suffix.lower()
    if not path.exists():
        raise SourceError(f"There is no file {path} of post ids.")
    if ending == ".json":
        return _json(path)
    if ending == ".csv":
        return _csv(path)
    if ending == ".jsonl":
        return ((number, _id_in(_parsed(line, path))) for number, line in _lines(path))
    return _lines(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something."""
    with closing(file_chunks(path)) as chunks:
        for number, line in lines(decoded(chunks, str(path)), str(path), _LONGEST_LINE):
            if line.strip() and not line.startswith("#"):
                yield number, line


def _csv(path: Path) -> _Rows:
    """The ids of a table; a file without a heading that is known is a plain list."""
    rows = [(number, next(csv.reader([line]), [])) for number, line in _lines(path)]
    columns = known_columns(tuple(rows[0][1]), None) if rows else {}
    if "id" not in columns:
        yield from ((number, row[0]) for number, row in rows)
        return
    names = rows[0][1]
    at = names.index(columns["id"])
    whose = names.index(columns["author"]) if "author" in columns else None
    for number, row in rows[1:]:
        whole = row + [""] * (len(names) - len(row))
        yield number, _of(whole[at], None if whose is None else whole[whose])


def _json(path: Path) -> _Rows:
    value = _parsed("\n".join(line for _, line in _lines(path)), path)
    items = value if isinstance(value, list) else [value]
    yield from ((number, _id_in(item)) for number, item in enumerate(items, start=1))


def _parsed(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is broken JSON: {error}.") from error


def _id_in(value: object) -> object:
    """The id of a post, or of a notice that it was deleted, as X sends them."""
    if isinstance(value, dict) and isinstance(value.get("delete"), dict):
        value = value["delete"].get("status")
    if isinstance(value, dict):
        fields = known_columns(tuple(value), None)
        name = value.get("id_str") or value.get("uri") or value.get(fields.get("id", ""))
        return _of(name, value.get(fields.get("author", "")))
    return _of(value, None)


def _of(name: object, author: object) -> object:
    """One post, told with its author where a table tells it and others may have the id, too."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not isinstance(author, str) or not author.strip():
        return name
    plain = parse_post_id(name)
    return stable_id(author.strip().removeprefix("@"), plain) if plain else name
