"""Select and clean the posts a bot learns from: a pure function of one table to two tables.

The rules apply in this order, and the first match decides:

1. **retweets** are someone else's text: reposts, and texts that start like
   :data:`~huggingtweets.data.posts.REPOST_TEXT`, such as ``RT @`` (the original HuggingTweets rule;
   archives don't mark old retweets otherwise).
2. Every other post is **cleaned**: entities, encoding, control characters, links, white space; see
   :func:`clean`.
3. **short** posts have fewer than three words besides links, @mentions and #hashtags (the
   original's rule for *boring* posts); see :func:`count_words`.
4. **duplicates** of an earlier post, exact or near, would be learned twice and would leak from the
   training posts into the held-out ones. The search covers the whole table, because a bot of two
   authors must not be tested on a text it learned from the other author. The earliest post is kept,
   so that no pair can end up on both sides of a split by time.

Curation is idempotent: curating the kept posts again keeps all of them unchanged (with
``mask="mentions"``, as long as every author has a post left, because mentions of the table's
authors aren't masked). The order of rows doesn't matter unless two posts have the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from huggingtweets.curation._clean import clean, mask_texts
from huggingtweets.curation._duplicates import find_duplicates
from huggingtweets.curation._options import CurationOptions
from huggingtweets.curation._words import FEWEST_WORDS, are_short, count_words
from huggingtweets.data.posts import REPOST_TEXT, SCHEMA
from huggingtweets.privacy import masking

__all__ = ["Curated", "CurationOptions", "clean", "count_words", "curate", "without_masked"]

_REASONS = ("retweets", "short", "duplicates")
_ROW = "_row"


@dataclass(frozen=True, slots=True)
class Curated:
    """The result of curation.

    Attributes:
        kept: :data:`~huggingtweets.data.posts.SCHEMA` with cleaned texts, in time order; posts
            without a time come first, in their original order, so that they never count as newest.
        dropped: :data:`~huggingtweets.data.posts.SCHEMA` with raw texts, in the same order, plus
            ``reason`` (retweets, short or duplicates) and ``detail``, a few words for people.
        left_out: records of the sources that are no posts of the author, by reason; they were not
            read into the table.
    """

    kept: pl.DataFrame
    dropped: pl.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """``downloaded`` and its parts: ``retweets``, ``short``, ``duplicates`` and ``kept``."""
        return _counts(self.kept, self.dropped)

    @property
    def masked(self) -> dict[str, int]:
        """Pieces of private data masked in the posts kept, by kind, without kinds that weren't."""
        texts = self.kept["text"].str
        found = {
            kind: texts.count_matches(mark, literal=True).sum()
            for mark, kind in masking.PLACEHOLDERS.items()
        }
        return {kind: int(number) for kind, number in found.items() if number}

    @property
    def counts_by_author(self) -> dict[str, dict[str, int]]:
        """The same counts for each author, in alphabetical order."""
        authors = pl.concat([self.kept["author"], self.dropped["author"]]).unique().sort()
        is_by = {author: pl.col("author").eq_missing(pl.lit(author)) for author in authors}
        return {
            author: _counts(self.kept.filter(matches), self.dropped.filter(matches))
            for author, matches in is_by.items()
        }


def _counts(kept: pl.DataFrame, dropped: pl.DataFrame) -> dict[str, int]:
    by_reason = {reason: int((dropped["reason"] == reason).sum()) for reason in _REASONS}
    return {"downloaded": kept.height + dropped.height, **by_reason, "kept": kept.height}


def curate(posts: pl.DataFrame, options: CurationOptions | None = None) -> Curated:
    """Split posts into those to learn from, cleaned, and those dropped, with a reason.

    Args:
        posts: a table of :data:`~huggingtweets.data.posts.SCHEMA`.
        options: see :class:`CurationOptions`.
    """
    options = options or CurationOptions()
    posts = posts.select(SCHEMA.names())
    times = posts.select("created_at").with_row_index(_ROW)
    # Row numbers in time order: sorting the posts themselves would copy 100 MB for a million.
    order = times.sort("created_at", nulls_last=False, maintain_order=True).select(_ROW)
    is_repost = (pl.col("kind") == "repost") | pl.col("text").str.contains(REPOST_TEXT)
    reposts = posts.select(is_repost.fill_null(value=False)).to_series().gather(order[_ROW])
    own = order.filter(~reposts)
    own = own.with_columns(posts["text"].gather(own[_ROW]))
    authors = posts["author"].drop_nulls().unique().to_list()
    own = own.with_columns(text=clean(own["text"], options, authors))
    # Retweets that were hidden behind a link or a NUL byte.
    is_retweet = own["text"].str.contains(REPOST_TEXT)
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
    dropped = order.join(reasons, on=_ROW, how="inner", maintain_order="left")
    return Curated(
        kept=posts[rest[_ROW]].with_columns(rest["text"]),
        dropped=posts[dropped[_ROW]].with_columns(dropped["reason"], dropped["detail"]),
    )


def without_masked(posts: pl.DataFrame, options: CurationOptions) -> pl.DataFrame:
    """Return a table as read, reposts included, with nothing in it that curation masks.

    A run stores this table. A text that holds private data, also in a link or behind an entity, is
    replaced by its cleaned and masked form; all others stay as they were read.
    """
    authors = posts["author"].drop_nulls().unique().to_list()
    raw = posts["text"].cast(pl.String).fill_null("")
    cleaned = clean(raw, options, authors)
    placeholders = [*masking.PLACEHOLDERS, *(["@user"] if options.mask == "mentions" else [])]
    is_masked = cleaned.str.contains_any(placeholders) | (mask_texts(raw, options, authors) != raw)
    return posts.with_columns(text=raw.zip_with(~is_masked, cleaned))


def _with_reason(reason: str, posts: pl.DataFrame, detail: str) -> pl.DataFrame:
    return posts.select(_ROW, reason=pl.lit(reason), detail=pl.lit(detail))


def _describe_duplicates(
    cleaned: pl.DataFrame, posts: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """Find duplicates and describe the earlier post of each, with its author if different."""
    duplicates = find_duplicates(cleaned["text"], threshold)
    row = cleaned[_ROW].gather(duplicates["row"])
    earlier = cleaned[_ROW].gather(duplicates["of"])
    pairs = pl.DataFrame(
        {
            _ROW: row,
            "author": posts["author"].gather(row),
            "earlier_id": posts["id"].gather(earlier),
            "earlier_author": posts["author"].gather(earlier),
            "similarity": duplicates["similarity"],
        }
    )
    name = (
        pl.when(pl.col("author").eq_missing(pl.col("earlier_author")))
        .then(pl.col("earlier_id"))
        .otherwise(pl.format("{} by {}", "earlier_id", "earlier_author"))
    )
    similarity = pl.col("similarity").round(2).cast(pl.String).str.pad_end(len("0.90"), "0")
    near = pl.format("near-duplicate of {} ({})", name, similarity)
    same = pl.format("same text as {}", name)
    detail = pl.when(pl.col("similarity").is_null()).then(same).otherwise(near)
    return pairs.select(_ROW, reason=pl.lit("duplicates"), detail=detail)
