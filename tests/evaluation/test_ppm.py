from __future__ import annotations

import random

import pytest

from huggingtweets.evaluation import ppm
from huggingtweets.evaluation.ppm import (
    compressor_bits_per_byte,
    compressor_stream_bits_per_byte,
    evenly_spaced,
)


def sentences(n: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    nouns = ["rocket", "planet", "comet", "telescope", "crew", "rover", "station", "galaxy"]
    verbs = ["sees", "orbits", "explores", "photographs", "leaves", "reaches", "studies", "maps"]
    return [
        " ".join(
            f"the {generator.choice(nouns)} {generator.choice(verbs)} a {generator.choice(nouns)},"
            for _ in range(3)
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    "start", [b"", b"t", b"the rocket sees a comet, the ", b"\xff never seen", b"a" * 14]
)
def test_the_probabilities_of_all_bytes_add_up_to_one(start: bytes) -> None:
    history = [ppm.line(post) for post in [*sentences(60, seed=1), "naïve 🚀", ""]]
    posts = [start + bytes([byte]) for byte in range(256)]
    known, size = sum(map(len, history)), len(start) + 1
    found = ppm.probabilities(history, posts)[known:]
    assert found[size - 1 :: size].sum() == pytest.approx(1, abs=1e-4)


def test_history_lowers_the_cost_of_similar_posts_but_not_of_noise() -> None:
    history = sentences(400, seed=1)
    similar = compressor_bits_per_byte(history, sentences(50, seed=2))
    untrained = compressor_bits_per_byte([], sentences(50, seed=2))
    generator = random.Random(3)
    noise = ["".join(chr(generator.randrange(33, 127)) for _ in range(80)) for _ in range(50)]
    noise_cost = compressor_bits_per_byte(history, noise)
    assert similar is not None
    assert untrained is not None
    assert noise_cost is not None
    assert similar < 0.75
    assert untrained > 2 * similar
    assert noise_cost > 6.5  # log2(94) is 6.55


def test_each_post_is_measured_independently_of_other_held_out_posts() -> None:
    history, post = sentences(100, seed=1), "Zxqv! 7391 kwyjibo %%% unheard of"
    once = compressor_bits_per_byte(history, [post])
    assert once is not None
    assert compressor_bits_per_byte(history, [post] * 64) == pytest.approx(once, rel=1e-5)


def test_the_first_post_costs_the_same_alone_and_in_a_stream() -> None:
    history, post = sentences(100, seed=1), "the crew of the naïve 🚀 sees the crew"
    alone = compressor_bits_per_byte(history, [post])
    assert alone == pytest.approx(compressor_stream_bits_per_byte(history, [post]), rel=1e-5)


def test_a_stream_learns_from_other_held_out_posts() -> None:
    history, post = sentences(100, seed=1), "Zxqv! 7391 kwyjibo %%% unheard of"
    alone = compressor_bits_per_byte(history, [post] * 64)
    stream = compressor_stream_bits_per_byte(history, [post] * 64)
    assert alone is not None
    assert stream is not None
    assert stream < 0.1 * alone


def test_a_post_teaches_its_own_rest() -> None:
    history = sentences(100, seed=1)
    once, twice = (
        compressor_bits_per_byte(history, ["Zxqv! 7391 kwyjibo. " * times]) for times in (1, 6)
    )
    assert once is not None
    assert twice is not None
    assert twice < 0.5 * once


def test_counts_are_those_of_a_plain_loop() -> None:
    """The model's counts, computed position by position with dictionaries."""
    import numpy as np

    generator = random.Random(4)
    keys = np.array([generator.randrange(5) for _ in range(300)])
    owners = np.array([0] * 200 + [1] * 40 + [2] * 60, np.int32)
    events = np.array([generator.random() < 0.7 for _ in range(300)])
    symbols = np.array([generator.randrange(3) for _ in range(300)])
    groups = ppm.Groups(keys, owners)
    counts, repeats = groups.before(events), groups.repeats(symbols)
    for here in range(300):
        known = [
            at for at in range(here) if keys[at] == keys[here] and owners[at] in (0, owners[here])
        ]
        assert counts[here] == sum(events[at] for at in known)
        assert repeats[here] == bool(known and symbols[known[-1]] == symbols[here])


def test_long_histories_are_cut_to_the_newest_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppm, "MAX_HISTORY_BYTES", 5_000)
    old, new = sentences(400, seed=1), [f"entry {i * i} of {i}" for i in range(150)]
    posts = sentences(30, seed=2)
    assert compressor_bits_per_byte(old + new, posts) != compressor_bits_per_byte(new, posts)
    monkeypatch.setattr(ppm, "MAX_HISTORY_BYTES", sum(len(post) + 1 for post in new))
    assert compressor_bits_per_byte(old + new, posts) == compressor_bits_per_byte(new, posts)


def test_unusual_input_gives_a_finite_cost() -> None:
    assert compressor_bits_per_byte(["one post"], []) is None
    assert compressor_stream_bits_per_byte(["one post"], []) is None
    for history in ([], ["a"], ["", "", ""]):
        for measure in (compressor_bits_per_byte, compressor_stream_bits_per_byte):
            result = measure(history, ["", "🚀", "مرحبا", "\ud800 half", "two\nlines"])
            assert result is not None
            assert 0 < result < 16


def test_evenly_spaced_selects_at_most_the_limit() -> None:
    posts = [str(i) for i in range(10)]
    assert evenly_spaced(posts, 5) == ["0", "2", "4", "6", "8"]
    assert evenly_spaced(posts, 20) == posts
    assert evenly_spaced([], 3) == []
