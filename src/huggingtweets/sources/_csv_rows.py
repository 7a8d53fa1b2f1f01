"""Stream the rows of a CSV file.

This uses the standard library rather than polars because it streams, keeps line numbers for error
messages and bounds the size of a field. CSV parsing is not the bottleneck.
"""

from __future__ import annotations

import csv
import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._columns import check_number, find_columns, known_columns
from huggingtweets.sources._dates import read_date
from huggingtweets.sources._json_rows import MAX_LINE_CHARS
from huggingtweets.sources._post_kind import plain_name
from huggingtweets.sources._signatures import what_it_is
from huggingtweets.sources._text import LINE_SEPARATOR, decode_table, file_chunks, lines, list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources._json_rows import Rows
    from huggingtweets.sources._zip_member import Member

_DELIMITERS = ",;\t|"  # in many locales spreadsheets write `;`
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<mark>[^"\n])"?;*', re.IGNORECASE)  # for Excel
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE]\+?\d+)?")
_LINKEDIN = ["date", "link", "message"]
"""Plain names of the columns of its ``Comments.csv``."""

_END = "\x1d"
_LONGEST_NAME = 80  # characters
_SHOWN_NAMES = 5


def csv_rows(path: Path | Member, text_column: str | None) -> Rows:
    """Read the rows of a file; its first line names the columns."""
    where = str(path)
    with closing(file_chunks(path)) as chunks:
        _check_beginning(next(chunks, b""), where, text_column)
    with closing(file_chunks(path)) as chunks:
        yield from csv_rows_from_text(decode_table(chunks, where), where, text_column)


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
    table = _begin(texts, where, text_column)
    ended = False

    def with_end() -> Iterator[str]:
        """Add a line that shows whether the last quoted value is closed; csv doesn't tell."""
        nonlocal ended
        yield from texts
        ended = True
        yield _END

    reader = csv.reader(with_end(), delimiter=table.delimiter, escapechar=table.escape)
    columns: dict[str, int] | None = None
    number = table.lines
    while (row := _next_row(reader, where)) is not None:
        if ended:
            if row != [_END]:
                raise SourceError(
                    f"The double quote that begins a value in line {number + 1} of {where} is "
                    "never closed, so all lines after it are one value; close it, or double it "
                    "if it is part of a post."
                )
            break
        number = reader.line_num + table.lines
        if columns is None:
            columns = table.columns(row, text_column)
        if not any(row):
            if len(row) == len(table.names):
                yield number, dict.fromkeys(columns, "")
            continue
        table.check(row, number)
        values = {field: row[at].replace(LINE_SEPARATOR, "\n") for field, at in columns.items()}
        yield number, dict[str, object](values)
    if columns is None:
        table.columns(None, text_column)


