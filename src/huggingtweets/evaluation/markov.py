"""A Markov chain of the same posts: the anchor of the copied share.

The next word depends on the two before it, as in the bots that people made before neural models. It
shows how a bot writes that only memorised its posts. Copies are not rejected, as bots of that kind
often do, since their share is what is measured.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    # None stands before a post's first word and after its last one.
    _State = tuple[str | None, str | None]
    _Followers = dict[_State, tuple[list[str | None], list[int]]]

_MAX_TRIES = 20  # samples until a post is short enough


def markov_posts(posts: Sequence[str], n: int, seed: int, max_chars: int = 280) -> list[str]:
    """Sample ``n`` posts of at most ``max_chars`` characters from a Markov chain of ``posts``.

    The same seed gives the same posts. Fewer posts are returned if the chain rarely ends within
    ``max_chars``.

    Args:
        posts: what the chain is made of; only their words count, not the spaces between them.
        n: number of posts.
        seed: of the random choices.
        max_chars: limit of a post's length, in characters.
    """
    followers = _followers([words for post in posts if (words := post.split())])
    if not followers:
        return []
    rng = random.Random(seed)
    sampled = [_sample_post(followers, rng, max_chars) for _ in range(n)]
    return [text for text in sampled if text]


def _followers(posts: Sequence[Sequence[str]]) -> _Followers:
    """For each pair of words: the words that follow it, and their counts added up."""
    counts: defaultdict[_State, Counter[str | None]] = defaultdict(Counter)
    for words in posts:
        state: _State = (None, None)
        for word in (*words, None):
            counts[state][word] += 1
            state = (state[1], word)
    return {state: (list(found), [*accumulate(found.values())]) for state, found in counts.items()}


def _sample_post(followers: _Followers, rng: random.Random, max_chars: int) -> str:
    for _ in range(_MAX_TRIES):
        text = " ".join(_walk(followers, rng, max_chars))
        if 0 < len(text) <= max_chars:
            return text
    return ""


def _walk(followers: _Followers, rng: random.Random, max_words: int) -> list[str]:
    """Words from a post's start to its end; ``max_words`` stops a chain that loops."""
    words: list[str] = []
    state: _State = (None, None)
    while len(words) < max_words:  # no post has more words than characters
        choices, cumulative = followers[state]
        word = rng.choices(choices, cum_weights=cumulative)[0]
        if word is None:
            break
        words.append(word)
        state = (state[1], word)
    return words
