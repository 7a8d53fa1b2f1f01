"""Read posts from tables (:data:`READERS`) and from ``.txt`` (one post per line).

Columns are found by the names that exports commonly use, ignoring case. Each reader yields rows
with the same field names, and one function converts a row to a post.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.data.posts import Name, Post
from huggingtweets.errors import SourceError
from huggingtweets.events import Event, ignore
from huggingtweets.sources._columns import find_columns, known_columns
from huggingtweets.sources._compressed import COMPRESSED, format_of
from huggingtweets.sources._csv_rows import begin_table, csv_rows
from huggingtweets.sources._fields import (
    author_from_filename,
    hashed_id,
    parse_id,
    parse_name,
    spoken_text,
    titled,
)
from huggingtweets.sources._json_rows import POSITIONS, json_rows, jsonl_rows, text_lines
from huggingtweets.sources._latest_versions import LatestVersions
from huggingtweets.sources._post_kind import (
    OF_OTHERS,
    in_brackets,
    parse_kind,
    reason_to_leave_out,
)
from huggingtweets.sources._row_text import row_text, without_quoted_lines
from huggingtweets.sources._row_times import RowTimes
from huggingtweets.sources._text import MAX_POST_CHARS
from huggingtweets.sources._zip_member import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from huggingtweets.events import EventHandler

    _Rows = Iterator[tuple[int, dict[str, object]]]

_BATCH_ROWS = 50_000
_LINKEDIN_BREAK = re.compile(r'"\s*\n(?:"\s*"\s*\n)*\s*"')
"""LinkedIn puts each line of a post in double quotes, but for the first and the last mark."""

_MARKERS = re.compile(r"<\|(?:startoftext|endoftext)\|>")
"""Between the posts of files for the training of GPT-2."""

_PLACES = {".json": "value", ".parquet": "row"}
"""What the numbers of rows count, if not lines."""

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
        path: the file, or a file of a zip.
        text_column: the column with the posts, if it has an unusual name.
        author: the handle to use instead of the file's author column or name.
        group: the source that the file is a part of; then it may be without posts.
        i_am_the_author: read a file of an author who asks not to be read by programs.
        left_out: number of records left out at the last reading, by reason.
        listen: receives a warning if dates can't be read.
    """

    path: Path | Member
    text_column: str | None = None
    author: str | None = None
    group: FileGroup | None = None
    i_am_the_author: bool = False
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    listen: EventHandler = ignore

    @property
    def name(self) -> str:
        """The group's name, or the format: csv, json, jsonl and so on."""
        return self.group.name if self.group else format_of(self.path).removeprefix(".")

    def posts(self) -> Iterator[Post]:
        """Yield a post for every row that may be read, even if its text is empty."""
        self.left_out.clear()
        found = False
        for post in self._readable():
            found = True
            yield post
        if not found and self.group is None:
            raise SourceError(f"{self.path} holds no posts{in_brackets(self.left_out)}.")

    def _readable(self) -> Iterator[Post]:
        """Yield the posts, and count the records that are none to read."""
        times = RowTimes(self._rows, str(self.path), self._place)
        versions = LatestVersions(self.left_out)
        owner, defaults = self._owner(), self._defaults()
        for position, fields in self._rows():
            self._check_objection(fields)
            by = _by(fields)
            # A network's own records always name their author.
            is_unknown = by is None and fields.get("by", "") is not None
            is_by_another = owner is not None and by != owner.by and not is_unknown
            is_repost = is_by_another and _is_repost(fields)
            if reason := fields.get("left_out") or reason_to_leave_out(fields):
                self.left_out[str(reason)] += 1
            elif is_by_another and not is_repost:
                self.left_out[OF_OTHERS] += 1
            else:
                author = _author(fields)
                if owner is not None and (is_repost or author is None):
                    author = owner.author
                elif author is None and by is not None:
                    author = Name(by)  # several people of whom only the ids are known
                post = self._post(position, fields, times, author, defaults)
                if latest := versions.latest(post, fields):
                    yield latest
        yield from versions.rest()
        for warning in times.warnings():
            self.listen(Event(stage="curate", message=warning))

    def _rows(self) -> _Rows:
        return READERS[format_of(self.path)](self.path, self.text_column)

    @property
    def _place(self) -> str:
        return _PLACES.get(format_of(self.path), "line")

    def _defaults(self) -> _Defaults:
        group = self.group
        stem = PurePosixPath(self.path.stem)  # `oda.csv` of oda.csv.gz
        named = author_from_filename(stem if stem.suffix.lower() in READERS else self.path)
        return _Defaults(
            group.author if group else named,
            f"{group.number}-" if group else "",
            self.name,
            self._place,
            str(self.path),
        )

    def _post(
        self,
        position: int,
        fields: dict[str, object],
        times: RowTimes,
        author: str | None,
        defaults: _Defaults,
    ) -> Post:
        # Rows of Parquet are numbered from 0, and those of a page have one position.
        number = position % POSITIONS + (defaults.place == "row")
        text = _text(fields, number, defaults)
        return Post(
            author=self.author or author or defaults.author,
            id=parse_id(fields.get("id")) or defaults.id_prefix + hashed_id(position, text),
            text=text,
            created_at=times.read(number, fields),
            kind=parse_kind(text, fields),
            lang=parse_name(fields.get("lang")),
            source=defaults.source,
        )

    def _check_objection(self, fields: dict[str, object]) -> None:
        if self.i_am_the_author or not (objection := fields.get("objection")):
            return
        raise SourceError(
            f"@{parse_name(fields.get('author'))} {objection}, so {self.path} is not read; if it "
            "is your account, use --i-am-the-author or give the archive that the network offers "
            "you."
        )

    def _owner(self) -> _Owner | None:
        """Find who wrote most posts of a file of a network, in a first pass; None if nobody did.

        A timeline or a thread has posts of others as well.
        """
        counts: Counter[object] = Counter()
        authors: dict[object, str | None] = {}
        for _, fields in self._rows():
            if not {"by", "person", "left_out"} & fields.keys():
                if fields.get("text") is None and "author" not in fields:
                    continue  # no post, as scrapers write for an empty result
                return None
            by = _by(fields)
            if by is not None and not _is_repost(fields):
                counts[by] += 1
                authors.setdefault(by, _author(fields))
        top = counts.most_common(1)
        if not top or top[0][1] * 2 <= counts.total():
            return None
        return _Owner(top[0][0], authors[top[0][0]])


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What all posts of a file share.

    Attributes:
        author: of rows that name none.
        id_prefix: of generated ids.
        source: as in ``Post.source``.
        place: what a row's number counts.
        where: the file's path, for messages.
    """

    author: str
    id_prefix: str
    source: str
    place: str
    where: str


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose posts a file of a network holds: the permanent id, and the handle."""

    by: object
    author: str | None


