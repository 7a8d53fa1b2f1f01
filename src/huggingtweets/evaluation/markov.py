"""A Markov chain of the same posts: the anchor of the copied share.

Markovify (with word pairs as state, its default) was used for such bots before neural models, and
shows how a bot writes that only memorised its posts. Its filters are not used: copies are not
rejected, since their share is measured, and training posts with quotes or brackets are not removed,
as ``well_formed`` would do with many tweets.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markovify import Chain

_MAX_TRIES = 20  # samples until a post is short enough


def markov_posts(posts: Sequence[str], n: int, seed: int, max_chars: int = 280) -> list[str]:
    """Sample ``n`` posts of at most ``max_chars`` characters from a Markov chain of ``posts``.

    The same seed gives the same posts, and the global random state doesn't change. Fewer posts are
    returned if the chain rarely ends within ``max_chars``.
    """
    from markovify import Chain

    sentences = [pieces for post in posts if (pieces := post.split())]
    if not sentences:
        return []
    chain = Chain(sentences, state_size=2).compile(inplace=True)
    with _random_state(seed):
        sampled = [_sample_post(chain, max_chars) for _ in range(n)]
    return [text for text in sampled if text]


def _sample_post(chain: Chain, max_chars: int) -> str:
    for _ in range(_MAX_TRIES):
        # No post has more words than characters; the limit also stops a chain that loops.
        text = " ".join(islice(chain.gen(), max_chars))
        if 0 < len(text) <= max_chars:
            return text
    return ""


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed the global generator that markovify uses, and restore its state afterwards."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
