"""Read posts from ``.csv``, ``.json``, ``.jsonl``, ``.parquet`` and ``.txt`` (one post per line).

Columns are found by the names that exports commonly use, ignoring case. Each reader yields rows
with the same field names, and one function converts a row to a post.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import find_columns
from huggingtweets.sources._csv_rows import csv_rows
from huggingtweets.sources._fields import (
    author_from_filename,
    hashed_id,
    parse_id,
    parse_kind,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_rows import json_rows, jsonl_rows, text_lines
from huggingtweets.sources._text import MAX_POST_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    _Rows = Iterator[tuple[int, dict[str, object]]]

_BATCH_ROWS = 50_000
_TIME_RANGE = (-62_000_000_000_000, 253_400_000_000_000)  # ms: the years 5 to 9999


@dataclass(frozen=True, slots=True)
class FileGroup:
    """The source that a file is one of several files of.

    Attributes:
        name: of the source, as in ``Post.source``.
        author: default if the rows name none, instead of the file's name.
        number: of this file; prefix of generated ids, which makes them unique within the group.
    """

    name: str
    author: str
    number: int


@dataclass(frozen=True, slots=True)
class PostFile:
    """A file of posts in one of the formats of :data:`READERS`, chosen by its extension.

    Attributes:
        path: the file.
        text_column: the column with the posts, if it has an unusual name.
        author: the handle to use instead of the file's author column or name.
        group: the source that the file is a part of; then it may be without posts.
    """

    path: Path
    text_column: str | None = None
    author: str | None = None
    group: FileGroup | None = None

    @property
    def name(self) -> str:
        """The group's name, or the format: csv, json, jsonl, parquet or txt."""
        return self.group.name if self.group else self.path.suffix.lower().removeprefix(".")

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row, even if its text is empty."""
        found = False
        name, where = self.name, str(self.path)
        default_author = self.group.author if self.group else author_from_filename(self.path)
        id_prefix = f"{self.group.number}-" if self.group else ""
        for position, fields in READERS[self.path.suffix.lower()](self.path, self.text_column):
            found = True
            text = parse_text(fields["text"], where)
            yield Post(
                author=self.author or parse_name(fields.get("author")) or default_author,
                id=parse_id(fields.get("id")) or id_prefix + hashed_id(position, text),
                text=text,
                created_at=parse_time(fields.get("created_at")),
                kind=parse_kind(text, fields),
                lang=parse_name(fields.get("lang")),
                source=name,
            )
        if not found and self.group is None:
            raise SourceError(f"{self.path} holds no posts.")


def _txt_rows(path: Path, _text_column: str | None) -> _Rows:
    for number, line in text_lines(path, MAX_POST_CHARS):
        if line.strip():
            yield number, {"text": line}


def _parquet_rows(path: Path, text_column: str | None) -> _Rows:
    try:
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = table.collect_schema()
        columns = find_columns(schema.names(), text_column, path)
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
    # On some damaged files polars panics, which is not an Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file, or a damaged one.") from error
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{path} has a value that can't be read ({error}).") from error


def _storable_time(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Drop times outside Python's range, on which polars would panic."""
    if not isinstance(kind, pl.Datetime | pl.Date):
        return column
    milliseconds = column.cast(pl.Datetime("ms")).dt.timestamp("ms")
    return pl.when(milliseconds.is_between(*_TIME_RANGE)).then(column)


READERS: dict[str, Callable[[Path, str | None], _Rows]] = {
    ".csv": csv_rows,
    ".json": json_rows,
    ".jsonl": jsonl_rows,
    ".parquet": _parquet_rows,
    ".txt": _txt_rows,
}
"""The reader of each extension; yields the number and the fields of each row."""
