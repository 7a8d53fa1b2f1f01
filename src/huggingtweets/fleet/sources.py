"""What a fleet is made of: sources on the command line, or a manifest.

A manifest is a CSV file with a header. Its columns are ``author`` and ``source``, and if wanted the
options of reading: ``text_column``, ``from`` (the person, in an export of chats), ``join``,
``keep_names`` and ``i_am_the_author`` (yes or no). A path is relative to the manifest.

.. code-block:: text

    author,source,text_column
    nasa,nasa.csv,
    me,exports/twitter-2025.zip,
    ann,posts.parquet,message
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError, OptedOutError, SourceError
from huggingtweets.events import ignore
from huggingtweets.pipeline.preparing import read_posts
from huggingtweets.privacy import opt_out
from huggingtweets.sources import CountLeftOut, ReadOptions, is_account
from huggingtweets.storage.run_folder import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

_TEXTS = ("author", "source", "text_column", "from")
_SWITCHES = ("join", "keep_names", "i_am_the_author")
COLUMNS = (*_TEXTS, *_SWITCHES)
_REQUIRED = {"author", "source"}
_YES, _NO = ("yes", "true", "1", "x"), ("no", "false", "0", "")
_MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class FleetSource:
    """A source of a fleet.

    Attributes:
        source: as for ``train``.
        author: the one author of all its posts, as with ``--as``; None for the source's own
            authors, who get a bot each.
        text_column: column with the text; None to find it.
        speaker: person whose messages are the posts, for exports of chats.
        join: whether messages of a chat that follow each other are one post.
        keep_names: whether the names of the other people of a chat stay in the posts.
        i_am_the_author: read an account that asks not to be used.
    """

    source: str
    author: str | None = None
    text_column: str | None = None
    speaker: str | None = None
    join: bool = False
    keep_names: bool = False
    i_am_the_author: bool = False

    @property
    def label(self) -> str:
        """The author, or the source until its authors are known."""
        return self.author or self.source

    @property
    def key(self) -> str:
        """The source as text, by which a resumed fleet knows it."""
        return json.dumps(asdict(self), sort_keys=True)

    def read(self, is_cancelled: Callable[[], bool]) -> tuple[pl.DataFrame, CountLeftOut]:
        """Read the posts, and what was left out.

        Where a file has several authors, those who opted out are still in it.

        Raises:
            SourceError: the source can't be read.
            OptedOutError: its one author asked not to be imitated.
        """
        reading = ReadOptions(
            self.text_column,
            self.speaker,
            self.author,
            self.i_am_the_author,
            join=self.join,
            keep_names=self.keep_names,
            is_cancelled=is_cancelled,
        )
        path = Path(self.source)
        if path.is_absolute() and not path.exists():  # the sentence of ``train`` is longer
            raise SourceError(f"There is no file or folder {path}.")
        opt_out.check_run(RunRecord("", [], {"sources": [self.source]}, {}, {}))
        if self.author is None and not is_account(self.source, reading):
            reading = replace(reading, refuse_opted_out=False)  # the caller drops them one by one
        return read_posts([self.source], reading, ignore)


def by_author(posts: pl.DataFrame) -> dict[str, pl.DataFrame | OptedOutError]:
    """Return each author's posts, or the error if the author asked not to be imitated."""
    found: dict[str, pl.DataFrame | OptedOutError] = {}
    for author in posts["author"].unique(maintain_order=True):
        try:
            opt_out.check([author])
        except OptedOutError as error:
            found[author] = error
        else:
            found[author] = posts.filter(author=author)
    return found


