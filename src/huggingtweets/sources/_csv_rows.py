"""Rows of CSV, streamed.

CSV is read by the standard library rather than polars, because it streams, keeps line numbers for
error messages and bounds the size of a field; it is not what takes the time.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import find_columns
from huggingtweets.sources._json_rows import LONGEST_LINE, text_lines
from huggingtweets.sources._text import lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources._json_rows import Rows

_DELIMITERS = ",;\t"  # spreadsheets of half the world write `;`


def csv_rows(path: Path, text_column: str | None) -> Rows:
    """Read a file: a row for each but the first, which names the columns."""
    yield from _rows((line for _, line in text_lines(path, LONGEST_LINE)), str(path), text_column)


def csv_rows_of(texts: Iterable[str], where: str) -> Rows:
    """Read the text of a file in pieces, such as one inside an archive.

    Args:
        texts: the pieces.
        where: the file's name for error messages.
    """
    yield from _rows((line for _, line in lines(texts, where, LONGEST_LINE)), where, None)


def _rows(given: Iterator[str], where: str, text_column: str | None) -> Rows:
    texts = (f"{line}\n" for line in given)
    head = next(texts, None)
    if head is None:
        raise SourceError(f"{where} is empty.")
    delimiter = max(_DELIMITERS, key=head.count)
    names = _fields(csv.reader([head], delimiter=delimiter), where)
    if names is None:
        raise SourceError(
            f"{where} begins with an empty line; its first line must name the columns."
        )
    columns = find_columns(names, text_column, where)
    places = [(field, names.index(name)) for field, name in columns.items()]
    reader = csv.reader(texts, delimiter=delimiter)
    while (row := _fields(reader, where)) is not None:
        if any(row[len(names) :]):
            raise SourceError(
                f"Line {reader.line_num + 1} of {where} has {len(row)} fields where the first line "
                f"names {len(names)}; posts that hold a {delimiter!r} must be in double quotes."
            )
        if row:
            row += [""] * (len(names) - len(row))
            yield reader.line_num + 1, {field: row[at] for field, at in places}


def _fields(reader: Iterator[list[str]], where: str) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0) + 1
        raise SourceError(
            f"{where} can't be read as CSV up to line {number} ({error}); "
            "a double quote may be left open before it."
        ) from error
