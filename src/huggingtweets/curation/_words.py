"""How many words a post has of its own: what tells a post from a bare link or a greeting.

The original HuggingTweets notebook called posts with fewer than three words besides links,
mentions and hashtags *boring* and dropped them, because a model learns to write nothing from them.
It counted white-space tokens, which would drop every post in a script without spaces, and count
three emoji as three words; both are mended here.
"""

from __future__ import annotations

import polars as pl

from huggingtweets.curation._scripts import UNSPACED
from huggingtweets.curation._slices import in_slices

FEWEST_WORDS = 3
"""Posts with fewer words are dropped, as in the original notebook."""

_NOT_OWN_WORDS = r"[@＠#＃][\w.@-]*\w(?:['’]\w+)?"
"""A mention (``@nasa``, ``@nasa@mastodon.social``) or a hashtag, with a genitive ``'s``."""

_EMOJI_LIKE_LETTERS = r"[0-9#*ℹ]\x{FE0F}\x{20E3}?|[0-9#*]\x{20E3}"
"""Keycaps such as 1️⃣ and the information sign are digits and a letter to Unicode."""

_PLAINLY_ENOUGH = rf"(?:^| ){' '.join(['[A-Za-z]+'] * FEWEST_WORDS)}(?: |$)"
"""As many words in a row that are nothing but letters: most posts have them, near the beginning."""

_UNSPACED_CHARACTER = rf"[[{UNSPACED}]&&[\p{{L}}\p{{N}}]]"
_WORD = r"\S*[\p{L}\p{N}]\S*"
_CHARACTERS_A_WORD = 2
"""Characters that count as a word in scripts without spaces: the common length of a Japanese or
Chinese word; a Thai one has more, so that the rule errs on the side of keeping."""


def count_words(texts: pl.Series) -> pl.Series:
    """Count the words of each text that are neither mention nor hashtag (links count as words).

    A word is a white-space token that holds a letter or a digit, or two characters of a script
    without spaces.
    """
    return pl.concat(in_slices(texts, _count))


def are_short(texts: pl.Series) -> pl.Series:
    """Whether each text has fewer than :data:`FEWEST_WORDS` words as :func:`count_words` counts."""
    return pl.concat(in_slices(texts, _are_short))


def _are_short(texts: pl.Series) -> pl.Series:
    unclear = ~texts.str.contains(_PLAINLY_ENOUGH)
    rows = unclear.arg_true()
    return unclear.scatter(rows, _count(texts.gather(rows)) < FEWEST_WORDS)


def _count(texts: pl.Series) -> pl.Series:
    own = texts.str.replace_all(_EMOJI_LIKE_LETTERS, " ").str.replace_all(_NOT_OWN_WORDS, " ")
    unspaced = own.str.count_matches(_UNSPACED_CHARACTER)
    if not (unspaced > 0).any():
        return own.str.count_matches(_WORD)
    spaced = own.str.replace_all(_UNSPACED_CHARACTER, " ").str.count_matches(_WORD)
    return spaced + unspaced // _CHARACTERS_A_WORD
