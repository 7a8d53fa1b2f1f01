"""A post, as a value and as a row of a posts table.

Stages exchange polars tables with these columns, because a table of a million posts takes a
fraction of the memory of a million objects. Sources yield :class:`Post` values one by one, so that
none has to hold all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Kind = Literal["original", "reply", "repost", "quote"]
"""Kinds of post. Only a repost is someone else's text."""

REPOST_TEXT = (
    r"^\s*(?:RT @|(?i:[rm]t)\s*:?\s*@\w|(?i:rt by) @\w|(?i:via)\s+@\w+\s*:"
    r"|[\"“”„«‘'`]+\s*@\w+\s*:|(?i:#?repost(?:ed)?)(?:\s+(?i:from|by))?\s*:?\s*@\w)"
)
"""Texts of others, by the conventions from before networks marked reposts; for ``re`` and polars.

``RT @name``, ``rt: @name``, ``MT @name`` (modified), ``via @name:``, ``"@name: words"``, ``Repost
from @name``, and Nitter's ``RT by @name``.
"""

_REPOST_TEXT = re.compile(REPOST_TEXT)

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


def is_repost_text(text: str) -> bool:
    """Return whether a text itself says that somebody else wrote it."""
    return _REPOST_TEXT.match(text) is not None


class Name(str):
    """An author's name that is no handle: a file's, a person's, or one that the user chose.

    It is shown without ``@``: that would address a stranger who has this handle.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Post:
    """One post from a source, before curation.

    Attributes:
        author: the handle without ``@``, or a :class:`Name` if the source has no handles.
        id: unique per author, and the same each time the source is read.
        text: the raw text, including entities and links.
        created_at: time of writing with a time zone, or None if unknown.
        kind: original, reply, repost or quote.
        lang: language code from the source, or None.
        source: kind of source, such as ``x-archive`` or ``csv``.
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

    At most one chunk (50,000 posts) exists as Python objects at a time.
    """
    iterator = iter(posts)
    chunks = [pl.DataFrame(schema=SCHEMA)]
    fields = attrgetter(*SCHEMA)
    while columns := list(zip(*map(fields, islice(iterator, _ROWS_PER_CHUNK)), strict=True)):
        chunks.append(pl.DataFrame(dict(zip(SCHEMA, columns, strict=True)), schema=SCHEMA))
    return pl.concat(chunks)
