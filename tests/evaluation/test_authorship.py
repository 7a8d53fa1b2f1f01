from __future__ import annotations

import random
import time

import polars as pl
import pytest

from huggingtweets.evaluation.authorship import Authorship, classify_authorship, panel_posts


def pirate_posts(n: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    starts = ["Arrr!!", "Yo ho ho,", "Ahoy matey!", "Shiver me timbers,", "Avast ye!"]
    ends = ["the rum be gone", "hoist yer sails", "walk the plank", "me parrot be drunk", "no gold"]
    tails = ["~~", "#arrr", "ye scurvy dog", "lads", "by Davy Jones"]
    return [
        f"{generator.choice(starts)} {generator.choice(ends)} {generator.choice(tails)} {i}"
        for i in range(n)
    ]


def test_the_panel_has_fifty_posts_of_each_of_fifteen_authors() -> None:
    assert len(panel_posts()) == 750
    assert len(panel_posts(without=["@sensanders", "SENTEDCRUZ", "NASA"])) == 650
    texts = pl.Series(panel_posts())
    assert not texts.str.contains(r"https?://|\n|^RT @").any()


def test_the_author_is_distinguished_from_the_panel() -> None:
    others = panel_posts()[:50]
    result = classify_authorship(
        pirate_posts(300, 1), others, pirate_posts(60, 2), authors=["ChrisVanHollen"]
    )
    assert result is not None
    assert result.held_out > 0.95
    assert result.bot < 0.1
    assert result.panel < 0.1


def test_results_are_deterministic_and_ignore_line_breaks() -> None:
    train, held_out = pirate_posts(100, 1), pirate_posts(30, 2)
    mixed = panel_posts()[:20] + pirate_posts(20, 3)
    first = classify_authorship(train, mixed, held_out, authors=["pirate"])
    broken = [post.replace(" ", "\n", 1) for post in mixed]
    assert classify_authorship(train, broken, held_out, authors=["pirate"]) == first


def test_no_training_posts_or_no_panel_gives_none() -> None:
    train = pirate_posts(20, 1)
    assert classify_authorship([], train, train, authors=[]) is None
    everyone = pl.read_parquet("src/huggingtweets/evaluation/panel.parquet")["author"].to_list()
    assert classify_authorship(train, train, train, authors=everyone) is None
    few = classify_authorship(["🚀"], [], [], authors=[])
    assert isinstance(few, Authorship)
    assert (few.bot, few.held_out) == (0.0, 0.0)


@pytest.mark.parametrize("n_posts", [2_500])
def test_large_inputs_take_under_eight_seconds_of_cpu_time(n_posts: int) -> None:
    # Panel sentences give the posts as many different n-grams as real ones.
    panel = panel_posts()
    long = [f"{post} {panel[i % 750]}" for i, post in enumerate(pirate_posts(n_posts, 1))]
    started = time.process_time()
    classify_authorship(long, long[:200], long[200:400], authors=[])
    assert time.process_time() - started < 8  # 3 s on an idle machine
