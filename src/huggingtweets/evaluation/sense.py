"""How much of a bot's text is out of place, judged by a model that did not write it.

SmolLM2, untouched, reads posts and counts the tokens that it gives a probability under 1 in 3,000.
Real posts have such tokens too (names, numbers, links), so the author's held-out posts are the
anchor. The same posts with their words in random order mark the other end.

The bot writes these posts at temperature 1. At the usual 0.7 every model writes text that is more
predictable than people's, so that nonsense from a small model looks better than real posts to any
such judge: mean loss, gain by word order, mutual information of a post's halves and a classifier on
hidden states all fail there (``docs/lab/likeness.md``, "Sense").

Markov chains are judged without their copies, which are real text.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.nn import bases, language_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

POSTS = 60
"""Posts of each kind; about 2,100 tokens, which gives a standard error of 0.9 % at 20 %."""

SURPRISING_NATS = 8.0
"""Surprise from which on a token counts as out of place: a probability of 1 in 2,981."""

_MAX_TOKENS = 128  # read of a post
_ROWS = 16  # posts read at once


@dataclass(frozen=True, slots=True)
class OutOfPlace:
    """Shares of tokens that are out of place, 0 to 1; lower is better, down to ``held_out``.

    Attributes:
        bot: in posts that the bot writes at temperature 1.
        held_out: in the author's real held-out posts.
        markov: in posts of a Markov chain that are no copies; None if it made none.
        shuffled: in the held-out posts with their words in random order.
    """

    bot: float
    held_out: float
    markov: float | None
    shuffled: float


def load_judge(device: ComputeDevice) -> LanguageModel | None:
    """Load SmolLM2, or return None where its weights are not on this machine.

    ``HUGGINGTWEETS_BASE=pocket``, for machines that are too small for it, means None too.
    """
    if os.environ.get("HUGGINGTWEETS_BASE") == bases.POCKET or not bases.is_available(
        bases.SMOLLM2.name
    ):
        return None
    return language_model.load(bases.SMOLLM2.name).to(device)


def compare(
    judge: LanguageModel,
    generated: Sequence[str],
    held_out: Sequence[str],
    markov: Sequence[str],
    seed: int,
) -> OutOfPlace:
    """Judge four kinds of posts.

    Args:
        judge: the model that reads.
        generated: the bot's posts, written at temperature 1.
        held_out: the author's real posts; the newest :data:`POSTS` are read.
        markov: posts of a Markov chain that are no copies.
        seed: of the word order.
    """
    real = held_out[-POSTS:]
    return OutOfPlace(
        bot=out_of_place(judge, generated[:POSTS]),
        held_out=out_of_place(judge, real),
        markov=out_of_place(judge, markov[:POSTS]) if markov else None,
        shuffled=out_of_place(judge, shuffle_words(real, seed)),
    )


def out_of_place(judge: LanguageModel, posts: Sequence[str]) -> float:
    """Return the share of all tokens of these posts that are out of place; 0 if there are none."""
    from huggingtweets.nn import likelihood

    rows = [[judge.separator, *ids[:_MAX_TOKENS]] for ids in judge.encode_all(posts) if ids]
    rows.sort(key=len)
    count = total = 0
    for start in range(0, len(rows), _ROWS):
        nats = likelihood.token_nats(judge.model, batching.to_batch(rows[start : start + _ROWS]))
        count += int((nats > SURPRISING_NATS).sum())
        total += len(nats)
    return count / total if total else 0.0


def shuffle_words(posts: Sequence[str], seed: int) -> list[str]:
    """Return the posts with their words in random order."""
    rng = random.Random(seed)
    return [" ".join(rng.sample(words := post.split(), len(words))) for post in posts]
