"""Posts in ordinary files: ``.csv``, ``.jsonl``, ``.parquet`` and ``.txt`` (one post a line).

Columns are found by the names that exports commonly give them, in any case. Each reader turns its
format into rows of the same field names; one function turns a row into a post. CSV is read by the
standard library rather than polars, because it streams, keeps line numbers for error messages and
bounds the size of a field; it is not what takes the time.
"""

from __future__ import annotations

import csv
import json
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.errors import SourceError
from huggingtweets.posts import Post
from huggingtweets.sources._fields import (
    id_of,
    kind_of,
    made_id,
    name_of,
    name_of_file,
    text_of,
    time_of,
)
from huggingtweets.sources._js_array import DECODER
from huggingtweets.sources._text import LONGEST_POST, decoded, file_chunks, lines, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    _Rows = Iterator[tuple[int, dict[str, object]]]

_COLUMNS = {
    "text": (
        *("text", "full_text", "tweet", "tweet_text", "content", "body", "post", "message"),
        *("status", "caption", "selftext", "title"),
    ),
    "author": ("author", "username", "user", "screen_name", "handle", "user_name"),
    "id": ("id", "tweet_id", "status_id", "id_str", "post_id"),
    "created_at": ("created_at", "date", "time", "timestamp", "datetime", "created_utc"),
    "kind": ("kind", "type", "tweet_type"),
    "lang": ("lang", "language"),
    "is_repost": ("is_repost", "is_retweet", "isretweet"),
    # What tells the kind where the file keeps the names of the X API.
    "retweeted_status": ("retweeted_status",),
    "in_reply_to_status_id": ("in_reply_to_status_id", "in_reply_to_status_id_str"),
    "in_reply_to_user_id": ("in_reply_to_user_id", "in_reply_to_user_id_str"),
    "quoted_status_id": ("quoted_status_id", "quoted_status_id_str"),
    "is_quote_status": ("is_quote_status",),
}
_LONGEST_LINE = 1_000_000  # characters; a line of JSON holds more than the post's text
_SHOWN_COLUMNS = 20
_BATCH_ROWS = 50_000
_TIMES = (-62_000_000_000_000, 253_400_000_000_000)  # ms: the years 5 to 9999
_DELIMITERS = ",;\t"  # spreadsheets of half the world write `;`


