"""The cost of reading from X is shown and confirmed before any post is paid for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.local import as_json
from tests.servers.x import USER, XServer, tweets, x_online

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions
from huggingtweets.sources._x_costs import SpendingGuard, dollars
from huggingtweets.sources.accounts import open_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """An account of 250 posts."""
    with x_online(tmp_path, monkeypatch, tweets(250)) as running:
        yield running


@dataclass
class Somebody:
    """Answers questions and records them."""

    answer: bool = True
    asked: list[str] = field(default_factory=list)

    def __call__(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer


def _posts(confirm: Somebody, **options: Any) -> list[Post]:  # noqa: ANN401
    source = open_account(f"x:{USER}", ReadOptions(confirm=confirm, **options))
    assert source is not None
    return list(source.posts())


def test_the_price_is_shown_first(server: XServer) -> None:
    somebody = Somebody(answer=False)
    with pytest.raises(SourceError) as caught:
        _posts(somebody)
    assert server.handed_out == 0
    assert somebody.asked == [
        "X charges $0.005 for each post: at most $1.25 for at most 250 posts of @Gardener, plus "
        "$0.01 for looking up the account. X's terms restrict training models on data from its "
        "API; the archive of your own posts that X offers is free and allowed. Continue?"
    ]
    assert "costs at most $1.25; use --yes to agree." in str(caught.value)


def test_without_consent_nothing_is_read(server: XServer) -> None:
    with pytest.raises(SourceError, match="use --yes"):
        list(open_account(f"x:{USER}").posts())  # type: ignore[union-attr]
    assert server.sizes == []


@pytest.mark.parametrize(
    ("options", "count", "said"),
    [
        ({}, 50_000, "$0.005 for each post: at most $16.00 for at most 3,200 posts"),
        ({}, 3, "at most $0.02 for at most 3 posts"),
        ({"limit": 100}, 250, "at most $0.50 for at most 100 posts"),
        ({"limit": 1}, 250, "at most $0.03 for at most 5 posts"),
        ({"limit": 5_000}, 250, "at most $1.25 for at most 250 posts"),
        (
            {"i_am_the_author": True},
            3_200,
            "$0.001 for each post of your own: at most $3.20 for at most 3,200 posts",
        ),
    ],
)
def test_prices(server: XServer, options: dict[str, Any], count: int, said: str) -> None:
    server.user["public_metrics"] = {"tweet_count": count}
    somebody = Somebody(answer=False)
    with pytest.raises(SourceError):
        _posts(somebody, **options)
    assert said in somebody.asked[0]


def test_an_unknown_number_of_posts(server: XServer) -> None:
    server.user["public_metrics"] = {"tweet_count": None}
    somebody = Somebody()
    assert len(_posts(somebody)) == 250
    assert ["at most 3,200 posts" in question for question in somebody.asked] == [True]


def test_a_second_run_asks_for_a_page(server: XServer) -> None:
    somebody = Somebody()
    _posts(somebody)
    _posts(somebody)
    server.tweets = tweets(400)
    assert len(_posts(somebody)) == 400
    asked = [question.split("for at most ")[1].split(" of")[0] for question in somebody.asked]
    assert asked == ["250 posts", "100 posts", "250 posts"]
    assert server.sizes == [100, 100, 50, 10, 100, 100]


def test_an_interrupted_run_asks_for_the_rest(server: XServer) -> None:
    somebody = Somebody()
    server.instead = dict.fromkeys(range(2, 9), as_json({}, 500))
    with pytest.raises(SourceError):
        _posts(somebody)
    server.instead = {}
    assert len(_posts(somebody)) == 250
    assert "at most 250 posts" in somebody.asked[1]
    assert server.handed_out == 250


def test_the_same_source_twice(server: XServer) -> None:
    somebody = Somebody()
    source = open_account(f"x:{USER}", ReadOptions(confirm=somebody))
    assert source is not None
    assert list(source.posts()) == list(source.posts())
    assert len(somebody.asked) == 2
    assert [path for path, _ in server.asked].count(f"/2/users/by/username/{USER}") == 1


def test_more_posts_than_announced_need_another_confirmation(server: XServer) -> None:
    server.user["public_metrics"] = {"tweet_count": 100}
    somebody = Somebody()
    assert len(_posts(somebody)) == 250
    assert ["100 posts" in question for question in somebody.asked] == [True, True, True]
    assert server.sizes[:2] == [100, 5]


def test_an_empty_account_costs_nothing(server: XServer) -> None:
    server.tweets = []
    with pytest.raises(SourceError, match="has no public posts"):
        _posts(Somebody(answer=False))
    server.tweets, server.user["public_metrics"] = tweets(20), {"tweet_count": 0}
    with pytest.raises(SourceError, match="use --yes"):
        _posts(Somebody(answer=False))
    assert server.handed_out == 5


@pytest.mark.parametrize(
    ("thousandths", "written"), [(1, "$0.01"), (10, "$0.01"), (16_005, "$16.01")]
)
def test_dollars(thousandths: int, written: str) -> None:
    assert dollars(thousandths) == written


@pytest.mark.parametrize("most", [5, 6, 99, 100, 101, 104, 105, 203, 1_003])
def test_pages_stay_within_the_agreed_number(most: int) -> None:
    purse = SpendingGuard("ann", own=False, confirm=Somebody())
    sizes: list[int] = []
    while sum(sizes) < most:
        sizes.append(purse.page(100, lambda: most, has_more=True))
        purse.spend(sizes[-1])
    assert sum(sizes) == most
    assert all(5 <= size <= 100 for size in sizes)
