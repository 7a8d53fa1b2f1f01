"""Diversity of posts, compared at equal size.

Both measures depend on the amount of text (more words mean more repeated bigrams). The bot's and
the author's posts are therefore first cut to the same number of posts and words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from huggingtweets.generation.copy_index import words

if TYPE_CHECKING:
    from collections.abc import Sequence

_NGRAM = 4  # words of an n-gram that counts as repeated: seq-rep-4 of Welleck et al. 2019


@dataclass(frozen=True, slots=True)
class Diversity:
    """Diversity of a set of posts.

    Attributes:
        distinct_2: distinct word pairs over all word pairs, 0 to 1; higher is more diverse (Li et
            al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models").
            Pairs don't cross posts.
        repeats: share of posts, 0 to 1, that repeat the words of an earlier post or contain the
            same four consecutive words twice (the unit of seq-rep-4 in Welleck et al. 2019,
            "Neural Text Generation with Unlikelihood Training"). Lower is better.
    """

    distinct_2: float
    repeats: float


def compare_diversity(
    generated: Sequence[str], held_out: Sequence[str]
) -> tuple[Diversity, Diversity]:
    """Measure generated and real posts, both cut to the same number of posts and words.

    Words are split as for the copy rule. Posts without words are ignored.
    """
    bot, real = _split_words(generated), _split_words(held_out)
    count = min(len(bot), len(real))
    bot, real = _evenly_spaced(bot, count), _evenly_spaced(real, count)
    budget = min(sum(map(len, bot)), sum(map(len, real)))
    return _diversity(_first_words(bot, budget)), _diversity(_first_words(real, budget))


def _split_words(posts: Sequence[str]) -> list[list[str]]:
    return [split for post in posts if (split := words(post))]


def _evenly_spaced(posts: list[list[str]], count: int) -> list[list[str]]:
    """Select ``count`` evenly spaced posts, as topics change over time."""
    return [posts[i * len(posts) // count] for i in range(count)]


def _first_words(posts: list[list[str]], budget: int) -> list[list[str]]:
    """The first ``budget`` words, still as posts; the last post may be cut."""
    selected: list[list[str]] = []
    for post in posts:
        if budget <= 0:
            break
        selected.append(post[:budget])
        budget -= len(post)
    return selected


def _diversity(posts: list[list[str]]) -> Diversity:
    pairs = [pair for post in posts for pair in pairwise(post)]
    seen: set[tuple[str, ...]] = set()
    repeated = 0
    for post in posts:
        key = tuple(post)
        repeated += key in seen or _has_repeated_ngram(post)
        seen.add(key)
    return Diversity(
        distinct_2=len(set(pairs)) / len(pairs) if pairs else 0.0,
        repeats=repeated / len(posts) if posts else 0.0,
    )


def _has_repeated_ngram(post: list[str]) -> bool:
    ngrams = [tuple(post[i : i + _NGRAM]) for i in range(len(post) - _NGRAM + 1)]
    return len(set(ngrams)) < len(ngrams)
