"""Find duplicates and near-duplicates of earlier posts.

Duplicates have the *same text* apart from case, punctuation, emoji and spacing. *Near-duplicates*
have word sets with a Jaccard similarity (shared words over all words, Jaccard 1901) of at least a
threshold. Candidates share a part of their words (see
:mod:`~huggingtweets.curation._set_similarity`) and are verified on the words themselves, so that no
hash collision drops a post.

Comparing words rather than character n-grams means that at 0.9, posts of 19 or more words that
differ in one word are near-duplicates, but posts of ten words with another name or number are not.
A number is joined to the word before it, because otherwise a reversed score would give the same
set. In scripts without spaces each character is a word.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._near_duplicates import IndexedPost, NearDuplicateIndex
from huggingtweets.curation._set_similarity import candidates
from huggingtweets.curation._slices import in_slices, map_where
from huggingtweets.curation._unicode import UNSPACED, has_non_ascii, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_WORD = r"(?:[^\p{L}\p{M}\p{N} ]|[\x{FE00}-\x{FE0F}\x{20E3}])"
"""In Unicode, variation selectors and the keycap are marks, but they belong to emoji."""

_BETWEEN_WORDS = rf"(?: *{_NO_WORD})+ *| {{2,}}"
"""Anything between two words except a single space, since replacing is slower than searching."""


def find_duplicates(texts: pl.Series, threshold: float) -> pl.DataFrame:
    """Find the texts to drop, given cleaned texts in time order.

    Returns:
        Columns ``row`` (to drop), ``of`` (the earlier row that it duplicates, which may itself be a
        near-duplicate of another row) and ``similarity`` (null for the same text).
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
    """Reduce texts to lower-case words, separated by one space, with numbers joined to words."""
    # NFKC unifies wide and fancy forms of a letter.
    keys = normalise(texts, "NFKC").str.to_lowercase().str.replace_many(["'", "’"], ["", ""])
    keys = keys.str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
    keys = map_where(keys, has_non_ascii(keys), _separate_unspaced)
    # ASCII digits first, then the few texts with others: ten times as fast as one search for both.
    keys = _join_numbers_where(keys, " [0-9]")
    join_any_number = partial(_join_numbers_where, pattern=r" \p{N}")
    return map_where(keys, has_non_ascii(keys), join_any_number)


def _join_numbers_where(keys: pl.Series, pattern: str) -> pl.Series:
    return map_where(
        keys,
        keys.str.contains(pattern),
        lambda chosen: chosen.str.replace_all(r" (\p{N})", "_${1}"),
    )


def _separate_unspaced(keys: pl.Series) -> pl.Series:
    return map_where(keys, keys.str.contains(f"[{UNSPACED}]"), _separate_characters)


def _separate_characters(keys: pl.Series) -> pl.Series:
    # A mark stays with its letter.
    spaced = keys.str.replace_all(rf"([{UNSPACED}]\p{{M}}*)", " ${1} ")
    return spaced.str.replace_all(" {2,}", " ").str.strip_chars()


def _near_duplicates(rows: pl.Series, keys: pl.Series, threshold: float) -> pl.DataFrame:
    """Drop each post, in time order, that is too similar to an earlier kept one.

    Comparing with kept posts only, in a fixed order, makes curation idempotent.
    """
    shared = candidates(keys, threshold)
    position = shared["position"]
    posts = pl.DataFrame([rows.gather(position), keys.gather(position), shared["parts"]])
    with _gc_disabled():
        matches = _match_earlier_posts(posts, threshold)
    schema = {"row": rows.dtype, "of": rows.dtype, "similarity": pl.Float64()}
    return pl.DataFrame(matches, schema=schema, orient="row")


def _match_earlier_posts(posts: pl.DataFrame, threshold: float) -> list[tuple[int, int, float]]:
    """Return the row, the earlier row and the similarity of each near-duplicate."""
    kept = NearDuplicateIndex(threshold)
    matches: list[tuple[int, int, float]] = []
    for row, key, parts in posts.iter_rows():
        post = IndexedPost(row, frozenset(key.split(" ")), [parts])
        match = kept.find_match(post)
        if match is None:
            kept.add(post)
        else:
            matches.append((row, *match))
    return matches


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Disable garbage collection while many sets and lists without cycles are built.

    Otherwise it takes half of the loop's time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