def _by(fields: Mapping[str, object]) -> str | None:
    """Return what tells the writer of a row from others; None if it says nothing."""
    by = fields.get("by")
    if isinstance(by, str | int) and str(by).strip():
        return str(by).strip()
    return parse_name(fields.get("person"))


def _author(fields: Mapping[str, object]) -> str | None:
    """Return the handle of a row's writer, or another name."""
    if handle := parse_name(fields.get("author")):
        return handle
    name = parse_name(fields.get("person"))
    return Name(name) if name else None


def _is_repost(fields: Mapping[str, object]) -> bool:
    text = fields.get("text")
    return parse_kind(text if isinstance(text, str) else "", fields) == "repost"


def _text(fields: Mapping[str, object], number: int, defaults: _Defaults) -> str:
    """Return the text of a row.

    Raises:
        SourceError: it is no text, or too long.
    """
    value = fields.get("text")
    if isinstance(value, dict | list | bool):
        kind = "an object" if isinstance(value, dict) else "a list"
        kind = "true or false" if isinstance(value, bool) else kind
        raise SourceError(
            f"{defaults.place.capitalize()} {number:,} of {defaults.where} has {kind} where the "
            "text should be; name the column with the posts with `--text-column NAME`."
        )
    text = spoken_text(row_text(fields, defaults.where))
    if "subreddit" in fields:
        text = without_quoted_lines(text)
    if defaults.source == "linkedin":
        text = _LINKEDIN_BREAK.sub("\n", text)
    return titled(fields["title"], text, defaults.where) if "title" in fields else text


def _txt_rows(path: Path | Member, _text_column: str | None) -> _Rows:
    checked = False
    for number, line in text_lines(path, MAX_POST_CHARS):
        if not checked and line.strip():
            _check_is_plain_text(line, path)
            checked = True
        for post in _MARKERS.split(line):
            if post.strip():
                yield number, {"text": post}


def _check_is_plain_text(line: str, path: Path | Member) -> None:
    """Refuse another format with this extension: its names and numbers would be learnt.

    Raises:
        SourceError: the first line is that of a table or of JSON.
    """
    start = line.lstrip()
    what, ending = "", ""
    if start.startswith(('{"', "[{", "window.YTD.")):
        what, ending = ("JSON", ".jsonl") if start[0] == "{" else ("JSON", ".json")
        what, ending = ("a file of an X archive", ".js") if start[0] == "w" else (what, ending)
    elif (table := begin_table(line, str(path))) and len(table.names) > 1:
        known = known_columns(tuple(table.names), None)
        is_header = "text" in known and not {"id", "created_at", "author"}.isdisjoint(known)
        what, ending = ("a table", ".csv") if is_header else ("", "")
    if what:
        raise SourceError(
            f"{path} seems to be {what}, not one post a line; rename it to end in {ending}."
        )


def _parquet_rows(path: Path | Member, text_column: str | None) -> _Rows:
    if isinstance(path, Member) or path.suffix.lower() in COMPRESSED:
        raise SourceError(f"{path} is a Parquet file; unpack it and give the file itself.")
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


READERS: dict[str, Callable[[Path | Member, str | None], _Rows]] = {
    ".csv": csv_rows,
    ".json": json_rows,
    ".jsonl": jsonl_rows,
    ".parquet": _parquet_rows,
    ".txt": _txt_rows,
    ".tsv": csv_rows,
    ".ndjson": jsonl_rows,
}
"""The reader of each extension; yields the number and the fields of each row."""
