from __future__ import annotations

import random

import pytest

from huggingtweets.evaluation.markov import markov_posts

POSTS = [
    "the rover drives over the red hills of Mars",
    "the rover sees the red planet rise",
    "the crew sees (at last) the red hills “glow”",
]


def test_samples_contain_only_words_of_the_posts() -> None:
    posts = markov_posts(POSTS, 50, seed=1)
    assert len(posts) == 50
    vocabulary = set(" ".join(POSTS).split())
    assert all(set(post.split()) <= vocabulary for post in posts)
    assert len(set(posts)) > 3
    assert any("(at" in post for post in posts)  # posts with brackets are not removed


def test_samples_depend_on_the_seed_and_not_on_the_global_random_state() -> None:
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    first, sampled = random.random(), markov_posts(POSTS, 5, seed=1)
    assert [first, random.random(), random.random()] == expected
    assert markov_posts(POSTS, 5, seed=1) == sampled
    assert markov_posts(POSTS, 5, seed=2) != sampled


@pytest.mark.parametrize(
    "posts",
    [
        [],
        ["", " \n "],
        ["one"],
        ["___BEGIN__ a ___END__ b ___BEGIN__", "a ___BEGIN__ ___BEGIN__ ___BEGIN__"],
        ["\ud800 \x00 🚀", "مرحبا بالعالم"],
        ["loop " * 100_000],
        ["x" * 1_000],
    ],
)
def test_unusual_posts_cause_no_error(posts: list[str]) -> None:
    sampled = markov_posts(posts, 10, seed=0)
    assert len(sampled) <= 10
    assert all(0 < len(post) <= 280 for post in sampled)


def test_posts_have_at_most_max_chars() -> None:
    assert all(len(post) <= 30 for post in markov_posts(POSTS, 30, seed=1, max_chars=30))
