"""Pre-training corpora, read and curated in pieces.

No step holds more than one piece (50,000 posts), so a corpus may be larger than memory.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation import CurationOptions, curate
from huggingtweets.data.posts import Post, posts_table
from huggingtweets.errors import InputError
from huggingtweets.privacy.opt_out import NOBODY
from huggingtweets.sources import ReadOptions, open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from huggingtweets.pretraining.bloom_filter import BloomFilter
    from huggingtweets.privacy.opt_out import OptOut

PIECE_POSTS = 50_000
HELD_OUT_PER_CORPUS = 200
"""Maximum number of held-out posts of each corpus."""

_HELD_OUT_EVERY = 200  # one of so many groups of posts is held out, up to the maximum


@dataclass(frozen=True, slots=True)
class Corpus:
    """A source of posts and its weight in the training mix.

    Attributes:
        spec: a file or folder supported by :func:`huggingtweets.sources.open_source`, or a folder
            of Parquet files.
        weight: passes over this corpus per pass over a corpus of weight 1.
    """

    spec: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Name for display and file names: the last part of the path without its extension."""
        return re.sub(r"[^\w.-]+", "_", Path(self.spec).stem) or "corpus"

    def posts(self) -> Iterator[Post]:
        """Stream all posts, including those of excluded authors.

        Raises:
            SourceError: the source can't be read.
        """
        folder = Path(self.spec)
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        for file in files or [folder]:
            yield from open_source(file, ReadOptions(refuse_opted_out=False)).posts()


def parse_corpora(specs: Sequence[str]) -> list[Corpus]:
    """Parse ``path`` or ``path:weight``; an existing path is never split.

    Raises:
        InputError: a weight isn't a positive number, or a corpus is given twice.
    """
    corpora = [_parse(spec) for spec in specs]
    if not corpora:
        raise InputError("No CORPUS was given; name files or folders of posts.")
    seen: set[str] = set()
    for corpus in corpora:
        where = str(Path(corpus.spec).absolute())
        if where in seen:
            raise InputError(f"Corpus {corpus.spec} is given twice; give it once with a weight.")
        seen.add(where)
    return corpora


def _parse(spec: str) -> Corpus:
    path, colon, weight = spec.rpartition(":")
    if not colon or Path(spec).exists():
        return Corpus(spec)
    try:
        value = float(weight)
    except ValueError:
        return Corpus(spec)  # opening it raises a clear error
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"The weight of {path} must be a number over 0, not {weight}.")
    return Corpus(path, value)


@dataclass(slots=True)
class Counts:
    """Numbers of a corpus' posts by outcome; ``read`` is their sum."""

    read: int = 0
    excluded: int = 0
    retweets: int = 0
    short: int = 0
    duplicates: int = 0
    held_out: int = 0
    kept: int = 0

    def add(self, counts: dict[str, int]) -> None:
        """Add the counts of one curated piece."""
        for reason in ("retweets", "short", "duplicates"):
            setattr(self, reason, getattr(self, reason) + counts[reason])


def curated_pieces(
    corpus: Corpus,
    counts: Counts,
    *,
    seen: BloomFilter,
    excluded: frozenset[str],
    options: CurationOptions,
    opted_out: OptOut = NOBODY,
) -> Iterator[pl.DataFrame]:
    """Curate a corpus in pieces.

    Near-duplicates are removed within a piece. Posts with the same words are removed across all
    pieces and corpora that share ``seen``.

    Args:
        corpus: source of the posts.
        counts: updated with the outcome of each post.
        seen: posts of earlier pieces.
        excluded: authors to exclude, lower case.
        options: curation options.
        opted_out: authors who opted out, who are excluded as well.

    Yields:
        Tables of ``author`` and ``text`` with the posts of an author in time order.
    """
    posts = iter(corpus.posts())
    while chunk := list(islice(posts, PIECE_POSTS)):
        counts.read += len(chunk)
        table = posts_table(_included(chunk, excluded, opted_out))
        counts.excluded += len(chunk) - table.height
        curated = curate(table, options)
        counts.add(curated.counts)
        kept = curated.kept.select("author", "text")
        fresh = seen.first_time(kept["text"])
        counts.duplicates += kept.height - int(fresh.sum())
        yield kept.filter(fresh)


def _included(posts: Iterable[Post], excluded: frozenset[str], opted_out: OptOut) -> Iterator[Post]:
    for post in posts:
        if post.author.lower() not in excluded and not opted_out.contains(post.author):
            yield post


def grouped(piece: pl.DataFrame, size: int, seed: int) -> list[list[str]]:
    """Group consecutive posts of each author and shuffle the groups.

    Args:
        piece: table of ``author`` and ``text``.
        size: maximum posts in a group; 1 shuffles all posts.
        seed: seed of the shuffling.
    """
    groups = (
        piece.with_columns(group=pl.int_range(pl.len()).over("author") // size)
        .group_by("author", "group", maintain_order=True)
        .agg("text")
        .sample(fraction=1.0, shuffle=True, seed=seed)
    )
    return groups["text"].to_list()


def hold_out(groups: list[list[str]], missing: int) -> tuple[list[list[str]], list[str]]:
    """Split off every 200th group as held-out posts, at most ``missing`` posts.

    Returns:
        The remaining groups and the held-out posts.
    """
    held_out: list[str] = []
    remaining: list[list[str]] = []
    for number, group in enumerate(groups):
        if number % _HELD_OUT_EVERY == 0 and len(held_out) < missing:
            held_out.extend(group)
        else:
            remaining.append(group)
    return remaining, held_out[:missing]