@dataclass(frozen=True, slots=True)
class PostFile:
    """A file of posts; its ending, one of :data:`READERS`, tells the format.

    Attributes:
        path: the file.
        text_column: the column with the posts, where it has no usual name.
        author: the handle, where it should not be the file's column or its name.
    """

    path: Path
    text_column: str | None = None
    author: str | None = None

    @property
    def name(self) -> str:
        """Return the format: csv, jsonl, parquet or txt."""
        return self.path.suffix.lower().removeprefix(".")

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row, also where its text is empty."""
        found = False
        name, stem, where = self.name, name_of_file(self.path), str(self.path)
        for position, fields in READERS[f".{name}"](self.path, self.text_column):
            found = True
            text = text_of(fields["text"], where)
            yield Post(
                author=self.author or name_of(fields.get("author")) or stem,
                id=id_of(fields.get("id")) or made_id(position, text),
                text=text,
                created_at=time_of(fields.get("created_at")),
                kind=kind_of(text, fields),
                lang=name_of(fields.get("lang")),
                source=name,
            )
        if not found:
            raise SourceError(f"{self.path} holds no posts.")


def _find_columns(names: Sequence[str], text_column: str | None, path: Path) -> dict[str, str]:
    """Map fields to the columns that hold them; without a text column it is an error."""
    columns = _known_columns(tuple(names), text_column)
    if "text" in columns:
        return columns
    wanted = "text column" if text_column is None else f"column {text_column[:80]!r}"
    raise SourceError(
        f"{path} has no {wanted} among its columns ({listed(names, _SHOWN_COLUMNS)}); "
        "name the one with the posts by `--text-column NAME`."
    )


@lru_cache(maxsize=256)
def _known_columns(names: tuple[str, ...], text_column: str | None) -> dict[str, str]:
    by_name = {name.strip().lower(): name for name in reversed(names)}
    columns = {
        field: by_name[usual[0]]
        for field, candidates in _COLUMNS.items()
        if (usual := [name for name in candidates if name in by_name])
    }
    if text_column is not None:
        columns.pop("text", None)
        named = text_column if text_column in names else by_name.get(text_column.strip().lower())
        if named is not None:
            columns["text"] = named
    return columns


def _text_lines(path: Path, longest: int) -> Iterator[tuple[int, str]]:
    with closing(file_chunks(path)) as chunks:
        yield from lines(decoded(chunks, str(path)), str(path), longest)


def _txt_rows(path: Path, _text_column: str | None) -> _Rows:
    for number, line in _text_lines(path, LONGEST_POST):
        if line.strip():
            yield number, {"text": line}


def _jsonl_rows(path: Path, text_column: str | None) -> _Rows:
    checked = False
    for number, line in _text_lines(path, _LONGEST_LINE):
        if not line.strip():
            continue
        row = _json_object(line, number, path)
        if not checked:  # later lines may lack the text: an empty post
            _find_columns(tuple(row), text_column, path)
            checked = True
        columns = _known_columns(tuple(row), text_column)
        yield number, {"text": None} | {field: row[name] for field, name in columns.items()}


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
    if isinstance(row, dict) and isinstance(row.get("tweet"), dict):
        row = row["tweet"]  # as the items of an X archive
    if not isinstance(row, dict):
        raise SourceError(
            f"Line {number} of {path} is not a JSON object; each line must be one, like "
            '{"text": "..."}.'
        )
    return row


def _csv_rows(path: Path, text_column: str | None) -> _Rows:
    texts = (f"{line}\n" for _, line in _text_lines(path, _LONGEST_LINE))
    head = next(texts, None)
    if head is None:
        raise SourceError(f"{path} is empty.")
    delimiter = max(_DELIMITERS, key=head.count)
    names = _csv_fields(csv.reader([head], delimiter=delimiter), path)
    if names is None:
        raise SourceError(
            f"{path} begins with an empty line; its first line must name the columns."
        )
    columns = _find_columns(names, text_column, path)
    places = [(field, names.index(name)) for field, name in columns.items()]
    reader = csv.reader(texts, delimiter=delimiter)
    while (row := _csv_fields(reader, path)) is not None:
        if any(row[len(names) :]):
            raise SourceError(
                f"Line {reader.line_num + 1} of {path} has {len(row)} fields where the first line "
                f"names {len(names)}; posts that hold a {delimiter!r} must be in double quotes."
            )
        if row:
            row += [""] * (len(names) - len(row))
            yield reader.line_num + 1, {field: row[at] for field, at in places}


def _csv_fields(reader: Iterator[list[str]], path: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0) + 1
        raise SourceError(
            f"{path} can't be read as CSV up to line {number} ({error}); "
            "a double quote may be left open before it."
        ) from error


def _parquet_rows(path: Path, text_column: str | None) -> _Rows:
    try:
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = table.collect_schema()
        columns = _find_columns(schema.names(), text_column, path)
        kind = schema[columns["text"]]
        if kind.is_nested() or kind == pl.Binary:
            raise SourceError(f"The column {columns['text']!r} of {path} holds {kind}, not text.")
        chosen = table.select(
            _storable_time(pl.col(name), schema[name]).alias(field)
            for field, name in columns.items()
        )
        position = 0
        for batch in chosen.collect_batches(chunk_size=_BATCH_ROWS):
            for row in batch.iter_rows(named=True):
                yield position, row
                position += 1
    except PermissionError as error:
        raise SourceError(f"{path} can't be read: Permission denied.") from error
    # polars panics, beyond Exception, on some damaged files.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file, or a damaged one.") from error
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{path} holds a value that can't be read ({error}).") from error


def _storable_time(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Drop times that Python has no value for: polars would panic and print a Rust stack."""
    if not isinstance(kind, pl.Datetime | pl.Date):
        return column
    milliseconds = column.cast(pl.Datetime("ms")).dt.timestamp("ms")
    return pl.when(milliseconds.is_between(*_TIMES)).then(column)


READERS: dict[str, Callable[[Path, str | None], _Rows]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
    ".txt": _txt_rows,
}
"""What reads which ending: rows with their number and the fields found in them."""
