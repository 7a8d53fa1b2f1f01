"""Sample posts at each measurement, which show how a bot learns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError
from huggingtweets.events import Sample
from huggingtweets.generation.copy_index import CopyIndex, words
from huggingtweets.generation.sampling import GeneratedPost, Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

COPY_PLACEHOLDER = "(a copy of a training post)"
"""Replaces such a post in events, so that they quote no training post."""

_PROMPT = "My dream is"
_POSTS = 3
_MAX_CHARS = 60
_MAX_TIME_SHARE = 0.02  # of the training time
_MIN_SECONDS = 0.4  # allowed in any training, however short


class Sampler:
    """Samples posts from the bot during training without affecting training.

    It has its own random generator, so dropout masks don't depend on it.

    Args:
        lm: the model being trained.
        train: training posts of each author, to measure novelty.
        seed: seed of the samples.
    """

    def __init__(self, lm: LanguageModel, train: Sequence[Sequence[str]], seed: int) -> None:
        self.lm, self.train, self.seed = lm, train, seed
        self.seconds_spent = 0.0
        self._index: CopyIndex | None = None

    def sample(self, step: int, seconds: float) -> tuple[Sample, ...] | None:
        """Sample three posts, or return None if sampling has used up its share of the time.

        Args:
            step: steps taken so far.
            seconds: seconds spent training so far.
        """
        if self.seconds_spent > max(_MIN_SECONDS, _MAX_TIME_SHARE * seconds):
            return None
        started = time.monotonic()
        try:
            return self._sample(step)
        except (InputError, BotError):  # the prompt doesn't fit, or weights are not finite
            return None
        finally:
            self.seconds_spent += time.monotonic() - started

    def _sample(self, step: int) -> tuple[Sample, ...]:
        if self._index is None:
            self._index = CopyIndex(post for posts in self.train for post in posts)
        self.lm.model.eval()
        from huggingtweets.generation.writer import Writer

        sampling = Sampling(max_chars=_MAX_CHARS, seed=(self.seed + step) % 2**63)
        writer = Writer(self.lm, sampling, self._index, allow_copies=True, allow_loops=True)
        return tuple(map(_to_sample, writer.write(_PROMPT, _POSTS)))


def _to_sample(post: GeneratedPost) -> Sample:
    count = len(words(post.text))
    novelty = 1 - (post.copied_words or 0) / count if count else 1.0
    return Sample(post.prompt, COPY_PLACEHOLDER if post.copied else post.text, round(novelty, 3))
