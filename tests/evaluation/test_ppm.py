from __future__ import annotations

import random

import pytest

from huggingtweets.evaluation import ppm
from huggingtweets.evaluation.ppm import (
    evenly_spaced,
    ppmd_bits_per_byte,
    ppmd_stream_bits_per_byte,
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


def test_history_lowers_the_cost_of_similar_posts_but_not_of_noise() -> None:
    history = sentences(400, seed=1)
    similar = ppmd_bits_per_byte(history, sentences(50, seed=2))
    untrained = ppmd_bits_per_byte([], sentences(50, seed=2))
    generator = random.Random(3)
    noise = ["".join(chr(generator.randrange(33, 127)) for _ in range(80)) for _ in range(50)]
    noise_cost = ppmd_bits_per_byte(history, noise)
    assert similar is not None
    assert untrained is not None
    assert noise_cost is not None
    assert similar < 0.75
    assert untrained > 2 * similar
    assert noise_cost > 6.5  # log2(94) is 6.55


def test_each_post_is_measured_independently_of_other_held_out_posts() -> None:
    history, post = sentences(100, seed=1), "Zxqv! 7391 kwyjibo %%% unheard of"
    once = ppmd_bits_per_byte(history, [post])
    repeated = ppmd_bits_per_byte(history, [post] * 64)
    assert once is not None
    # Equal except for rounding, up to one byte of 34.
    assert repeated == pytest.approx(once, abs=8 / 34)


def test_rounding_errors_average_out_over_histories() -> None:
    # Posts that add nothing new cost the same alone and in one stream.
    history, posts = sentences(2_000, seed=1), sentences(160, seed=2)
    measured = ppmd_bits_per_byte(history, posts)
    assert measured is not None
    assert measured == pytest.approx(ppmd_stream_bits_per_byte(history, posts), rel=0.03)


def test_stream_cost_is_the_growth_of_the_compressed_text() -> None:
    history, posts = sentences(200, seed=1), [*sentences(40, seed=2), "naïve 🚀"]
    before, after = ("\n".join([*history, *more, ""]).encode() for more in ([], posts))
    growth = (size(after) - size(before)) * 8 / (len(after) - len(before))
    assert ppmd_stream_bits_per_byte(history, posts) == pytest.approx(growth)


def test_a_stream_learns_from_other_held_out_posts() -> None:
    history, post = sentences(100, seed=1), "Zxqv! 7391 kwyjibo %%% unheard of"
    alone = ppmd_bits_per_byte(history, [post] * 64)
    stream = ppmd_stream_bits_per_byte(history, [post] * 64)
    assert alone is not None
    assert stream is not None
    assert stream < 0.1 * alone


def size(data: bytes) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd8Encoder(8, 32 << 20, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
    return len(encoder.encode(data)) + len(encoder.flush(endmark=False))


def test_long_histories_are_cut_to_the_newest_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppm, "MAX_HISTORY_BYTES", 5_000)
    old, new = sentences(400, seed=1), [f"entry {i * i} of {i}" for i in range(150)]
    posts = sentences(30, seed=2)
    assert ppmd_bits_per_byte(old + new, posts) != ppmd_bits_per_byte(new, posts)
    monkeypatch.setattr(ppm, "MAX_HISTORY_BYTES", sum(len(post) + 1 for post in new))
    assert ppmd_bits_per_byte(old + new, posts) == ppmd_bits_per_byte(new, posts)


def test_unusual_input_gives_a_finite_cost() -> None:
    assert ppmd_bits_per_byte(["one post"], []) is None
    assert ppmd_stream_bits_per_byte(["one post"], []) is None
    for history in ([], ["a"], ["", "", ""]):
        for measure in (ppmd_bits_per_byte, ppmd_stream_bits_per_byte):
            result = measure(history, ["", "🚀", "مرحبا", "\ud800 half", "two\nlines"])
            assert result is not None
            assert result > 0


def test_evenly_spaced_selects_at_most_the_limit() -> None:
    posts = [str(i) for i in range(10)]
    assert evenly_spaced(posts, 5) == ["0", "2", "4", "6", "8"]
    assert evenly_spaced(posts, 20) == posts
    assert evenly_spaced([], 3) == []
