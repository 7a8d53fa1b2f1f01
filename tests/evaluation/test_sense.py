from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts

from huggingtweets.evaluation import sense
from huggingtweets.nn import bases, devices, language_model

if TYPE_CHECKING:
    from pathlib import Path


def test_the_share_is_that_of_a_plain_loop(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    judge = language_model.load(tiny_base)
    posts = [*made_up_posts(20), ""]
    surprises = []
    for post in posts:
        ids = torch.tensor([[judge.separator, *judge.encode(post)]])
        with torch.inference_mode():
            nats = -judge.model(ids).logits[0, :-1].log_softmax(-1)
        surprises += nats.gather(1, ids[0, 1:, None])[:, 0].tolist()
    limit = median(surprises) + 1e-4
    monkeypatch.setattr(sense, "SURPRISING_NATS", limit)
    expected = sum(nats > limit for nats in surprises) / len(surprises)
    assert sense.out_of_place(judge, posts) == pytest.approx(expected, abs=2 / len(surprises))
    assert 0 < expected < 1
    assert sense.out_of_place(judge, []) == 0


def test_shuffled_posts_keep_their_words() -> None:
    posts = made_up_posts(10)
    shuffled = sense.shuffle_words(posts, 1)
    assert [sorted(post.split()) for post in shuffled] == [sorted(post.split()) for post in posts]
    assert shuffled != posts
    assert shuffled == sense.shuffle_words(posts, 1)


def test_no_markov_posts_are_no_number(tiny_base: Path) -> None:
    judge = language_model.load(tiny_base)
    posts = made_up_posts(10)
    shares = sense.compare(judge, posts, posts, [], 0)
    assert shares.markov is None
    assert shares.bot == shares.held_out
    assert set(asdict(shares)) == {"bot", "held_out", "markov", "shuffled"}


def test_small_machines_have_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    device = devices.select_device("cpu", "fp32")
    monkeypatch.setenv("HUGGINGTWEETS_BASE", "pocket")
    assert sense.load_judge(device) is None
    monkeypatch.delenv("HUGGINGTWEETS_BASE")
    monkeypatch.setattr(bases, "is_available", lambda _: False)
    assert sense.load_judge(device) is None


@pytest.mark.skipif(not bases.is_available("smollm2"), reason="SmolLM2's weights are not here")
def test_words_in_random_order_are_out_of_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUGGINGTWEETS_BASE", raising=False)
    judge = sense.load_judge(devices.select_device("cpu", None))
    assert judge is not None
    posts = [
        "Today we talked about the new budget: thank you all for coming to the town hall!",
        "I will never understand why anybody wants to get up before the sun does.",
    ]
    real = sense.out_of_place(judge, posts)
    assert real < 0.1 < sense.out_of_place(judge, sense.shuffle_words(posts, 0))
