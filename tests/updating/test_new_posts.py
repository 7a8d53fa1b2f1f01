"""What counts as new, edited or gone, and how old and new posts are split."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from huggingtweets.curation import CurationOptions
from huggingtweets.data import batching
from huggingtweets.data.posts import SCHEMA
from huggingtweets.updating.new_posts import halves, split_again, what_is_new

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
LONG = "1234567890123"  # ids of networks have 12 digits or more


def table(rows: Sequence[tuple[str, str]], first_day: int = 0, author: str = "ann") -> pl.DataFrame:
    """A table of posts with these ids and texts, one a day."""
    values = [
        (author, name, BEGIN + timedelta(days=first_day + day), text, "original", None, "csv")
        for day, (name, text) in enumerate(rows)
    ]
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def ids(found: pl.DataFrame) -> list[str]:
    return found["id"].to_list()


def test_posts_with_a_new_id_and_a_new_text_are_new() -> None:
    before = table([("1", "one post here"), ("2", "two posts here")])
    read = table([("1", "one post here"), ("2", "two posts here"), ("3", "three posts here")])
    found = what_is_new(before, read)
    assert (ids(found.new), ids(found.edited), ids(found.missing)) == (["3"], [], [])
    assert ids(found.posts) == ["1", "2", "3"]


def test_a_file_that_numbers_its_posts_anew_has_only_its_new_texts() -> None:
    before = table([("1", "one post here"), ("2", "two posts here")])
    read = table([("1", "a newer post"), ("2", "one post here"), ("3", "two posts here")])
    found = what_is_new(before, read)
    assert found.posts["text"].to_list()[-1] == "a newer post"
    assert (found.new.height, ids(found.edited), ids(found.missing)) == (1, [], [])
    assert found.posts.select("author", "id").is_unique().all()


def test_an_edited_post_is_taken_in_its_new_form() -> None:
    before = table([(f"{LONG}1", "I live in Roma now"), (f"{LONG}2", "two posts here")])
    read = table([(f"{LONG}1", "I live in Milan now"), (f"{LONG}2", "two posts here")])
    found = what_is_new(before, read)
    assert (ids(found.edited), ids(found.new), ids(found.missing)) == ([f"{LONG}1"], [], [])
    assert sorted(found.posts["text"]) == ["I live in Milan now", "two posts here"]


def test_a_post_that_a_source_cuts_off_was_not_edited() -> None:
    before = table([(f"{LONG}1", "a long post that goes on and on")])
    found = what_is_new(before, table([(f"{LONG}1", "a long post that goes …")]))
    assert found.edited.is_empty()
    assert found.posts["text"].to_list() == ["a long post that goes on and on"]


def test_only_posts_of_the_time_that_the_source_covers_are_missing() -> None:
    before = table([(str(n), f"post number {n}") for n in range(6)])
    read = before.filter(pl.col("id").is_in(["3", "5"]))
    assert ids(what_is_new(before, read).missing) == ["4"]


def test_masked_posts_are_known_again() -> None:
    read = table([("1", "write to ann@mail.example please"), ("2", "nothing to hide here")])
    before = read.with_columns(text=pl.col("text").str.replace("ann@mail.example", "<email>"))
    assert what_is_new(before, read, CurationOptions()).new.is_empty()


def test_the_fingerprint_is_that_of_the_new_posts() -> None:
    before = table([("1", "one post here")])
    more = [("1", "one post here"), ("2", "two posts here")]
    one = what_is_new(before, table(more)).fingerprint()
    assert one == what_is_new(before, table(more)).fingerprint()
    assert one != what_is_new(before, table([*more, ("3", "three posts")])).fingerprint()


@pytest.mark.parametrize("rule", ["newest", "random"])
def test_learnt_posts_are_never_held_out(rule: batching.SplitRule) -> None:
    config = {"holdout": 0.2, "split": rule, "seed": 0}
    before = batching.split(
        table([(str(n), f"post {n}") for n in range(50)]), holdout=0.2, rule=rule
    )
    older = [(f"old {n}", f"older {n}") for n in range(50)]  # an archive that goes further back
    kept = pl.concat([table(older, -60), before.drop("split")])
    kept = pl.concat([kept, table([(f"new {n}", f"newer {n}") for n in range(30)], 50)])
    split = split_again(kept, before, config)
    learnt = before.filter(split="train")["id"]
    assert set(split.filter(pl.col("id").is_in(learnt.implode()))["split"]) == {"train"}
    held_out = split.filter(split="held_out")
    assert any(name.startswith("new") for name in held_out["id"])
    if rule == "random":
        stay = before.filter(split="held_out")["id"]
        assert set(stay) <= set(held_out["id"])
    else:
        assert split["split"].to_list()[-26:] == ["held_out"] * 26


def test_posts_that_a_time_limit_left_unused_stay_unused() -> None:
    posts = table([(str(n), f"post {n}") for n in range(50)])
    before = batching.with_newest_only(batching.split(posts, holdout=0.2), 10)
    kept = pl.concat([posts, table([(f"new {n}", f"newer {n}") for n in range(10)], 50)])
    split = split_again(kept, before, {"holdout": 0.2, "split": "newest", "seed": 0})
    assert (split["split"] == "unused").sum() == 30


def test_the_newer_half_judges() -> None:
    assert halves({"a": ["1", "2", "3"], "b": ["4"]}) == (["1", "4"], ["2", "3", "4"])
