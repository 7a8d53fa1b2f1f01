"""Reading a Bluesky account from a fake AppView."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.bluesky import DID, HANDLE, POST, BlueskyServer, car_of, item, record, repost
from tests.servers.local import Reply, as_json

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, http
from huggingtweets.sources._bluesky_record import full_text
from huggingtweets.sources.accounts import open_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlueskyServer]:
    """An account without posts, and an empty downloads folder."""
    with BlueskyServer() as running:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", running.url)
        monkeypatch.setenv("HUGGINGTWEETS_PLC", running.url)
        monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path))
        monkeypatch.setattr(http, "sleep", lambda _seconds: None)
        yield running


def _posts(spec: str = f"bsky:{HANDLE}", **options: Any) -> list[Post]:  # noqa: ANN401
    source = open_account(spec, ReadOptions(**options))
    assert source is not None
    assert source.name == "bluesky"
    return list(source.posts())


def _error(spec: str = f"bsky:{HANDLE}", **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        _posts(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pages(server: BlueskyServer) -> None:
    server.feed = [item(number) for number in range(249, -1, -1)]
    posts = _posts()
    assert [post.text for post in posts] == [
        f"I counted {number} lanterns today" for number in range(249, -1, -1)
    ]
    assert [query.get("cursor") for _, query in server.asked] == [None, "k00150", "k00050"]
    assert {(post.author, post.source, post.lang, post.kind) for post in posts} == {
        (HANDLE, "bluesky", "en", "original")
    }
    assert posts[-1].id == f"at://{DID}/{POST}/k00000"
    assert posts[-1].created_at == datetime(2024, 3, 1, tzinfo=UTC)


def test_kinds_and_languages(server: BlueskyServer) -> None:
    here = {"uri": f"at://{DID}/{POST}/k1", "cid": "bafy"}
    quote = {"$type": "app.bsky.embed.record", "record": here}
    media = {
        "$type": "app.bsky.embed.recordWithMedia",
        "record": {"$type": "app.bsky.embed.record", "record": here},
    }
    a_list = {
        "$type": "app.bsky.embed.record",
        "record": {"uri": f"at://{DID}/app.bsky.graph.list/x"},
    }
    reply = {"root": here, "parent": here}
    pinned = item(0) | {"reason": {"$type": "app.bsky.feed.defs#reasonPin"}}
    server.feed = [
        repost(9),
        item(8, reply=reply, langs=[]),
        item(7, embed=quote, langs=["pt-BR", "en"]),
        item(6, embed=media),
        item(5, embed=a_list),
        item(4, reply=reply, embed=quote),
        pinned,
    ]
    posts = _posts()
    assert [post.kind for post in posts] == [
        *("repost", "reply", "quote", "quote", "original", "reply", "original"),
    ]
    assert [post.lang for post in posts[1:3]] == [None, "pt-BR"]
    assert posts[0].text == "Somebody else's words"
    assert posts[0].author == HANDLE
    assert posts[0].id == f"at://{DID}/app.bsky.feed.repost/r00009"
    assert posts[0].created_at == datetime(2024, 3, 20, 12, tzinfo=UTC)


def _link(start: int, end: int, uri: str) -> dict[str, Any]:
    feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}


@pytest.mark.parametrize(
    ("text", "facets", "full"),
    [
        (
            "🎈 see example.com/a/lo... é",
            [_link(9, 28, "https://example.com/a/long/path")],
            "🎈 see https://example.com/a/long/path é",
        ),
        ("a b.example c", [_link(2, 11, "https://www.b.example/")], "a https://www.b.example/ c"),
        ("read this", [_link(5, 9, "https://example.com/")], "read this"),
        (
            "x.example y.example",
            [_link(10, 19, "https://y.example"), _link(0, 9, "https://x.example")],
            "https://x.example https://y.example",
        ),
        ("🎈", [_link(1, 3, "https://x.example")], "🎈"),
        (
            "short",
            [_link(3, 99, "https://x.example"), _link(-2, 3, "u"), _link(4, 4, "u")],
            "short",
        ),
        ("odd", [None, 3, {"index": []}, {"index": {"byteStart": "a"}, "features": {}}], "odd"),
    ],
)
def test_links_in_full(text: str, facets: list[object], full: str) -> None:
    assert full_text(record(text, facets=facets)) == full


def test_other_items_are_skipped(server: BlueskyServer) -> None:
    server.instead = {
        0: as_json(
            {
                "feed": [
                    *(None, 7, {}, {"post": None}, {"post": {"uri": 3}}),
                    {"post": {"uri": "at://x", "record": {"text": [5], "langs": "en"}}},
                    item(1),
                ]
            }
        )
    }
    assert [post.text for post in _posts()] == ["I counted 1 lanterns today", ""]


def test_empty_pages_come_to_an_end(server: BlueskyServer) -> None:
    server.instead = {n: as_json({"feed": [], "cursor": f"c{n}"}) for n in range(100)}
    server.instead[0] = as_json({"feed": [item(1)], "cursor": "c"})
    assert len(_posts()) == 1
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (as_json({"error": "AccountTakedown", "message": "x"}, 400), "is suspended on Bluesky"),
        (as_json({"error": "AccountDeactivated"}, 400), "is deactivated"),
        (as_json({"error": "InvalidRequest", "message": "Profile not found"}, 400), "not on Blues"),
        (as_json({"error": "BlockedActor"}, 400), "because of a block"),
        (as_json({"error": "AuthMissing"}, 401), "doesn't show @gardener.bsky.social to everybody"),
        (Reply(b"<html>", 403), "give their archive instead"),
        (Reply(b"", 404), "is not on Bluesky; check the handle"),
        (
            Reply(b"<html>busy", headers={"Content-Type": "text/html"}),
            "sent text/html instead of JSON",
        ),
        (as_json([]), "a response without a feed"),
        (as_json({"feed": 3}), "a response without a feed"),
        (as_json({"error": "NotEnoughResources"}, 503), "it may be down"),
    ],
)
def test_errors_are_explained(server: BlueskyServer, reply: Reply, words: str) -> None:
    server.instead = dict.fromkeys(range(9), reply)
    assert words in _error()


@pytest.mark.usefixtures("server")
def test_unknown_and_empty_accounts() -> None:
    assert "@nobody.bsky.social is not on Bluesky" in _error("bsky:nobody.bsky.social")
    assert _error() == f"@{HANDLE} has no public posts."


def test_accounts_that_ask_to_be_hidden_are_not_read(server: BlueskyServer) -> None:
    server.feed = [item(1)]
    server.feed[0]["post"]["author"]["labels"] = [{"val": "!no-unauthenticated", "src": DID}]
    assert "asks Bluesky to hide their posts" in _error()
    assert len(_posts(i_am_the_author=True)) == 1


# -- the whole repository --------------------------------------------------------------------------


def _repository() -> dict[str, dict[str, Any]]:
    found = {f"{POST}/k{n:05}": record(f"Lantern number {n}", n) for n in range(20)}
    found[f"{POST}/k00007"] = record("a reply", 7, reply={"root": {}, "parent": {}})
    found["app.bsky.feed.repost/r1"] = {"$type": "app.bsky.feed.repost", "subject": {}}
    found["app.bsky.actor.profile/self"] = {"$type": "app.bsky.actor.profile"}
    found["app.bsky.feed.like/l1"] = {"text": "no post"}
    return found


@pytest.mark.parametrize("spec", [HANDLE, DID])
def test_a_whole_repository(server: BlueskyServer, spec: str) -> None:
    server.car = car_of(_repository())
    posts = _posts(f"bsky:{spec}", full=True)
    assert len(posts) == 20
    assert posts[0].text == "Lantern number 19"
    assert {post.author for post in posts} == {HANDLE}
    assert posts[0].id == f"at://{DID}/{POST}/k00019"
    assert [post.id[-5:] for post in posts if post.kind == "reply"] == ["00007"]
    server.feed = [item(25), *(item(n, f"Lantern number {n}") for n in range(19, -1, -1))]
    assert len(_posts(f"bsky:{HANDLE}")) == 21  # the feed has the same ids as the repository


def test_a_repository_of_a_web_did(server: BlueskyServer) -> None:
    server.car = car_of(_repository())
    did = f"did:web:{server.host.replace(':', '%3A')}"
    posts = _posts(f"bsky:{did}", full=True)
    assert len(posts) == 20
    assert "/.well-known/did.json" in [path for path, _ in server.asked]


@pytest.mark.parametrize("car", [b"", b"<html>", b"\0" * 100])
def test_an_invalid_repository(server: BlueskyServer, car: bytes) -> None:
    server.car = car
    assert "sent a damaged repository" in _error(full=True)
    server.car = car_of(_repository())[:-20]
    assert "sent a damaged repository" in _error(full=True)


def test_a_repository_in_a_private_network(server: BlueskyServer) -> None:
    server.pds = "https://192.168.0.1"
    assert "not on the public internet" in _error(full=True)


def test_a_hidden_repository(server: BlueskyServer) -> None:
    found = _repository()
    labels = {"$type": "x#selfLabels", "values": [{"val": "!no-unauthenticated"}]}
    found["app.bsky.actor.profile/self"]["labels"] = labels
    server.car = car_of(found)
    assert "asks Bluesky to hide" in _error(full=True)


def test_the_extra_is_missing(server: BlueskyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "huggingtweets.sources._bluesky_repo.find_spec",
        lambda name: None if name == "libipld" else real(name),
    )
    assert "pip install huggingtweets[bluesky]" in _error(full=True)
    assert server.asked == []
