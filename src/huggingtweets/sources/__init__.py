"""Where posts come from: files, archives, accounts and datasets, all behind one interface.

:func:`read_posts` works in three steps: resolve what the user named to a :class:`Source`, apply the
privacy filter to it, and read its posts.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.data.posts import SCHEMA, Name, Post, posts_table
from huggingtweets.errors import SourceError
from huggingtweets.events import Event
from huggingtweets.sources._fields import parse_chosen_author
from huggingtweets.sources._formats import SUPPORTED
from huggingtweets.sources._privacy_filter import FilteredSource, PrivacyFilter, unwrap
from huggingtweets.sources._resolve import is_account, resolve
from huggingtweets.sources._source import Source
from huggingtweets.sources.chats.export import CHATS
from huggingtweets.sources.reading import Confirm, FileLimits, ReadOptions, decline
from huggingtweets.sources.x_archive import XArchive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from huggingtweets.events import EventHandler

__all__ = [
    "Confirm",
    "CountLeftOut",
    "ReadOptions",
    "Source",
    "chats_in",
    "decline",
    "is_account",
    "merge_posts",
    "open_source",
    "read_posts",
    "read_tables",
    "unwrap",
]

_WITHOUT_HANDLES = CHATS | {"facebook", "feed", "linkedin", "reddit", "youtube"}
"""Sources that name people as they call themselves, or where ``@`` doesn't address anybody."""
_HANDLE = re.compile(r"[\w.-]+(@[\w.:-]+)?")
_TABLE, _OCCURRENCE = "_table", "_occurrence"
# Networks number all their posts together, or name them by an address: one id is one post, although
# its text may differ (truncated in one archive, edited since). Files and chats count from 1.
_GLOBAL_ID = r"^\d{12,}$|:"
_ROUNDED_ID = r"^\d{10,}00$"  # a double has 16 digits, and spreadsheets keep 15


def read_posts(specs: Sequence[str | Path], reading: ReadOptions | None = None) -> pl.DataFrame:
    """Read all sources into one table of :data:`huggingtweets.data.posts.SCHEMA`.

    A post that occurs twice is kept once, as when the same archive is given twice or two archives
    overlap. With ``reading.author`` all posts are by one author; otherwise each source names its
    own.

    This process reads them; :mod:`huggingtweets.sources.in_child` uses another one.

    Args:
        specs: each as in :func:`open_source`.
        reading: how to read them.

    Raises:
        SourceError: a source can't be read, has no post or is beyond the limits.
        OptedOutError: an author asked not to be imitated.
    """
    return merge_posts(read_tables(specs, reading or ReadOptions()))


def read_tables(specs: Sequence[str | Path], reading: ReadOptions) -> list[pl.DataFrame]:
    """Read each source into a table of its own, as :func:`read_posts` does."""
    if not specs:
        raise SourceError(f"No source of posts was given; give {SUPPORTED}.")
    sources = _with_shared_handle([open_source(spec, reading) for spec in specs])
    _check_speaker(reading.speaker, sources)
    count = _Count(reading.file_limits)
    tables = []
    for source in sources:
        tables.append(posts_table(count.check(source.posts(), source.name)))
        left_out, handles = left_out_of(source), count.handles_read()
        if left_out or handles:
            reading.listen(Event(stage="read", left_out=left_out or None, handles=handles or None))
    return tables


