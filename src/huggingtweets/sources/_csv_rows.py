"""Stream the rows of a CSV file.

This uses the standard library rather than polars because it streams, keeps line numbers for error
messages and bounds the size of a field. CSV parsing is not the bottleneck.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import find_columns
from huggingtweets.sources._json_rows import MAX_LINE_CHARS, text_lines
from huggingtweets.sources._text import lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources._json_rows import Rows

_DELIMITERS = ",;\t"  # in many locales spreadsheets write `;`


def csv_rows(path: Path, text_column: str | None) -> Rows:
    """Read the rows of a file; its first line names the columns."""
    yield from _rows((line for _, line in text_lines(path, MAX_LINE_CHARS)), str(path), text_column)


def csv_rows_from_text(texts: Iterable[str], where: str, text_column: str | None = None) -> Rows:
    """Read rows from chunks of text, such as those of a file inside an archive.

    Args:
        texts: the chunks.
        where: the file's name for error messages.
        text_column: the column with the posts, if it has an unusual name.
    """
    numbered = lines(texts, where, MAX_LINE_CHARS)
    yield from _rows((line for _, line in numbered), where, text_column)


def _rows(lines_without_end: Iterator[str], where: str, text_column: str | None) -> Rows:
    texts = (f"{line}\n" for line in lines_without_end)
    header = next(texts, None)
    if header is None:
        raise SourceError(f"{where} is empty.")
    delimiter = max(_DELIMITERS, key=header.count)
    names = _next_row(csv.reader([header], delimiter=delimiter), where)
    if names is None:
        raise SourceError(
            f"{where} begins with an empty line; its first line must name the columns."
        )
    columns = find_columns(names, text_column, where)
    indices = [(field, names.index(name)) for field, name in columns.items()]
    reader = csv.reader(texts, delimiter=delimiter)
    while (row := _next_row(reader, where)) is not None:
        if any(row[len(names) :]):
            raise SourceError(
                f"Line {reader.line_num + 1} of {where} has {len(row)} fields, but the first line "
                f"names {len(names)}; put posts that contain {delimiter!r} in double quotes."
            )
        if row:
            length = len(row)  # a short row ends with empty fields
            values: dict[str, object] = {
                field: row[at] if at < length else "" for field, at in indices
            }
            yield reader.line_num + 1, values


def _next_row(reader: Iterator[list[str]], where: str) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0) + 1
        raise SourceError(
            f"{where} can't be read as CSV up to line {number} ({error}); "
            "an earlier double quote may not be closed."
        ) from error
