"""Count the words of a post besides mentions and hashtags, to drop short posts.

The original HuggingTweets notebook dropped posts with fewer than three words besides links,
mentions and hashtags as *boring*, because a model learns little from them. It counted white-space
tokens, which drops every post in a script without spaces and counts three emoji as three words.
This module fixes both.
"""

from __future__ import annotations

import polars as pl

from huggingtweets.curation._slices import in_slices
from huggingtweets.curation._unicode import UNSPACED

FEWEST_WORDS = 3
"""Posts with fewer words are dropped, as in the original notebook."""

_NOT_OWN_WORDS = r"[@＠#＃][\w.@-]*\w(?:['’]\w+)?"
"""A mention (``@nasa``, ``@nasa@mastodon.social``) or a hashtag, with a genitive ``'s``."""

_EMOJI_LIKE_LETTERS = r"[0-9#*ℹ]\x{FE0F}\x{20E3}?|[0-9#*]\x{20E3}"
"""In Unicode, keycaps such as 1️⃣ are digits and the information sign is a letter."""

_CLEARLY_LONG_ENOUGH = rf"(?:^| ){' '.join(['[A-Za-z]+'] * FEWEST_WORDS)}(?: |$)"
"""Enough consecutive words of only ASCII letters: most posts have them, near the beginning."""

_UNSPACED_CHARACTER = rf"[[{UNSPACED}]&&[\p{{L}}\p{{N}}]]"
_WORD = r"\S*[\p{L}\p{N}]\S*"
_CHARACTERS_PER_WORD = 2
"""In scripts without spaces: the usual length of a Japanese or Chinese word. Thai words are longer,
so for Thai the rule keeps too many posts rather than too few."""


def count_words(texts: pl.Series) -> pl.Series:
    """Count the words of each text, excluding mentions and hashtags (links count as words).

    A word is a white-space token with a letter or digit, or two characters of a script without
    spaces.
    """
    return pl.concat(in_slices(texts, _count))


def are_short(texts: pl.Series) -> pl.Series:
    """Return whether each text has fewer than :data:`FEWEST_WORDS` words by :func:`count_words`."""
    return pl.concat(in_slices(texts, _are_short))


def _are_short(texts: pl.Series) -> pl.Series:
    unclear = ~texts.str.contains(_CLEARLY_LONG_ENOUGH)
    rows = unclear.arg_true()
    return unclear.scatter(rows, _count(texts.gather(rows)) < FEWEST_WORDS)


def _count(texts: pl.Series) -> pl.Series:
    own = texts.str.replace_all(_EMOJI_LIKE_LETTERS, " ").str.replace_all(_NOT_OWN_WORDS, " ")
    unspaced = own.str.count_matches(_UNSPACED_CHARACTER)
    if not (unspaced > 0).any():
        return own.str.count_matches(_WORD)
    spaced = own.str.replace_all(_UNSPACED_CHARACTER, " ").str.count_matches(_WORD)
    return spaced + unspaced // _CHARACTERS_PER_WORD
