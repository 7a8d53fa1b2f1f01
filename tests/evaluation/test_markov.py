from __future__ import annotations

import random

import pytest

from huggingtweets.evaluation.markov import markov_posts

POSTS = [
    "the rover drives over the red hills of Mars",
    "the rover sees the red planet rise",
    "the crew sees (at last) the red hills “glow”",
]


def test_draws_posts_of_known_words() -> None:
    posts = markov_posts(POSTS, 50, seed=1)
    assert len(posts) == 50
    known = set(" ".join(POSTS).split())
    assert all(set(post.split()) <= known for post in posts)
    assert len(set(posts)) > 3
    assert any("(at" in post for post in posts)  # no post is left out for its brackets


def test_a_seed_repeats_and_leaves_the_callers_numbers_alone() -> None:
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    first, drawn = random.random(), markov_posts(POSTS, 5, seed=1)
    assert [first, random.random(), random.random()] == expected
    assert markov_posts(POSTS, 5, seed=1) == drawn
    assert markov_posts(POSTS, 5, seed=2) != drawn


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
def test_never_fails_on_odd_posts(posts: list[str]) -> None:
    drawn = markov_posts(posts, 10, seed=0)
    assert len(drawn) <= 10
    assert all(0 < len(post) <= 280 for post in drawn)


def test_posts_are_short_enough() -> None:
    assert all(len(post) <= 30 for post in markov_posts(POSTS, 30, seed=1, max_chars=30))
