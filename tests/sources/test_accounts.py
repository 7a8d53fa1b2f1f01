"""Parsing specs as accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.bluesky import HANDLE, BlueskyServer, item

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts
from huggingtweets.sources.accounts import open_account
from huggingtweets.sources.bluesky import Bluesky
from huggingtweets.sources.mastodon import Mastodon
from huggingtweets.sources.x_api import XAccount

if TYPE_CHECKING:
    from pathlib import Path

DID = "did:plc:abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("spec", "handle"),
    [
        ("bsky:name.bsky.social", "name.bsky.social"),
        ("bsky:@Name.Example", "name.example"),
        ("bluesky:name.example", "name.example"),
        ("BSKY:name.example", "name.example"),
        (f"bsky:{DID}", DID),
        (DID, DID),
        ("bsky:did:web:name.example", "did:web:name.example"),
        ("https://bsky.app/profile/name.example", "name.example"),
        (f"https://bsky.app/profile/{DID}/post/3k?x=1", DID),
        ("mastodon:@name@server.example", "name@server.example"),
        ("mastodon:name@server.example", "name@server.example"),
        ("mastodon:@name@localhost:3000", "name@localhost:3000"),
        ("https://Server.example/@na_me", "na_me@server.example"),
        ("https://server.example/@name/109?x#y", "name@server.example"),
        ("https://server.example/@name@home.example", "name@home.example"),
        ("x:@na_me", "na_me"),
        ("x:NASA", "NASA"),
        ("Twitter:@name", "name"),
        ("https://x.com/name", "name"),
        ("https://www.x.com/@name?s=20", "name"),
        ("https://twitter.com/name/", "name"),
        ("https://mobile.twitter.com/name/status/1", "name"),
    ],
)
def test_accounts(spec: str, handle: str) -> None:
    found = open_account(spec)
    assert found is not None
    dotted = Bluesky if "." in handle or ":" in handle else XAccount
    assert isinstance(found.account, Mastodon if "@" in handle else dotted)
    assert found.account.handle == handle


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bsky:name", "try bsky:name.bsky.social"),
        ("bsky:", "is not a Bluesky handle"),
        ("bsky:a b.example", "is not a Bluesky handle"),
        ("bsky:../x.example", "is not a Bluesky handle"),
        ("did:key:abc", "is not a Bluesky handle"),
        ("mastodon:name", "is not a Mastodon account like mastodon:@name@mastodon.social"),
        ("mastodon:@name@", "is not a Mastodon account"),
        ("mastodon:@na/me@server.example", "is not a Mastodon account"),
        ("mastodon:@name@server.example/x", "is not a Mastodon account"),
        ("mastodon:@name@server", "is not a Mastodon account"),
        ("x:", "is not a handle on X; give one like x:@name"),
        ("x:@na/me", "is not a handle on X"),
        ("twitter:name.bsky.social", "is not a handle on X"),
        ("https://x.com", "is not a handle on X"),
        ("https://x.com/a-b", "is not a handle on X"),
        ("x:a_handle_that_is_too_long", "is not a handle on X"),
    ],
)
def test_invalid_accounts(spec: str, words: str) -> None:
    with pytest.raises(SourceError, match=words.replace(".", r"\.")):
        open_account(spec)


@pytest.mark.parametrize(
    "spec", ["posts.csv", "@nasa", "nasa", "https://example.org/x", "", "C:\\posts.csv", "a/b@c"]
)
def test_other_specs_are_not_accounts(spec: str) -> None:
    assert open_account(spec) is None


def test_only_bluesky_has_whole_repositories() -> None:
    with pytest.raises(SourceError, match="--full is for accounts on Bluesky"):
        open_account("mastodon:@name@server.example", ReadOptions(full=True))


def test_an_account_is_a_source_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me.txt").write_text("one line\n")
    with BlueskyServer([item(number) for number in range(9, -1, -1)]) as server:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", server.url)
        table = read_posts([f"bsky:{HANDLE}", "me.txt", f"https://bsky.app/profile/{HANDLE}"])
        assert table["author"].to_list() == [HANDLE] * 10 + ["me"]
        named = open_source(f"bsky:{HANDLE}", ReadOptions(author="@somebody"))
        assert {post.author for post in named.posts()} == {"somebody"}
        asked = len(server.asked)
        (tmp_path / f"bsky:{HANDLE}").mkdir()
        with pytest.raises(SourceError, match=r"holds no data/tweets\.js"):
            read_posts([f"bsky:{HANDLE}"])
        assert len(server.asked) == asked