class CountLeftOut:
    """Adds up what sources left out while they were read; forwards each event.

    Attributes:
        handles: the authors whose handle a source gave; the others have only a name.
    """

    def __init__(self, listen: EventHandler) -> None:
        self._listen = listen
        self._total: Counter[str] = Counter()
        self.handles: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Count and forward an event."""
        self._total.update(event.left_out or {})
        self.handles.update(event.handles or ())
        self._listen(event)

    @property
    def total(self) -> dict[str, int]:
        """Number of records by reason, most first."""
        return dict(self._total.most_common())


def chats_in(posts: pl.DataFrame) -> list[str]:
    """Return which sources of a table of posts are private chats, in alphabetical order."""
    return sorted(CHATS.intersection(posts["source"].unique()))


def left_out_of(source: Source) -> dict[str, int]:
    """Return how many records a source left out at its last reading, by reason, most first."""
    counts = Counter(getattr(unwrap(source), "left_out", {}))
    return {reason: number for reason, number in counts.most_common() if number}


def _with_shared_handle(sources: list[Source]) -> list[Source]:
    """Give an X archive without a handle that of the others: X splits large ones into several."""
    archives = [unwrap(source) for source in sources]
    handles = [at.handle() if isinstance(at, XArchive) else None for at in archives]
    found = {handle.lower(): handle for handle in handles if handle}
    if len(found) != 1:
        return sources
    (name,) = found.values()
    return [
        _with_author(source, name)
        if isinstance(at, XArchive) and not (handle or at.author)
        else source
        for source, at, handle in zip(sources, archives, handles, strict=True)
    ]


def _with_author(source: Source, author: str) -> Source:
    if isinstance(source, FilteredSource):
        return replace(source, source=_with_author(source.source, author))
    return replace(source, author=author) if isinstance(source, XArchive) else source


class _Count:
    """Counts posts and characters up to the limits, and notes whose handles are known."""

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._posts = self._characters = 0
        self._handles: set[str] = set()

    def handles_read(self) -> tuple[str, ...]:
        """Return the authors since the last call whose handle their source gave."""
        found, self._handles = tuple(sorted(self._handles)), set()
        return found

    def check(self, posts: Iterator[Post], name: str) -> Iterator[Post]:
        """Yield the posts of a source."""
        most_posts, most_characters = self._limits.posts, self._limits.characters
        for post in posts:
            self._posts += 1
            self._characters += len(post.text)
            if post.author not in self._handles and _is_handle(post):
                self._handles.add(post.author)
            if self._posts > most_posts or self._characters > most_characters:
                raise SourceError(
                    f"The {name} source holds more than the limit of {most_posts:,} posts or "
                    f"{most_characters:,} characters; give a part of it."
                )
            yield post


def _is_handle(post: Post) -> bool:
    """Whether a post's author is a handle: chats and display names have none."""
    is_name = isinstance(post.author, Name) or post.source in _WITHOUT_HANDLES
    return not is_name and _HANDLE.fullmatch(post.author) is not None


def open_source(spec: str | Path, reading: ReadOptions | None = None) -> Source:
    """Find the source for a file, a folder, an account or a dataset, behind the privacy filter.

    Args:
        spec: a path, an account such as ``bsky:name.bsky.social``, or a dataset on the Hugging Face
            Hub such as ``hf:owner/name``.
        reading: how to read it.

    Raises:
        SourceError: there is no such source, or it can't be read.
        OptedOutError: the author asked not to be imitated.
    """
    reading = reading or ReadOptions()
    reading = replace(reading, author=parse_chosen_author(reading.author))
    privacy = PrivacyFilter.load(reading)
    source = resolve(spec, privacy.source_options)
    return privacy.apply(source)


def _check_speaker(speaker: str | None, sources: Sequence[Source]) -> None:
    """Reject ``--from`` if no source is an export of chats."""
    is_export = (getattr(unwrap(source), "has_speakers", False) for source in sources)
    if speaker is not None and not any(is_export):
        raise SourceError(
            f"--from {speaker[:80]} names a person in an export of chats, but none was given."
        )


def merge_posts(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Concatenate tables of posts so that each author's ids are unique and each post occurs once.

    A post is the same if id *and* text are: spreadsheets round ids, so that different posts share
    one. A post that is in several tables, as when archives overlap, is kept at its first
    occurrence, and its text may then differ. A different post with the id of another gets a new id.
    """
    numbered = [table.with_columns(pl.lit(at).alias(_TABLE)) for at, table in enumerate(tables)]
    table = _first_of(pl.concat(numbered), "author", "id", "text")
    is_global = pl.col("id").str.contains(_GLOBAL_ID) & ~pl.col("id").str.contains(_ROUNDED_ID)
    is_in_earlier_table = pl.col(_TABLE) > pl.col(_TABLE).min().over("author", "id")
    table = table.filter(~(is_global & is_in_earlier_table))
    occurrence = pl.int_range(1, pl.len() + 1).over("author", "id")
    table = table.with_columns(occurrence.alias(_OCCURRENCE))
    is_repeated = pl.col(_OCCURRENCE) > 1
    new_id = pl.when(is_repeated).then(pl.format("{}-{}", "id", _OCCURRENCE)).otherwise("id")
    return table.with_columns(new_id.alias("id")).select(SCHEMA.names())


def _first_of(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Keep the first row of each combination of values."""
    return table.unique(subset=columns, keep="first", maintain_order=True)
