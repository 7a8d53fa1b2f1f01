"""Choose and clean the posts a bot learns from. Pure: a table in, two tables out.

The rules, in this order; the first that applies decides:

1. **retweets** are somebody else's text: reposts, and texts that start with ``RT @`` (the original
   HuggingTweets rule; archives don't mark old ones otherwise).
2. Every other post is **cleaned**: entities, encoding, control characters, links, white space; see
   :func:`clean`.
3. **short** posts say too little: fewer than three words besides links, @mentions and #hashtags
   (the original's rule for *boring* posts); see :func:`count_words`.
4. **duplicates** of an earlier post, exact or nearly so, would be learnt twice, and would leak from
   the training posts into the held-out ones. They are looked for across the whole table: a bot of
   two authors must not be tested on what it learnt from the other. The earliest post stays, so
   that no pair is left to fall on both sides of a split in time.

Curating what was kept keeps all of it, unchanged (with ``scrub`` as long as every author has a
post left: mentions of the table's authors aren't masked). Where no two posts have the same time,
the order of the rows doesn't matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from huggingtweets.curation._clean import clean
from huggingtweets.curation._duplicates import find_duplicates
from huggingtweets.curation._options import CurationOptions
from huggingtweets.curation._words import FEWEST_WORDS, are_short, count_words
from huggingtweets.data.posts import SCHEMA

__all__ = ["Curated", "CurationOptions", "clean", "count_words", "curate"]

_REASONS = ("retweets", "short", "duplicates")
_ROW = "_row"
_RETWEET = "RT @"


@dataclass(frozen=True, slots=True)
class Curated:
    """What came of a table of posts.

    Attributes:
        kept: :data:`~huggingtweets.data.posts.SCHEMA` with cleaned text, in time order; posts
            without a time come first, in the order they had (they can't claim to be the newest).
        dropped: :data:`~huggingtweets.data.posts.SCHEMA` with the raw text, in the same order, and
            ``reason`` (retweets, short or duplicates) and ``detail``, a few words for a reader.
    """

    kept: pl.DataFrame
    dropped: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """``downloaded``, ``retweets``, ``short``, ``duplicates``, ``kept``; the rest add up."""
        return _counts(self.kept, self.dropped)

    @property
    def counts_by_author(self) -> dict[str, dict[str, int]]:
        """The same counts for each author, in alphabetical order."""
        authors = pl.concat([self.kept["author"], self.dropped["author"]]).unique().sort()
        mine = {author: pl.col("author").eq_missing(pl.lit(author)) for author in authors}
        return {
            author: _counts(self.kept.filter(is_mine), self.dropped.filter(is_mine))
            for author, is_mine in mine.items()
        }


def _counts(kept: pl.DataFrame, dropped: pl.DataFrame) -> dict[str, int]:
    by_reason = {reason: int((dropped["reason"] == reason).sum()) for reason in _REASONS}
    return {"downloaded": kept.height + dropped.height, **by_reason, "kept": kept.height}


def curate(posts: pl.DataFrame, options: CurationOptions | None = None) -> Curated:
    """Sort posts into those to learn from, cleaned, and those dropped, with the reason.

    Args:
        posts: a table of :data:`~huggingtweets.data.posts.SCHEMA`.
        options: see :class:`CurationOptions`.
    """
    options = options or CurationOptions()
    posts = posts.select(SCHEMA.names())
    times = posts.select("created_at").with_row_index(_ROW)
    # The rows in time order, not yet the posts: a copy of a million of them takes 100 MB.
    order = times.sort("created_at", nulls_last=False, maintain_order=True).select(_ROW)
    is_repost = (pl.col("kind") == "repost") | pl.col("text").str.starts_with(_RETWEET)
    reposts = posts.select(is_repost.fill_null(value=False)).to_series().gather(order[_ROW])
    own = order.filter(~reposts)
    own = own.with_columns(posts["text"].gather(own[_ROW]))
    authors = posts["author"].drop_nulls().unique().to_list()
    own = own.with_columns(text=clean(own["text"], options, authors))
    # What only showed once a link or a NUL byte before it was gone.
    is_retweet = own["text"].str.starts_with(_RETWEET)
    is_short = are_short(own["text"]) & ~is_retweet
    rest = own.filter(~(is_retweet | is_short))
    duplicates = _describe_duplicates(rest, posts, options.near_duplicates)
    rest = rest.join(duplicates.select(_ROW), on=_ROW, how="anti", maintain_order="left")
    reasons = pl.concat(
        [
            _with_reason("retweets", order.filter(reposts), "a repost of somebody else"),
            _with_reason("retweets", own.filter(is_retweet), "a repost of somebody else"),
            _with_reason("short", own.filter(is_short), f"fewer than {FEWEST_WORDS} words"),
            duplicates,
        ]
    )
    why = order.join(reasons, on=_ROW, how="inner", maintain_order="left")
    return Curated(
        kept=posts[rest[_ROW]].with_columns(rest["text"]),
        dropped=posts[why[_ROW]].with_columns(why["reason"], why["detail"]),
    )


def _with_reason(reason: str, posts: pl.DataFrame, detail: str) -> pl.DataFrame:
    return posts.select(_ROW, reason=pl.lit(reason), detail=pl.lit(detail))


def _describe_duplicates(
    cleaned: pl.DataFrame, posts: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """Say which earlier post each duplicate repeats; its author too where it is another one."""
    found = find_duplicates(cleaned["text"], threshold)
    row, of = cleaned[_ROW].gather(found["row"]), cleaned[_ROW].gather(found["of"])
    pairs = pl.DataFrame(
        {
            _ROW: row,
            "author": posts["author"].gather(row),
            "id": posts["id"].gather(of),
            "other": posts["author"].gather(of),
            "similarity": found["similarity"],
        }
    )
    which = (
        pl.when(pl.col("author").eq_missing(pl.col("other")))
        .then(pl.col("id"))
        .otherwise(pl.format("{} by {}", "id", "other"))
    )
    similarity = pl.col("similarity").round(2).cast(pl.String).str.pad_end(len("0.90"), "0")
    near = pl.format("near-duplicate of {} ({})", which, similarity)
    same = pl.format("same text as {}", which)
    detail = pl.when(pl.col("similarity").is_null()).then(same).otherwise(near)
    return pairs.select(_ROW, reason=pl.lit("duplicates"), detail=detail)
