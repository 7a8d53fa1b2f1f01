"""Candidate pairs contain all similar posts and few others."""

from __future__ import annotations

import random
from itertools import combinations

import polars as pl
import pytest

from huggingtweets.curation._duplicates import find_duplicates
from huggingtweets.curation._set_similarity import candidates

WORDS = [f"word{number}" for number in range(400)]


def together(keys: list[str], threshold: float) -> set[tuple[int, int]]:
    """Return the pairs of positions that share a part."""
    by_part: dict[int, list[int]] = {}
    for position, parts in candidates(pl.Series(keys, dtype=pl.String), threshold).iter_rows():
        for part in parts:
            by_part.setdefault(part, []).append(position)
    return {pair for members in by_part.values() for pair in combinations(members, 2)}


def similarity(one: str, other: str) -> float:
    mine, theirs = set(one.split(" ")), set(other.split(" "))
    return len(mine & theirs) / len(mine | theirs)


def varied(text: str, words: int, numbers: random.Random) -> str:
    """Return the text with some words removed, inserted, replaced or repeated."""
    tokens = text.split(" ")
    for _ in range(words):
        place = numbers.randrange(len(tokens))
        tokens[place : place + numbers.randint(0, 1)] = numbers.choices(WORDS, k=1)
    return " ".join([*tokens, *numbers.choices(tokens, k=2)])


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_no_similar_pair_is_missed(threshold: float) -> None:
    numbers = random.Random(7)
    keys: list[str] = []
    for size in range(1, 70):
        text = " ".join(numbers.sample(WORDS, size))
        keys += [text, *(varied(text, words, numbers) for words in (0, 1, 2, 3, size // 9))]
    alike = {
        (one, other)
        for one, other in combinations(range(len(keys)), 2)
        if similarity(keys[one], keys[other]) >= threshold
    }
    assert len(alike) > len(keys) // 6
    assert alike <= together(keys, threshold)


def test_long_texts_that_differ_in_a_hundred_words() -> None:
    numbers = random.Random(7)
    vocabulary = [f"word{number}" for number in range(20_000)]
    found = 0
    for _ in range(100):
        words = numbers.sample(vocabulary, 1050)
        # 950 words of 1,050: 0.905
        found += bool(together([" ".join(words[:1000]), " ".join(words[50:])], 0.9))
    assert found >= 99


def test_posts_that_share_nothing_but_common_words_are_not_compared() -> None:
    numbers = random.Random(7)
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
    keys = [" ".join(numbers.choices(WORDS, weights, k=20)) for _ in range(2_000)]
    assert len(together(keys, 0.9)) < len(keys)  # of two million pairs


def test_duplicates_far_apart_are_found() -> None:
    numbers = random.Random(7)
    keys = [f"{' '.join(numbers.sample(WORDS, 12))} post{number}" for number in range(45_000)]
    keys[44_999] = f"{keys[3]} indeed"
    found = find_duplicates(pl.Series(keys), 0.9)
    assert found.select("row", "of").rows() == [(44_999, 3)]


@pytest.mark.parametrize("keys", [[], ["one"], ["", "two words"]])
def test_nothing_to_compare(keys: list[str]) -> None:
    assert together(keys, 0.9) == set()


def test_posts_made_from_a_template() -> None:
    # Parts that hold only the words common to all posts are the same in all of them.
    numbers = random.Random(7)
    texts = []
    for _ in range(600):
        words = WORDS[:20]
        words[4], words[13] = (f"filled{numbers.randrange(100)}" for _ in range(2))
        texts.append(" ".join(words))
    texts = list(dict.fromkeys(texts))
    kept: list[str] = []
    for text in texts:
        if all(similarity(text, other) < 0.9 for other in kept):
            kept.append(text)
    found = find_duplicates(pl.Series(texts), 0.9)
    dropped = len(texts) - len(kept)
    assert dropped > 400
    assert 0.97 * dropped < found.height <= dropped + 5  # a different post of a pair may be kept
    kept_now = pl.Series(texts).gather(sorted(set(range(len(texts))) - set(found["row"])))
    assert find_duplicates(kept_now, 0.9).is_empty()


def test_a_part_shared_by_many_posts_is_not_used() -> None:
    # The posts share half of their words but aren't similar; the last one is similar to the first.
    same = " ".join(WORDS[:10])
    keys = [f"{same} {' '.join(WORDS[start : start + 10])}" for start in range(20, 380, 10)]
    again = f"{keys[0]} again"
    found = find_duplicates(pl.Series([*keys, again]), 0.8)
    assert found.select("row", "of").rows() == [(len(keys), 0)]


@pytest.mark.parametrize("threshold", [1e-300, 0.001, 0.2])
def test_threshold_that_any_common_word_reaches(threshold: float) -> None:
    found = find_duplicates(pl.Series(["one two three", "one four five", "six"]), threshold)
    assert found["row"].to_list() == [1]
