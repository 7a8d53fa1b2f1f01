from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import language_model, likelihood
from huggingtweets.nn.likelihood import ContextualScore

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

CONTEXT = ["An older post", "We lost the teapot", "I painted it!"]


@pytest.fixture(scope="module")
def lm(tiny_base: Path) -> LanguageModel:
    return language_model.load(tiny_base)


def nats(lm: LanguageModel, prefix: list[int], post: str) -> float:
    """Loss of a post after some tokens, computed token by token in a single row."""
    import torch

    row = [*prefix, lm.separator, *lm.encode(post), lm.separator]
    with torch.inference_mode():
        logits = lm.model(torch.tensor([row[:-1]]), use_cache=False).logits[0].float()
    predicted = logits.log_softmax(-1)
    return -sum(float(predicted[i - 1, row[i]]) for i in range(len(prefix) + 1, len(row)))


@pytest.mark.parametrize("most", [1, 2, 8])
def test_scores_after_context_equal_a_plain_computation(lm: LanguageModel, most: int) -> None:
    posts = ["The cat sat down", "é🚀", "Nobody score the kite under the bridge", "a"]
    expected = 0.0
    for post in posts:
        newest = CONTEXT[-most:]  # all of them fit
        prefix = [token for p in newest for token in (lm.separator, *lm.encode(p))]
        assert len(prefix) + len(lm.encode(post)) + 1 <= lm.context
        expected += nats(lm, prefix, post)
    score = likelihood.bits_per_byte_after(lm, posts, CONTEXT, most)
    size = sum(len(post.encode()) + 1 for post in posts)
    assert score.bits_per_byte == pytest.approx(expected / math.log(2) / size, rel=1e-5)
    assert score.fitted == min(most, len(CONTEXT))
    assert (
        abs(score.bits_per_byte - likelihood.bits_per_byte(lm, posts)) > 1e-4
    )  # the context changed it


def test_without_context_each_post_is_scored_alone(lm: LanguageModel, posts: list[str]) -> None:
    alone = likelihood.bits_per_byte(lm, posts[:40])
    assert likelihood.bits_per_byte_after(lm, posts[:40], posts[40:], 0) == ContextualScore(
        alone, 0
    )
    assert likelihood.bits_per_byte_after(lm, posts[:40], [], 8) == ContextualScore(alone, 0)


def test_only_context_posts_that_fit_are_read(lm: LanguageModel) -> None:
    for room, fitting in ((0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (62, 8)):
        post = "?" * (lm.context - 1 - room)  # a token each, and the separator before them
        assert len(lm.encode(post)) == len(post)
        assert likelihood.bits_per_byte_after(lm, [post], ["a"] * 9, 8).fitted == fitting


def test_a_post_longer_than_the_context_gets_no_context_posts(lm: LanguageModel) -> None:
    long = "Nobody score the kite under the bridge. " * 20
    score = likelihood.bits_per_byte_after(lm, [long], CONTEXT, 3)
    assert score == ContextualScore(likelihood.bits_per_byte(lm, [long]), 0)
    both = likelihood.bits_per_byte_after(lm, [long, "a"], CONTEXT, 3)
    alone = likelihood.bits_per_byte_after(lm, ["a"], CONTEXT, 3)
    cost = score.bits_per_byte * (len(long) + 1) + alone.bits_per_byte * 2
    assert both.bits_per_byte == pytest.approx(cost / (len(long) + 3), rel=1e-5)
    assert both.fitted == alone.fitted / 2


def test_scoring_no_posts_is_an_error(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="no posts"):
        likelihood.bits_per_byte_after(lm, [], CONTEXT, 3)
