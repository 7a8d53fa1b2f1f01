"""Reading an account on X through tweepy from a fake API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.servers.local import Reply, as_json
from tests.servers.x import (
    FIRST,
    ID,
    TOKEN,
    USER,
    XServer,
    error_of,
    posts_of,
    problem,
    refers,
    tweet,
    tweets,
    x_online,
)

from huggingtweets.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """An account without posts, a valid token, and an empty downloads folder."""
    with x_online(tmp_path, monkeypatch) as running:
        yield running


def test_pages(server: XServer) -> None:
    server.tweets = tweets(250)
    posts = posts_of()
    assert [post.text for post in posts] == [one["text"] for one in server.tweets]
    assert {(post.author, post.source, post.lang, post.kind) for post in posts} == {
        (USER, "x", "en", "original")
    }
    assert posts[-1].id == str(FIRST)
    assert posts[-1].created_at == datetime(2024, 3, 1, tzinfo=UTC)
    assert server.asked[0][0] == f"/2/users/by/username/{USER.lower()}"
    assert {path for path, _ in server.asked[1:]} == {f"/2/users/{ID}/tweets"}
    assert server.sizes == [100, 100, 50]
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {TOKEN}"}


def test_at_most_3200_posts_are_read(server: XServer) -> None:
    server.tweets = tweets(3_300)
    assert len(posts_of()) == 3_200
    assert server.sizes == [100] * 32


def test_kinds_and_long_posts(server: XServer) -> None:
    long = "a" * 300 + " &amp; https://t.co/abc"
    server.tweets = [
        tweet(9, "RT @other: not my words…", **refers("retweeted"), note_tweet={"text": long}),
        tweet(8, "@other yes", **refers("replied_to")),
        tweet(7, "see this", **refers("quoted")),
        tweet(6, "@other and this", **refers("quoted", "replied_to")),
        tweet(5, "@gone hello", in_reply_to_user_id="12"),
        tweet(4, "aaa…", note_tweet={"text": long, "entities": {}}, lang="und"),
        tweet(3, "\ud83d\0", note_tweet={"text": None}, lang=None, referenced_tweets="x"),
        {"id": None, "text": "no post"},
        {"id": str(FIRST)},
    ]
    posts = posts_of()
    assert [post.kind for post in posts] == [
        *("repost", "reply", "quote", "reply", "reply", "original", "original", "original")
    ]
    assert posts[0].text == "RT @other: not my words…"
    assert posts[5].text == long
    assert posts[6].text == "\ufffd\ufffd"
    assert [post.lang for post in posts[4:]] == ["en", "und", None, None]
    assert posts[7].created_at is None


def test_limit_and_since(server: XServer) -> None:
    server.tweets = tweets(400)
    assert len(posts_of(limit=7)) == 7
    assert server.sizes == [7]
    since = datetime(2024, 3, 1, 4, tzinfo=UTC)
    assert len(posts_of(since=since)) == 160
    assert server.sizes == [7, 10, 100, 100]
    assert server.handed_out == 217


def test_an_update_reads_only_new_posts(server: XServer) -> None:
    server.tweets = tweets(250)
    posts_of()
    server.asked.clear()
    server.tweets = tweets(380)
    assert len(posts_of()) == 380
    assert server.sizes == [100, 100]
    server.asked.clear()
    assert len(posts_of()) == 380
    assert server.sizes == [10]


def test_an_interrupted_download_resumes(server: XServer) -> None:
    server.tweets = tweets(450)
    server.instead = dict.fromkeys(range(3, 9), as_json({}, 503))
    assert "200 posts downloaded so far are in" in error_of()
    cut = server.cursors[-1]
    server.instead = {}
    server.asked.clear()
    assert len(posts_of()) == 450
    assert server.cursors[0] == cut
    assert server.handed_out == 450


@pytest.mark.parametrize("fault", [Reply(b"x" * 1000, fault="cut"), as_json({}, 503)])
def test_temporary_failures_are_retried(server: XServer, fault: Reply) -> None:
    server.tweets = tweets(150)
    server.instead = {0: fault, 2: fault, 3: fault, 5: fault}
    assert len(posts_of()) == 150


def test_a_page_that_is_empty_ends_it(server: XServer) -> None:
    server.tweets, server.ends_empty = tweets(200), True
    assert len(posts_of()) == 200
    assert server.sizes == [100, 100, 5]
    server.instead = {n: as_json({"meta": {"next_token": f"t{n}"}}) for n in range(5, 100)}
    assert len(posts_of()) == 200
    assert len(server.sizes) == 8


def test_pauses_are_counted_down(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "now", lambda: 1_700_000_000.0)
    busy = problem(429, "Too Many Requests", "Too Many Requests")
    server.tweets = tweets(3)
    server.instead = {1: Reply(busy.body, 429, {"x-rate-limit-reset": "1700000003"})}
    events: list[Event] = []
    assert len(posts_of(listen=events.append)) == 3
    assert [event.seconds_left for event in events] == [None, 3, 2, 1, None]
    assert events[0].message == f"looking up @{USER.lower()} on X, which costs $0.01"
    assert events[1].message == "127.0.0.1: waiting (rate limit)"
    later = Reply(busy.body, 429, {"x-rate-limit-reset": "1700003600"})
    server.instead = {len(server.asked) + 1: later}
    assert "no more requests for 60 minutes" in error_of()
