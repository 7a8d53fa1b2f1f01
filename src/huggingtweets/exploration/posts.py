"""Read and curate the posts of several sources and runs, as one table.

Files are read in a child process with limits, runs from their curated posts. All of it is curated
together, so that private data is masked and a post that two sources share counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets import curation, sources
from huggingtweets.data.posts import SCHEMA
from huggingtweets.errors import InsufficientTextError, SourceError
from huggingtweets.events import Event, EventHandler, counted, ignore
from huggingtweets.generation import bots
from huggingtweets.privacy import opt_out
from huggingtweets.sources.in_child import read_posts_in_child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingtweets.curation import Curated, CurationOptions
    from huggingtweets.sources import ReadOptions

FEWEST_POSTS = 20
"""Authors with fewer posts after curation are left out: shares of them would be chance."""

_NAMED = 3  # of those who are left out

MOST_AUTHORS = 40
"""Authors with the most posts are explored; more don't fit into a table or on a map."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Curated posts of one or several authors.

    Attributes:
        kept: a table of posts, in time order.
        names: authors as people read them, by author, most posts first.
        counts_by_author: numbers of curation, by author.
        left_out: records of the sources that are no posts of the authors, by reason.
        masked: pieces of private data masked, by kind.
        notes: sentences about what was left out.
    """

    kept: pl.DataFrame
    names: dict[str, str]
    counts_by_author: dict[str, dict[str, int]]
    left_out: dict[str, int]
    masked: dict[str, int]
    notes: tuple[str, ...]

    @property
    def authors(self) -> list[str]:
        """The authors, most posts first."""
        return list(self.names)


def collect(
    specs: Sequence[str | Path],
    curating: CurationOptions,
    reading: ReadOptions,
    listen: EventHandler = ignore,
) -> Collection:
    """Read and curate posts.

    Args:
        specs: files, folders, accounts, datasets and run folders.
        curating: options of curation.
        reading: options of reading.
        listen: called with every event.

    Raises:
        SourceError: a source can't be read or has no post.
        OptedOutError: an author asked not to be imitated.
        BotError: a run's posts are gone.
        InsufficientTextError: no author has enough posts left.
    """
    runs = [spec for spec in specs if bots.is_run(spec)]
    rest = [spec for spec in specs if spec not in runs]
    if reading.speaker is not None and not rest:
        raise SourceError(
            f"--from {reading.speaker[:80]} names a person in an export of chats, but only runs "
            "were given."
        )
    listen(Event(stage="read", message=", ".join(map(str, specs))))
    names: dict[str, str] = {}
    tables = []
    for spec in runs:
        run = bots.find_run_folder(spec)
        table, record = run.table("kept"), run.record()
        tables.append(table.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()))
        names |= {author: record.shown(author) for author in record.authors}
    read = sources.CountLeftOut(listen)
    if rest or not runs:
        tables.append(read_posts_in_child(rest, replace(reading, listen=read)))
        names |= {name: f"@{name}" if name in read.handles else name for name in _authors(tables)}
    posts = sources.merge_posts(tables)
    opt_out.check(posts["author"].unique())
    curated = curation.curate(posts, curating)
    listen(Event(stage="curate", counts=curated.counts, masked=curated.masked or None))
    chosen, notes = _with_enough_posts(curated)
    return Collection(
        kept=curated.kept.filter(pl.col("author").is_in(chosen)),
        names={author: names.get(author, author) for author in chosen},
        counts_by_author=curated.counts_by_author,
        left_out=read.total,
        masked=curated.masked,
        notes=notes,
    )


def _authors(tables: Sequence[pl.DataFrame]) -> list[str]:
    """Return the authors of the last table."""
    return tables[-1]["author"].unique().to_list()


def _with_enough_posts(curated: Curated) -> tuple[list[str], tuple[str, ...]]:
    """Return the authors to explore, most posts first, and sentences about the others."""
    # equal counts in alphabetical order, so that the same posts give the same report
    sizes = curated.kept.group_by("author").len().sort(["len", "author"], descending=[True, False])
    enough = sizes.filter(pl.col("len") >= FEWEST_POSTS)
    notes = []
    if enough.is_empty():
        raise InsufficientTextError(_too_few(sizes))
    kept = {author: counts["kept"] for author, counts in curated.counts_by_author.items()}
    if few := [author for author, number in kept.items() if number < FEWEST_POSTS]:
        shown = ", ".join(f"{author[:80]} ({kept[author]})" for author in few[:_NAMED])
        more = f" and {counted(len(few) - _NAMED, 'other')}" if len(few) > _NAMED else ""
        notes.append(f"Left out with under {FEWEST_POSTS} posts after curation: {shown}{more}.")
    if (others := enough.height - MOST_AUTHORS) > 0:
        who = counted(others, "author")
        notes.append(f"Left out with fewer posts than the {MOST_AUTHORS} shown: {who}.")
    return enough["author"].head(MOST_AUTHORS).to_list(), tuple(notes)


def _too_few(sizes: pl.DataFrame) -> str:
    if sizes.is_empty():
        return "No post is left after curation; `huggingtweets curate` shows why."
    return (
        f"Exploring an author needs at least {FEWEST_POSTS} posts after curation, and "
        f"{sizes['author'][0][:80]} has {sizes['len'][0]}; `huggingtweets curate` shows what was "
        "dropped and why."
    )
