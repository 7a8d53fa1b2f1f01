"""Posts in ordinary files: ``.csv``, ``.json``, ``.jsonl``, ``.parquet``, ``.txt`` (a post a line).

Columns are found by the names that exports commonly give them, in any case. Each reader turns its
format into rows of the same field names; one function turns a row into a post.
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
    id_of,
    kind_of,
    made_id,
    name_of,
    name_of_file,
    text_of,
    time_of,
)
from huggingtweets.sources._json_rows import json_rows, jsonl_rows, text_lines
from huggingtweets.sources._text import LONGEST_POST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    _Rows = Iterator[tuple[int, dict[str, object]]]

_BATCH_ROWS = 50_000
_TIMES = (-62_000_000_000_000, 253_400_000_000_000)  # ms: the years 5 to 9999


@dataclass(frozen=True, slots=True)
class FileGroup:
    """What a file is one of several of.

    Attributes:
        name: of the source, as in ``Post.source``.
        author: where the rows tell none, in place of the name of the file.
        number: of this file; ids made for its posts begin with it, so that each is there once.
    """

    name: str
    author: str
    number: int


@dataclass(frozen=True, slots=True)
class PostFile:
    """A file of posts; its ending, one of :data:`READERS`, tells the format.

    Attributes:
        path: the file.
        text_column: the column with the posts, where it has no usual name.
        author: the handle, where it should not be the file's column or its name.
        whole: what it is a part of; a part may be without posts.
    """

    path: Path
    text_column: str | None = None
    author: str | None = None
    whole: FileGroup | None = None

    @property
    def name(self) -> str:
        """Return the format: csv, json, jsonl, parquet or txt; of a part, what the whole is."""
        return self.whole.name if self.whole else self.path.suffix.lower().removeprefix(".")

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row, also where its text is empty."""
        found = False
        name, where = self.name, str(self.path)
        owner = self.whole.author if self.whole else name_of_file(self.path)
        start = f"{self.whole.number}-" if self.whole else ""
        for position, fields in READERS[self.path.suffix.lower()](self.path, self.text_column):
            found = True
            text = text_of(fields["text"], where)
            yield Post(
                author=self.author or name_of(fields.get("author")) or owner,
                id=id_of(fields.get("id")) or start + made_id(position, text),
                text=text,
                created_at=time_of(fields.get("created_at")),
                kind=kind_of(text, fields),
                lang=name_of(fields.get("lang")),
                source=name,
            )
        if not found and self.whole is None:
            raise SourceError(f"{self.path} holds no posts.")


def _txt_rows(path: Path, _text_column: str | None) -> _Rows:
    for number, line in text_lines(path, LONGEST_POST):
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
    ".csv": csv_rows,
    ".json": json_rows,
    ".jsonl": jsonl_rows,
    ".parquet": _parquet_rows,
    ".txt": _txt_rows,
}
"""What reads which ending: rows with their number and the fields found in them."""
