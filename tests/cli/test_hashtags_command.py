"""``hashtags`` and ``generate --hashtag``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

import huggingtweets
from huggingtweets.data import hashtags
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import CommandLine


def with_posts(run: Path, posts: list[str]) -> None:
    """Replace the posts that a run's bot learnt."""
    folder = RunFolder(run)
    author = folder.record().authors[0]
    folder.replace_table("kept", pl.DataFrame({"author": author, "text": posts, "split": "train"}))


POSTS = [
    *(f"The rocket number {n} flew to the red planet #Mars" for n in range(6)),
    *(f"Our probe took photo {n} of the icy dwarf planet #Pluto" for n in range(4)),
    "A quiet day in the office",
]


def test_tags_are_proposed_by_the_words_of_the_text(cli: CommandLine, finished: Path) -> None:
    with_posts(finished, POSTS)
    shown = cli("hashtags", finished, "An icy photo")
    assert shown.code == 0
    assert "#Pluto  (4 posts)" in shown.out.splitlines()[0]
    assert "#Mars  (6 posts)" in shown.out.splitlines()[1]
    outcome = cli("hashtags", finished, "A rocket #mars", "-n", "1", "--json")
    assert json.loads(outcome.out)["hashtags"][0]["hashtag"] == "Pluto"
    unknown = cli("hashtags", finished, "Zebra", "--json")
    values = json.loads(unknown.out)
    assert values["known"] is False
    assert [one["hashtag"] for one in values["hashtags"]] == ["Mars", "Pluto"]
    assert "the most frequent" in cli("hashtags", finished, "Zebra").out
    has_all = cli("hashtags", finished, "rocket #mars #pluto")
    assert "all of the author's hashtags already" in has_all.out
    library = huggingtweets.propose_hashtags(finished, "An icy photo", n=1)
    assert [(one.hashtag, one.posts) for one in library] == [("Pluto", 4)]
    assert 0.3 < library[0].score < 1


def test_without_a_text_the_tags_are_listed(cli: CommandLine, finished: Path) -> None:
    with_posts(finished, POSTS)
    shown = cli("hashtags", finished, "-n", "1")
    assert shown.out.split()[:4] == ["6", "#Mars", "(6", "end)"]
    assert "1 more" in shown.out
    values = json.loads(cli("hashtags", finished, "--json").out)
    assert values["total"] == 2
    assert values["hashtags"][1] == {
        "hashtag": "Pluto",
        "posts": 4,
        "places": {"beginning": 0, "middle": 0, "end": 4},
    }


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["-n", "0"], "-n must be"),
        (["x", "-n", "10001"], "-n must be"),
        ([" "], "has no words"),
        (["#Mars #Pluto"], "has no words"),
        (["a" * 6000], "TEXT must be text of at most 5,000"),
    ],
)
def test_bad_input_is_refused(
    cli: CommandLine, finished: Path, options: list[str], word: str
) -> None:
    assert cli("hashtags", finished, *options).refused(word)


def test_a_bot_without_tags_posts_or_run_folder_is_refused(
    cli: CommandLine, finished: Path, tiny_base: Path
) -> None:
    assert cli("hashtags", tiny_base, "text").refused("is not a run folder")
    outcome = cli("generate", tiny_base, "--hashtag", "Mars")
    assert outcome.refused("only a model without the posts it learnt")
    with_posts(finished, ["A quiet day"])  # such as after all posts with tags were forgotten
    none = "No post that this bot learnt has a hashtag"
    assert cli("hashtags", finished).refused(none)
    assert cli("hashtags", finished, "text").refused(none)
    (finished / "data" / "kept.parquet").unlink()
    assert cli("hashtags", finished, "text").refused("kept.parquet")


def test_generated_posts_have_the_tag(cli: CommandLine, finished: Path) -> None:
    command = ["--hashtag", "#HARBOURLIFE", "-n", "3", "--seed", "1", "--json"]
    values = json.loads(cli("generate", finished, *command).out)
    assert len(values["posts"]) == 3
    assert all(hashtags.place_in(post["text"], "harbourlife") for post in values["posts"])
    assert values["misplaced"] >= 0
