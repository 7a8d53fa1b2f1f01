"""How varied posts are, at equal size, so that two sets can be compared.

Both measures fall or rise with the amount of text alone (the more words, the more bigrams come
again), so a set of generations and the author's real posts are first cut to the same number of
posts and words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from huggingtweets.generation.copy_index import words

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOP = 4  # words of a run that a post says twice: seq-rep-4 of Welleck et al. 2019


@dataclass(frozen=True, slots=True)
class Diversity:
    """Variety of a set of posts.

    Attributes:
        distinct_2: different word pairs over all word pairs, 0 to 1, higher is more varied (Li et
            al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models").
            Pairs lie within a post.
        repeats: share of posts, 0 to 1, that have the words of an earlier post of the set, or say
            the same four words in a row twice (the unit of seq-rep-4 in Welleck et al. 2019,
            "Neural Text Generation with Unlikelihood Training"). Lower is better.
    """

    distinct_2: float
    repeats: float


def compare_diversity(
    generated: Sequence[str], held_out: Sequence[str]
) -> tuple[Diversity, Diversity]:
    """Measure generations and real posts, both cut to the same number of posts and words.

    Words are those of the copy rule; a post without words is left out.
    """
    first, second = _in_words(generated), _in_words(held_out)
    count = min(len(first), len(second))
    first, second = _spaced(first, count), _spaced(second, count)
    budget = min(sum(map(len, first)), sum(map(len, second)))
    return _diversity(_first_words(first, budget)), _diversity(_first_words(second, budget))


def _in_words(posts: Sequence[str]) -> list[list[str]]:
    return [split for post in posts if (split := words(post))]


def _spaced(posts: list[list[str]], count: int) -> list[list[str]]:
    """Take ``count`` posts at even distances: real posts lie in time order, and topics drift."""
    return [posts[i * len(posts) // count] for i in range(count)]


def _first_words(posts: list[list[str]], budget: int) -> list[list[str]]:
    """Keep whole posts from the start, the last one cut, until ``budget`` words are taken."""
    kept: list[list[str]] = []
    for post in posts:
        if budget <= 0:
            break
        kept.append(post[:budget])
        budget -= len(post)
    return kept


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
    runs = [tuple(post[i : i + _LOOP]) for i in range(len(post) - _LOOP + 1)]
    return len(set(runs)) < len(runs)