@dataclass(frozen=True, slots=True)
class _Table:
    """The first line of a table.

    Attributes:
        names: of the columns.
        delimiter: between values.
        lines: number of lines before the first row.
        where: the file's name for error messages.
        width: number of values in a row; columns without a name at the end may be missing.
    """

    names: list[str]
    delimiter: str
    lines: int
    where: str
    width: int

    @property
    def escape(self) -> str | None:
        """What LinkedIn puts before a double quote in a comment; others double the quote."""
        return "\\" if [plain_name(name) for name in self.names] == _LINKEDIN else None

    def columns(self, first: list[str] | None, text_column: str | None) -> dict[str, int]:
        """Return the index of each field; ``first`` is the first row.

        Raises:
            SourceError: the names are those of no table, or are values.
        """
        known = known_columns(tuple(self.names), text_column)
        if "text" not in known and len(self.names) == 1 and _splits(self.names[0], 2):
            raise self._in_one_cell(self.lines)
        if text_column is None and self._begins_with_values(known, first):
            raise SourceError(
                f"{self.where} seems to have no header: its first line holds values "
                f"({list_names(self.names, _SHOWN_NAMES)}); put a line with the names of the "
                f"columns before it, such as id{self.delimiter}date{self.delimiter}text."
            )
        columns = find_columns(self.names, text_column, self.where)
        return {field: self.names.index(name) for field, name in columns.items()}

    def _begins_with_values(self, known: dict[str, str], first: list[str] | None) -> bool:
        if "text" not in known:
            return any(map(_is_value, self.names))
        pairs = zip(self.names, first or (), strict=False)
        repeats = any(
            name and name == value and name not in known.values() for name, value in pairs
        )
        pairs = zip(self.names, first or (), strict=False)
        return repeats or any(_is_value(name) and _is_value(value) for name, value in pairs)

    def check(self, row: list[str], number: int) -> None:
        """Refuse a row with more or fewer values than the first line names.

        Raises:
            SourceError: the row has another number of values.
        """
        width = self.width
        if any(row[len(self.names) :]):
            raise SourceError(
                f"Line {number} of {self.where} has {len(row)} fields, but the first line names "
                f"{len(self.names)}; put posts that contain {self.delimiter!r} in double quotes."
            )
        if width > 1 and sum(map(bool, row)) == 1 and _splits(max(row, key=len), width):
            raise self._in_one_cell(number)
        if len(row) >= width:
            return
        raise SourceError(
            f"Line {number} of {self.where} has only {len(row)} of the {width} fields that the "
            f"first line names; give the missing ones as empty fields ({self.delimiter!r} between "
            "them), and put posts of several lines in double quotes."
        )

    def _in_one_cell(self, number: int) -> SourceError:
        return SourceError(
            f"Line {number} of {self.where} holds a whole row in one cell; save the table again "
            "with one value a cell (in a spreadsheet: Data, Text to Columns), or give the "
            "original file."
        )


def _begin(texts: Iterator[str], where: str, text_column: str | None) -> _Table:
    """Read the first line, after one that tells Excel the delimiter."""
    header, before = next(texts, None), 1
    match = _SEPARATOR_LINE.fullmatch(header.strip()) if header else None
    if match:
        header, before = next(texts, None), 2
    if header is None:
        raise SourceError(f"{where} is empty.")
    if header.lstrip().startswith(("{", "[{")):
        raise SourceError(f"{where} is JSON, not CSV; rename it to end in .json or .jsonl.")
    tables = []
    for delimiter in match["mark"] if match else _DELIMITERS:
        names = _next_row(csv.reader([header], delimiter=delimiter), where) or []
        check_number(len(names), where)
        width = max((at for at, name in enumerate(names, start=1) if name), default=0)
        tables.append(_Table(names, delimiter, before, where, width))
    with_text = [
        table for table in tables if "text" in known_columns(tuple(table.names), text_column)
    ]
    return max(with_text or tables, key=lambda table: len(table.names))


def begin_table(line: str, where: str) -> _Table | None:
    """Return the table that a first line begins, with the delimiter that fits; None for none."""
    try:
        return _begin(iter([line]), where, None)
    except (SourceError, csv.Error):
        return None


def _check_beginning(head: bytes, where: str, text_column: str | None) -> None:
    """Refuse a table that has no header even if it isn't UTF-8, which is only said afterwards."""
    if what_it_is(head):
        return  # said when it is decoded
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if head.startswith((b"\xff\xfe", b"\xfe\xff")) or error.start > len(head) - 4:
            return
        rows = head.decode("latin-1").splitlines(keepends=True)[:2]
        try:
            table = _begin(iter(rows[:1]), where, text_column)
            first = next(csv.reader(rows[1:], delimiter=table.delimiter), None)
            table.columns(first, text_column)
        except csv.Error:
            return


def _splits(cell: str, width: int) -> bool:
    """Return whether a cell may hold the values of a row."""
    return any(cell.count(mark) >= width - 1 for mark in _DELIMITERS)


def _is_value(cell: str) -> bool:
    """Return whether a cell is unlike the name of a column: a number, a date or a long text."""
    cell = cell.strip()
    if not cell:
        return False
    is_long = len(cell) > _LONGEST_NAME or cell.startswith(("http://", "https://"))
    return is_long or _NUMBER.fullmatch(cell) is not None or read_date(cell) is not None


def _next_row(reader: Iterator[list[str]], where: str) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0) + 1
        raise SourceError(
            f"{where} can't be read as CSV up to line {number} ({error}); "
            "an earlier double quote may not be closed."
        ) from error
