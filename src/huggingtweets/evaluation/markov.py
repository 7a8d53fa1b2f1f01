"""A Markov chain on the same posts: the anchor of the copied share.

Markovify (word pairs as state, its default) is what people used before neural models, and what a
bot that only learnt by heart looks like. The chain is taken without markovify's filters: none of
its output is refused for being a copy (the copied share is what we measure), and no training post
is left out for its quotes or brackets, as ``well_formed`` does with many tweets.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markovify import Chain

_TRIES = 20  # draws for a post that is short enough


def markov_posts(posts: Sequence[str], n: int, seed: int, max_chars: int = 280) -> list[str]:
    """Draw ``n`` posts of at most ``max_chars`` characters from a Markov chain of ``posts``.

    The same seed gives the same posts, and the caller's random numbers go on as if nothing had
    been drawn. Fewer come back, or none, where the chain hardly ever ends within ``max_chars``.
    """
    from markovify import Chain

    sentences = [pieces for post in posts if (pieces := post.split())]
    if not sentences:
        return []
    chain = Chain(sentences, state_size=2).compile(inplace=True)
    with _random_state(seed):
        drawn = [_short_post(chain, max_chars) for _ in range(n)]
    return [text for text in drawn if text]


def _short_post(chain: Chain, max_chars: int) -> str:
    for _ in range(_TRIES):
        # As many words as characters can't fit; the cut keeps a chain that loops from going on.
        text = " ".join(islice(chain.gen(), max_chars))
        if 0 < len(text) <= max_chars:
            return text
    return ""


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed the global generator, which markovify draws from, and put it back afterwards."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
