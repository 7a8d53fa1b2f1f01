"""A few posts at each measurement, so that one can watch a bot learn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError
from huggingtweets.events import Sample
from huggingtweets.generation.copy_index import CopyIndex, words
from huggingtweets.generation.writer import GeneratedPost, Sampling, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

COPY_PLACEHOLDER = "(a copy of a training post)"
"""Stands for such a post, so that events, and all that is made of them, quote none."""

_PROMPT = "My dream is"
_POSTS = 3
_MAX_CHARS = 60
_SHARE = 0.02  # of the training's seconds
_SECONDS = 0.4  # that may be taken of any training, however short


class Sampler:
    """Draws posts from the bot while it is trained; training goes the same way without it.

    Random numbers are the sampler's own, so those of dropout stay as they are.

    Args:
        lm: the model under training.
        train: posts of each author, to tell how new a post is.
        seed: of the draws.
    """

    def __init__(self, lm: LanguageModel, train: Sequence[Sequence[str]], seed: int) -> None:
        self.lm, self.train, self.seed = lm, train, seed
        self.spent = 0.0
        self._index: CopyIndex | None = None

    def draw(self, step: int, seconds: float) -> tuple[Sample, ...] | None:
        """Posts as the bot writes them at a step, copies included; None where time is short.

        Args:
            step: steps taken so far.
            seconds: spent training so far.
        """
        if self.spent > max(_SECONDS, _SHARE * seconds):
            return None
        started = time.monotonic()
        try:
            return self._draw(step)
        except (InputError, BotError):  # no room for the prompt; weights that are no numbers
            return None
        finally:
            self.spent += time.monotonic() - started

    def _draw(self, step: int) -> tuple[Sample, ...]:
        if self._index is None:
            self._index = CopyIndex(post for posts in self.train for post in posts)
        self.lm.model.eval()
        sampling = Sampling(max_chars=_MAX_CHARS, seed=(self.seed + step) % 2**63)
        writer = Writer(self.lm, sampling, self._index, allow_copies=True, allow_loops=True)
        return tuple(map(_sample, writer.write(_PROMPT, _POSTS)))


def _sample(post: GeneratedPost) -> Sample:
    count = len(words(post.text))
    novelty = 1 - (post.copied_words or 0) / count if count else 1.0
    return Sample(post.prompt, COPY_PLACEHOLDER if post.copied else post.text, round(novelty, 3))
