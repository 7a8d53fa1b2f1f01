"""Reading a Mastodon account from a fake server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.local import Reply, as_json
from tests.servers.mastodon import ID, USER, MastodonServer, status

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, http
from huggingtweets.sources.accounts import open_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MastodonServer]:
    """An account without posts, and an empty downloads folder."""
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path))
    monkeypatch.setattr(http, "sleep", lambda _seconds: None)
    with MastodonServer() as running:
        yield running


def _posts(server: MastodonServer, user: str = USER, **options: Any) -> list[Post]:  # noqa: ANN401
    source = open_account(f"mastodon:@{user}@{server.host}", ReadOptions(**options))
    assert source is not None
    assert source.name == "mastodon"
    return list(source.posts())


def _error(server: MastodonServer, user: str = USER, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        _posts(server, user, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pages(server: MastodonServer) -> None:
    server.statuses = [status(number) for number in range(99, -1, -1)]
    posts = _posts(server)
    assert [post.text for post in posts] == [
        f"I counted {number} lanterns today" for number in range(99, -1, -1)
    ]
    below = [query.get("max_id", "")[-2:] for path, query in server.asked if "statuses" in path]
    assert below == ["", "60", "20"]
    assert posts[0].author == f"{USER}@{server.host}"
    assert posts[0].source == "mastodon"
    assert posts[-1].created_at == datetime(2024, 3, 1, tzinfo=UTC)


def test_a_last_page_that_is_full(server: MastodonServer) -> None:
    server.statuses = [status(number) for number in range(79, -1, -1)]
    assert len(_posts(server)) == 80
    assert len(server.asked) == 4  # the third page is empty


def test_kinds_visibility_and_language(server: MastodonServer) -> None:
    theirs = status(1, "Their words", language="fr")
    server.statuses = [
        status(9, "", reblog=theirs, language=None),
        status(8, "A reply", in_reply_to_id="5", in_reply_to_account_id="7"),
        status(7, "A quote", quote={"state": "accepted"}, language=None),
        *(status(6 - i, "hidden", visibility=v) for i, v in enumerate(("unlisted", "private"))),
        status(4, "said to one", visibility="direct"),
        status(3, "Soup<br />and &amp; <a href='https://x'>#bread</a>", spoiler_text="Food"),
    ]
    posts = _posts(server)
    assert [post.kind for post in posts] == ["repost", "reply", "quote", "original"]
    assert [post.lang for post in posts] == ["fr", "en", None, "en"]
    assert [post.text for post in posts] == [
        *("Their words", "A reply", "A quote", "Soup\nand & #bread"),
    ]


def test_invalid_statuses_are_skipped(server: MastodonServer) -> None:
    odd: list[object] = [
        None,
        3,
        [],
        {},
        {"visibility": "public"},
        {"visibility": "public", "id": {}},
    ]
    bare = {"visibility": "public", "id": "5", "content": None}
    server.instead = {1: as_json([*odd, bare, status(1)])}
    assert [post.text for post in _posts(server)] == ["I counted 1 lanterns today", ""]


def test_only_the_id_of_the_next_page_is_taken(server: MastodonServer) -> None:
    server.statuses = [status(1)]
    evil = '<https://10.0.0.1/api?max_id=110000000000000002&x=1>; rel="next"'
    server.instead = {1: as_json([status(3)], Link=evil)}
    assert len(_posts(server)) == 2
    assert server.asked[2][0] == f"/api/v1/accounts/{ID}/statuses"
    assert server.asked[2][1]["max_id"] == "110000000000000002"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"noindex": True}, "asks not to be indexed"),
        ({"indexable": False}, "asks not to be indexed"),
        ({"locked": True}, "approves followers manually"),
    ],
)
def test_privacy_settings_are_respected(
    server: MastodonServer, wish: dict[str, bool], words: str
) -> None:
    server.statuses = [status(1)]
    assert server.account is not None
    server.account |= wish
    message = _error(server)
    assert words in message
    assert "--i-am-the-author" in message
    assert len(server.asked) == 1
    assert len(_posts(server, i_am_the_author=True)) == 1


def test_an_account_without_indexing_settings_is_read(server: MastodonServer) -> None:
    server.statuses = [status(1)]
    server.account = {"id": ID, "noindex": None}
    assert len(_posts(server)) == 1


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (as_json({"error": "This method requires an authenticated user"}, 401), "logged-in users"),
        (as_json({"error": "This action is not allowed"}, 403), "logged-in users"),
        (as_json({"error": "Record not found"}, 404), "There is no @gardener on 127.0.0.1:"),
        (as_json({"error": "Gone"}, 410), "is suspended or has been deleted"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "a Mastodon server?"),
        (as_json("odd"), "a Mastodon server?"),
        (Reply(b"", 502), "it may be down"),
    ],
)
def test_errors_are_explained(server: MastodonServer, at: int, reply: Reply, words: str) -> None:
    server.instead = dict.fromkeys(range(at, 20), reply)
    assert words in _error(server)


def test_unknown_and_empty_accounts(server: MastodonServer) -> None:
    assert "There is no @nobody on" in _error(server, "nobody")
    assert _error(server) == f"@{USER}@{server.host} has no public posts."
    assert server.account is not None
    server.account["suspended"] = True
    assert "is suspended" in _error(server)


def test_a_pause_in_the_middle(server: MastodonServer) -> None:
    server.statuses = [status(number) for number in range(50)][::-1]
    later = {"X-RateLimit-Reset": "2020-01-01T00:00:00.000Z"}
    server.instead = {2: Reply(b"", 429, later), 3: Reply(b"", 503), 4: Reply(b"{", fault="cut")}
    assert len(_posts(server)) == 50
