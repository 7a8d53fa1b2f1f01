"""Find posts that say what an earlier post already said.

Two kinds: the *same text* once case, punctuation, emoji and spacing are set aside, and
*near-duplicates*, whose sets of words have a Jaccard similarity (shared words over all words,
Jaccard 1901) of at least a threshold. Candidates share a part of their words (see
:mod:`~huggingtweets.curation._set_similarity`); each is then checked on the words themselves, so
that no post is dropped by an accident of hashing.

Words rather than character n-grams: at 0.9 one changed word makes a near-duplicate in a post of 19
words or more, and a changed name or number doesn't in a post of ten. A number is taken together
with the word before it, or a score turned round would be the same set. In scripts without spaces
each character is a word.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._near_duplicates import IndexedPost, NearDuplicateIndex
from huggingtweets.curation._scripts import UNSPACED
from huggingtweets.curation._set_similarity import candidates
from huggingtweets.curation._slices import in_slices, map_where
from huggingtweets.curation._unicode import beyond_ascii, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_WORD = r"(?:[^\p{L}\p{M}\p{N} ]|[\x{FE00}-\x{FE0F}\x{20E3}])"
"""Variation selectors and the keycap are marks to Unicode but belong to emoji."""

_BETWEEN_WORDS = rf"(?: *{_NO_WORD})+ *| {{2,}}"
"""All that stands between two words unless it is one space, which needn't be replaced by itself:
replacing takes longer than searching."""


def find_duplicates(texts: pl.Series, threshold: float) -> pl.DataFrame:
    """Find the texts to drop, given cleaned texts in time order.

    Returns:
        Columns ``row`` (to drop), ``of`` (the earlier row it repeats, which is kept itself unless
        it is a near-duplicate of another) and ``similarity`` (null for the same text).
    """
    keys = pl.concat(in_slices(texts, _normalise), rechunk=True)
    rows = pl.DataFrame({"key": keys}).with_row_index("row")
    rows = rows.with_columns(of=pl.col("row").first().over("key"))
    same = rows.filter(pl.col("row") != pl.col("of")).select(
        "row", "of", similarity=pl.lit(None, pl.Float64)
    )
    first = rows.filter(pl.col("row") == pl.col("of"))
    near = _near_duplicates(first["row"], first["key"], threshold)
    return pl.concat([same, near]).sort("row")


def _normalise(texts: pl.Series) -> pl.Series:
    """Reduce texts to their lower-case words, one space between them, a number with its word."""
    # NFKC makes one of the wide and fancy forms of a letter.
    keys = normalise(texts, "NFKC").str.to_lowercase().str.replace_many(["'", "’"], ["", ""])
    keys = keys.str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
    keys = map_where(keys, beyond_ascii(keys), _space_out_where_unspaced)
    # Digits first, then the few texts with others: ten times as fast as a search for any number.
    keys = _join_numbers_where(keys, " [0-9]")
    others = partial(_join_numbers_where, pattern=r" \p{N}")
    return map_where(keys, beyond_ascii(keys), others)


def _join_numbers_where(keys: pl.Series, pattern: str) -> pl.Series:
    return map_where(
        keys,
        keys.str.contains(pattern),
        lambda chosen: chosen.str.replace_all(r" (\p{N})", "_${1}"),
    )


def _space_out_where_unspaced(keys: pl.Series) -> pl.Series:
    return map_where(keys, keys.str.contains(f"[{UNSPACED}]"), _space_out)


def _space_out(keys: pl.Series) -> pl.Series:
    # A mark stays with the letter it stands on.
    spaced = keys.str.replace_all(rf"([{UNSPACED}]\p{{M}}*)", " ${1} ")
    return spaced.str.replace_all(" {2,}", " ").str.strip_chars()


def _near_duplicates(rows: pl.Series, keys: pl.Series, threshold: float) -> pl.DataFrame:
    """Go through the posts in time order and drop each that is too like one kept before.

    Comparing with kept posts only, in an order that depends on nothing else, makes the result the
    same when what was kept is curated again.
    """
    shared = candidates(keys, threshold)
    position = shared["position"]
    posts = pl.DataFrame([rows.gather(position), keys.gather(position), shared["parts"]])
    with _uncollected():
        found = _like_an_earlier_one(posts, threshold)
    schema = {"row": rows.dtype, "of": rows.dtype, "similarity": pl.Float64()}
    return pl.DataFrame(found, schema=schema, orient="row")


def _like_an_earlier_one(posts: pl.DataFrame, threshold: float) -> list[tuple[int, int, float]]:
    kept = NearDuplicateIndex(threshold)
    found: list[tuple[int, int, float]] = []
    for row, key, parts in posts.iter_rows():
        post = IndexedPost(row, frozenset(key.split(" ")), [parts])
        match = kept.find_match(post)
        if match is None:
            kept.add(post)
        else:
            found.append((row, *match))
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from searching all those sets and lists, none in a cycle, for garbage.

    It would do so again and again as they become more, for half of the loop's time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