def read_sources(
    specs: Sequence[str | Path], defaults: FleetSource | None = None
) -> list[FleetSource]:
    """Return the sources that a user named, with the rows of manifests among them.

    Args:
        specs: sources, and manifests.
        defaults: the options of reading where a manifest says nothing.

    Raises:
        InputError: a manifest can't be used, or a source or author is named twice.
        SourceError: a file doesn't exist that no manifest names.
    """
    defaults = defaults or FleetSource("")
    found: list[tuple[FleetSource, str]] = []
    for spec in map(str, specs):
        rows = _manifest(Path(spec), defaults)
        if rows is None:
            _check_exists(spec)
            found.append((replace(defaults, source=_absolute(spec)), spec))
        else:
            found += rows
    _check_distinct(found)
    return [source for source, _ in found]


def _check_exists(spec: str) -> None:
    """Refuse a mistyped file on the command line before anything is written.

    A missing file in a manifest costs only its author.
    """
    is_elsewhere = spec.startswith("hf:") or is_account(spec, ReadOptions())
    if not is_elsewhere and not Path(spec).expanduser().exists():
        raise SourceError(f"There is no file or folder {spec}.")


def _absolute(spec: str, parent: Path | None = None) -> str:
    """Return the absolute path of a file, also of one that a manifest names and that is missing."""
    path = Path(spec).expanduser()
    if parent is not None and not path.is_absolute() and ":" not in spec and spec[:1] != "@":
        path = parent / path
        return str(path.absolute())
    return str(path.absolute()) if path.exists() else spec


def _check_distinct(found: list[tuple[FleetSource, str]]) -> None:
    seen: dict[str, str] = {}
    for source, where in found:
        name = source.author.removeprefix("@").casefold() if source.author else source.source
        if name in seen:
            raise InputError(
                f"{source.label} is named twice, in {seen[name]} and in {where}. An author has one "
                "bot: join the files, or take one out."
            )
        seen[name] = where


def _manifest(path: Path, defaults: FleetSource) -> list[tuple[FleetSource, str]] | None:
    """Return the sources of a manifest, each with its place; None if the file is none."""
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            header = opened.readline()
            delimiter = max(",;\t", key=header.count)
            names = [
                name.strip().lower().replace("-", "_")
                for name in next(csv.reader([header], delimiter=delimiter), [])
            ]
            if not names or not _is_manifest(names):
                return None
            _check_columns(path, names)
            rows = list(csv.reader(opened, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error, OSError):
        return None  # the reader of tables says what is wrong
    if len(rows) > _MOST_ROWS:
        raise InputError(f"{path} has {len(rows):,} rows; a manifest may have {_MOST_ROWS:,}.")
    found = []
    for number, row in enumerate(rows, 2):
        if any(cell.strip() for cell in row):
            where = f"line {number} of {path}"
            found.append(
                (_source(dict(zip(names, row, strict=False)), where, path, defaults), where)
            )
    if not found:
        raise InputError(f"{path} names no author: it has only a header.")
    return found


def _is_manifest(names: list[str]) -> bool:
    """Whether a CSV file is a manifest and no table of posts, which has a column with texts."""
    texts = {"text", "full_text", "content", "body", "message", "post", "tweet", "created_at", "id"}
    return set(names) >= _REQUIRED and texts.isdisjoint(names)


def _check_columns(path: Path, names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"{path} has a column {unknown[0]!r} that a manifest doesn't know; it may have "
            f"{', '.join(COLUMNS)}."
        )


def _source(row: dict[str, str], where: str, path: Path, defaults: FleetSource) -> FleetSource:
    values = {name: cell.strip() for name, cell in row.items()}
    for name in sorted(_REQUIRED):
        if not values.get(name):
            raise InputError(f"There is no {name} in {where}.")
    given: dict[str, Any] = {}
    if text := values.get("text_column"):
        given["text_column"] = text
    if text := values.get("from"):
        given["speaker"] = text
    for name in _SWITCHES:
        answer = values.get(name, "").lower()
        if answer not in (*_YES, *_NO):
            raise InputError(f"{name} must be yes or no, not {values[name]!r}, in {where}.")
        if answer:
            given[name] = answer in _YES
    source = _absolute(values["source"], path.absolute().parent)
    return replace(defaults, source=source, author=values["author"], **given)
