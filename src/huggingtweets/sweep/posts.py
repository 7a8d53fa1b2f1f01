"""The posts of a sweep: read, curated and split once, then stored.

They are stored in the sweep folder as one Parquet file (author, split, text, id), the only file of
a sweep with posts. :mod:`huggingtweets.deletion` uses the id.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets import curation
from huggingtweets.curation import CurationOptions
from huggingtweets.data import batching
from huggingtweets.errors import BotError, InsufficientTextError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.sources import ReadOptions
from huggingtweets.sources.in_child import read_posts_in_child
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class AuthorPosts:
    """One author's posts, in time order."""

    author: str
    train: list[str]
    held_out: list[str]


def read_authors(
    specs: Sequence[str | Path],
    *,
    holdout: float,
    newest: int | None = None,
    reading: ReadOptions | None = None,
    listen: EventHandler = ignore,
) -> pl.DataFrame:
    """Read, curate and split the posts of each author separately.

    Args:
        specs: sources; each author in them counts.
        holdout: share of each author's posts to hold out, the newest.
        newest: use only this many training posts of each author, the newest, and at most as many
            held-out posts, the oldest; None for all.
        reading: options of reading.
        listen: called with every event.

    Returns:
        Columns author, split, text and id, in time order within each author.

    Raises:
        SourceError: a source can't be read.
        InsufficientTextError: an author has too few posts.
    """
    listen(Event(stage="read", message=", ".join(str(spec) for spec in specs)))
    posts = read_posts_in_child(specs, replace(reading or ReadOptions(), listen=listen))
    tables = []
    for name in posts["author"].unique(maintain_order=True):
        listen(Event(stage="read", message=f"curating {name}"))
        tables.append(_split(posts.filter(pl.col("author") == name), holdout, newest))
    return pl.concat(tables).select("author", "split", "text", "id")


def _split(posts: pl.DataFrame, holdout: float, newest: int | None) -> pl.DataFrame:
    name = posts["author"][0]
    kept = curation.curate(posts, CurationOptions()).kept
    try:
        batching.text_amount_warning(kept)
        split = batching.split(kept, holdout=holdout)
        train = split.filter(pl.col("split") == "train")
        held_out = split.filter(pl.col("split") == "held_out")
        if newest is not None:
            train, held_out = train.tail(newest), held_out.head(newest)
    except InsufficientTextError as error:
        raise InsufficientTextError(f"{name} can't be part of the sweep: {error}") from error
    return pl.concat([train, held_out])


def save_authors(table: pl.DataFrame, file: Path) -> None:
    """Write the table atomically."""
    with files.atomic_write(file) as temporary:
        try:
            table.write_parquet(temporary)
        except pl.exceptions.PolarsError as error:
            raise files.to_os_error(error) from error


def load_authors(file: Path) -> dict[str, AuthorPosts]:
    """Read each author's posts, in the order of the table.

    Raises:
        BotError: the file is missing or damaged.
    """
    try:
        table = pl.read_parquet(file)
        names = table["author"].unique(maintain_order=True).to_list()
        train = batching.texts_by_author(table, "train", names)
        held_out = batching.texts_by_author(table, "held_out", names)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BotError(f"{file} is missing or damaged. Start a new sweep.") from error
    return {name: AuthorPosts(name, train[name], held_out[name]) for name in names}


def fingerprint(table: pl.DataFrame) -> str:
    """Return a hash of the posts and their split; it is equal for comparable sweeps."""
    digest = hashlib.sha256()
    for row in table.select("author", "split", "text").iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:16]
