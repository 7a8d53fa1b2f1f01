"""What a post is, as a value and as a row of a posts table.

Everything between the stages is a polars table with these columns, because a table of a million
posts takes a fraction of the memory of a million objects; sources hand over :class:`Post` values
one by one, so that no source has to hold all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Kind = Literal["original", "reply", "repost", "quote"]
"""How a post came about. Only a repost is somebody else's text."""

SCHEMA = pl.Schema(
    {
        "author": pl.String(),
        "id": pl.String(),
        "created_at": pl.Datetime("ms", "UTC"),
        "text": pl.String(),
        "kind": pl.Enum(["original", "reply", "repost", "quote"]),
        "lang": pl.String(),
        "source": pl.String(),
    }
)
"""The columns of a posts table, in this order. ``created_at`` and ``lang`` may be null."""

_ROWS_PER_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Post:
    """One post as its source gave it, before any curation.

    Attributes:
        author: the handle without ``@``; the name of the file where there is none.
        id: unique within the author, the same each time the source is read.
        text: the raw text, entities and links included.
        created_at: time of writing with a time zone, or None where the source has none.
        kind: original, reply, repost or quote.
        lang: language code as the source gave it, or None.
        source: where it came from, such as ``x-archive`` or ``csv``.
    """

    author: str
    id: str
    text: str
    created_at: datetime | None = None
    kind: Kind = "original"
    lang: str | None = None
    source: str = ""


def posts_table(posts: Iterable[Post]) -> pl.DataFrame:
    """Collect posts into a table of :data:`SCHEMA`, a chunk at a time.

    Only one chunk (50,000 posts) exists as Python objects at any moment.
    """
    iterator = iter(posts)
    chunks = [pl.DataFrame(schema=SCHEMA)]
    fields = attrgetter(*SCHEMA)
    while columns := list(zip(*map(fields, islice(iterator, _ROWS_PER_CHUNK)), strict=True)):
        chunks.append(pl.DataFrame(dict(zip(SCHEMA, columns, strict=True)), schema=SCHEMA))
    return pl.concat(chunks)
