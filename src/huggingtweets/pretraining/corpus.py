"""Corpora to pre-train on: what the user names, curated a piece at a time onto disk.

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
"""Posts of each corpus at most that are only measured."""

_HELD_OUT_EVERY = 200  # posts: one group in so many goes to the held-out posts, until they are full


@dataclass(frozen=True, slots=True)
class Corpus:
    """One source of posts and how much it counts.

    Attributes:
        spec: a file or folder as :func:`huggingtweets.sources.open_source` takes it, or a folder
            of Parquet files.
        weight: how often its text is read while a corpus of weight 1 is read once.
    """

    spec: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """For people and for file names: the last part of the path without its ending."""
        return re.sub(r"[^\w.-]+", "_", Path(self.spec).stem) or "corpus"

    def posts(self) -> Iterator[Post]:
        """All posts, streamed, also those of authors who are to be left out.

        Raises:
            SourceError: they can't be read.
        """
        folder = Path(self.spec)
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        for file in files or [folder]:
            yield from open_source(file, ReadOptions(refuse_opted_out=False)).posts()


def parse_corpora(specs: Sequence[str]) -> list[Corpus]:
    """``path`` or ``path:weight``; a path that really ends so is taken whole.

    Raises:
        InputError: a weight isn't a number over 0, or a corpus is named twice.
    """
    corpora = [_parse(spec) for spec in specs]
    if not corpora:
        raise InputError("No CORPUS was given: name files or folders of posts.")
    seen: set[str] = set()
    for corpus in corpora:
        where = str(Path(corpus.spec).absolute())
        if where in seen:
            raise InputError(f"The corpus {corpus.spec} is given twice; give it once, weighted.")
        seen.add(where)
    return corpora


def _parse(spec: str) -> Corpus:
    path, colon, weight = spec.rpartition(":")
    if not colon or Path(spec).exists():
        return Corpus(spec)
    try:
        value = float(weight)
    except ValueError:
        return Corpus(spec)  # opening it will say what is wrong
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"The weight of {path} must be a number over 0, not {weight}.")
    return Corpus(path, value)


@dataclass(slots=True)
class Counts:
    """What became of a corpus' posts; they add up."""

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
    """Curate a corpus a piece at a time.

    Near-duplicates are looked for within a piece, posts of the same words in all that ``seen`` has
    met, other corpora included.

    Args:
        corpus: where the posts come from.
        counts: is added to.
        seen: posts met so far.
        excluded: authors to leave out, lower case.
        options: how posts are cleaned.
        opted_out: those who asked not to be imitated, who are left out as well.

    Yields:
        Tables of ``author`` and ``text``, posts of an author in time order.
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
        if post.author.lower() not in excluded and not opted_out.names(post.author):
            yield post


def grouped(piece: pl.DataFrame, size: int, seed: int) -> list[list[str]]:
    """Runs of ``size`` consecutive posts of one author, the runs shuffled.

    Args:
        piece: ``author`` and ``text``.
        size: posts in a run at most; 1 shuffles all posts.
        seed: of the shuffling.
    """
    runs = (
        piece.with_columns(run=pl.int_range(pl.len()).over("author") // size)
        .group_by("author", "run", maintain_order=True)
        .agg("text")
        .sample(fraction=1.0, shuffle=True, seed=seed)
    )
    return runs["text"].to_list()


def hold_out(runs: list[list[str]], missing: int) -> tuple[list[list[str]], list[str]]:
    """Take one run of every 200 for the held-out posts, at most ``missing`` posts."""
    aside: list[str] = []
    rest: list[list[str]] = []
    for number, run in enumerate(runs):
        if number % _HELD_OUT_EVERY == 0 and len(aside) < missing:
            aside.extend(run)
        else:
            rest.append(run)
    return rest, aside[:missing]
