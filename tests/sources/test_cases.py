"""Inputs in shapes that public bug reports describe; people and texts are made up.

``tests/fixtures/cases`` has the inputs. Each row of the table says what may be learnt from one, and
everything else in it is named: the counts add up to the records of the file.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import HuggingTweetsError, SourceError
from huggingtweets.sources import open_source, read_posts, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
CRANES = (
    "Long ago the harbour had nine cranes and each of them was named after a queen whom nobody in "
    "this town had ever met, which is why the children still bow to the cranes on their way to "
    "school."
)
FERRY = "The ferry leaves at nine from the north pier, bring a coat and a friend with you today"
KNOTS = [f"page {page} post {post} about knots and splices" for page in (1, 2) for post in (1, 2)]
SKIES = ["Skies over the lock are doing overtime", "Second post about the same sky again"]
QUOTES = ["My own words about his words here", "Another one of my own sentences"]


@dataclass(frozen=True)
class Expected:
    """What a file holds.

    Attributes:
        own: texts of the posts that may be learnt.
        author: of all of them.
        reposts: number of reposts.
        left_out: number of other records, by reason.
    """

    own: list[str]
    author: str
    reposts: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


TABLE = {
    "01-mastodon-api-dump/isle.example.user.oda.json": Expected(
        [
            "Ferry timetable says noon & the captain says whenever.\n\nI trust the captain.",
            "Kelp soup again, see https://soup.example/kelp-soup-of-the-year for the recipe",
        ],
        "oda@isle.example",
        1,
        {"not public": 2},
    ),
    "03-telegram-forwards/result.json": Expected(
        [
            "I painted the boat green on purpose this time",
            "Reading https://boats.example/a about hulls tonight",
        ],
        "Oda Vos",
        left_out={"forwarded": 2, "of bots": 1},
    ),
    "05-outbox-duplicate-context/outbox.json": Expected(
        [
            "First light over the breakwater, nobody awake",
            "Which rope should I buy next week?",
            "Spoiler text about the film ending here",
        ],
        "oda@isle.example",
        1,
        {"not public": 1},
    ),
    "05-outbox-duplicate-context/akkoma-outbox.json": Expected(
        [
            "Frogs sing at night\nand I sing back to them",
            "Quote of the pond committee minutes",
            "cat of the :blobcat: pond says hello there",
        ],
        "oda@pond.example",
        1,
        {"not public": 1},
    ),
    "07-twarc2-pages/one-page.json": Expected(KNOTS[:2], "oda"),
    "07-twarc2-pages/pages.jsonl": Expected(KNOTS, "oda"),
    "08-cut-text/api-v2.jsonl": Expected([CRANES], "api-v2"),
    "08-cut-text/both-columns.csv": Expected([CRANES], "both-columns"),
    "08-cut-text/stream-v1.jsonl": Expected([CRANES], "oda"),
    **dict.fromkeys(
        [f"09-apify/dataset_tweet-scraper.{ending}" for ending in ("csv", "json")],
        Expected(
            [
                "Newest: the mast is up and so am I",
                CRANES,
                "Oldest: sanding the mast is a whole personality",
            ],
            "oda",
            1,
        ),
    ),
    "11-twint/oda.csv": Expected(
        [
            "newest: the harbour master has a new hat, again",
            "oldest: the harbour master has no hat at all",
        ],
        "oda",
        1,
    ),
    "11-twint/est.csv": Expected(
        ["newer: rain on the slipway all day long", "older: sun on the slipway all day long now"],
        "oda",
    ),
    "16-edited": Expected(
        [
            FERRY,
            "Corrected: the meeting is on Tuesday in the sail loft",
        ],
        "oda",
        left_out={"older versions of edited posts": 2},
    ),
    "17-community/only": Expected(["A post in the knitting community about wool"], "oda"),
    "17-community/with": Expected(
        ["An ordinary post about ropes and ladders", "A post in the knitting community about wool"],
        "oda",
    ),
    "18-bluesky/author-feed.json": Expected(SKIES, "oda.example", 1),
    "18-bluesky/list-records.json": Expected(SKIES, "did:plc:zz", left_out={"of other people": 1}),
    "18-bluesky/records.json": Expected(SKIES, "did:plc:zz", left_out={"of other people": 1}),
    "18-bluesky/posts-view.jsonl": Expected(SKIES, "oda.example", left_out={"of other people": 1}),
    "18-bluesky/unpacked": Expected(SKIES[::-1], "unpacked"),
    "19-reprs/bytes.csv": Expected(
        ["café opens at noon 😀 come along", "it’s the captain's day off again"], "bytes"
    ),
    "19-reprs/lists.csv": Expected(
        [
            "the rope is longer than the story",
            "the captain's story is longer than the rope",
        ],
        "lists",
    ),
    "27-archive-odd/no-text": Expected(
        [
            "",
            "only text and no full_text here",
            "https://t.co/abc",
            "Read this https://t.co/abcdefg now please",
            "@oda first part of a thread of mine 1/2",
            "second part of a thread of mine 2/2",
            "A poll: tar or paint for the hull?",
            "I agree",
            "an iso date in an archive here",
            "an invalid date in an archive here",
        ],
        "no-text",
        5,
        {"promoted": 1},
    ),
    "27-archive-odd/bad-year": Expected(
        ["a post of 2022 dated 1997 here", "a post of 2022 dated rightly here"], "bad-year"
    ),
    "28-mastodon-odd/outbox.json": Expected(
        [
            *QUOTES,
            "Bram said the sea is flat\n\nand I say it is not at all",
            "emoji 😀 &amp; entity here now",
            "code: if (a < b) is fine\nand wrong right\n\none thing\n\ntwo things",
            "only the map holds these words",
            "single public address as a string",
            "article body of a long blog",
        ],
        "oda@isle.example",
    ),
    "28-mastodon-odd/outbox-page.json": Expected(QUOTES, "oda@isle.example"),
    "28-mastodon-odd/first-page.json": Expected(QUOTES, "oda@isle.example"),
    "28-mastodon-odd/misskey-quote.json": Expected(
        ["my own words on his words"], "oda@pond.example"
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_only_what_its_author_published_is_read_and_all_else_is_named(name: str) -> None:
    expected = TABLE[name]
    source = open_source(CASES / name)
    posts = list(source.posts())
    assert [post.text for post in posts if post.kind != "repost"] == expected.own
    assert {post.author for post in posts} == {expected.author}
    assert sum(post.kind == "repost" for post in posts) == expected.reposts
    assert dict(unwrap(source).left_out) == expected.left_out  # type: ignore[attr-defined]
    assert list(source.posts()) == posts


@pytest.mark.parametrize("name", ["deleted-tweets.js", "twitter-circle-tweet.js"])
def test_circle_and_deleted_posts_are_not_read_even_if_named(name: str) -> None:
    with pytest.raises(SourceError, match="not public, which are never read"):
        read_posts([CASES / "17-community" / "with" / "data" / name])


def test_a_repository_without_its_blocks_is_one_sentence() -> None:
    with pytest.raises(SourceError, match=r"repo\.car is not a Bluesky repository"):
        read_posts([CASES / "18-bluesky" / "repo.car"])


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a JSON document; of a list only the first."""
    items: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value[:1]))
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


@pytest.mark.parametrize("file", sorted(CASES.glob("*/*.json")), ids=lambda file: file.parent.name)
def test_a_value_of_another_type_gives_posts_or_one_sentence(file: Path, tmp_path: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    odd_values: tuple[object, ...] = ([], {"a": []}, True, 1.5)
    for path in list(_places(document))[:80]:
        for odd in odd_values:
            changed = copy.deepcopy(document)
            inside = changed
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = odd
            (tmp_path / file.name).write_text(json.dumps(changed))
            with suppress(HuggingTweetsError):
                read_posts([tmp_path / file.name])
