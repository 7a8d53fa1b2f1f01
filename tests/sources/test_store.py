"""Interrupted, repeated and damaged downloads: no page is lost or requested needlessly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.servers.bluesky import HANDLE, BlueskyServer, item

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError, StorageError
from huggingtweets.sources import download, open_source
from huggingtweets.sources.download import fetch
from huggingtweets.sources.store import Page, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty downloads folder."""
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    return tmp_path / "downloads"


def _post(number: int, text: str = "") -> Post:
    return Post(
        author="ann",
        id=str(number),
        text=text or f"post {number}",
        created_at=START + timedelta(days=number),
        source="fake",
    )


@dataclass
class FakeAccount:
    """An account with posts 0, 1, 2...; the cursor is the oldest post so far."""

    n: int
    handle: str = "ann"
    name: str = "fake"
    size: int = 10
    breaks_at: int | None = None
    error: type[BaseException] = SourceError
    asked: list[str | None] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        while True:
            self.asked.append(cursor)
            if self.breaks_at is not None and len(self.asked) > self.breaks_at:
                raise self.error("The server is gone.")
            top = self.n if cursor is None else int(cursor)
            shown = range(top - 1, max(-1, top - 1 - self.size), -1)
            posts = [_post(number, self.texts.get(number, "")) for number in shown]
            cursor = str(shown[-1]) if shown and shown[-1] > 0 else None
            yield Page(posts, cursor)
            if cursor is None:
                return


def _ids(store: Store) -> list[int]:
    return [int(post.id) for post in store.posts()]


def _on_disk(account: FakeAccount) -> int:
    return len(Store.of(account).posts_file.read_text().splitlines())


def test_all_pages_newest_first(downloads: Path) -> None:
    account = FakeAccount(35)
    events: list[Event] = []
    store = fetch(account, listen=events.append)
    assert _ids(store) == list(range(34, -1, -1))
    assert account.asked == [None, "25", "15", "5"]
    assert [event.done for event in events] == [10, 20, 30, 35]
    assert events[1].message == "page 2: 10 posts, back to 2024-01-16"
    assert store.path == downloads / "fake" / "ann"
    for folder in (store.path, store.path.parent, downloads):
        assert folder.stat().st_mode & 0o777 == 0o700
    state = json.loads(store.state_file.read_text())
    assert state["complete"] is True
    assert state["newest_id"] == "34"
    assert state["newest_time"] == "2024-02-04T00:00:00+00:00"


def test_the_file_is_a_source_too() -> None:
    store = fetch(FakeAccount(5))
    assert [post.text for post in open_source(store.posts_file).posts()][:2] == ["post 4", "post 3"]


def test_an_interrupted_download_resumes_at_the_interrupted_page() -> None:
    account = FakeAccount(50, breaks_at=2)
    with pytest.raises(SourceError, match=r"gone. The 20 posts downloaded so far are in /"):
        fetch(account)
    assert _on_disk(account) == 20
    account.breaks_at = None
    assert _ids(fetch(account)) == list(range(49, -1, -1))
    assert account.asked == [None, "40", "30", "30", "20", "10"]
    assert _on_disk(account) == 50


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_any_interruption_can_be_resumed(error: type[BaseException]) -> None:
    account = FakeAccount(50, breaks_at=3, error=error)
    with pytest.raises(error):
        fetch(account)
    account.breaks_at = None
    assert len(fetch(account)) == 50
    assert account.asked.count("20") == 2
    assert len(account.asked) == 6


def test_an_update_requests_only_new_posts() -> None:
    account = FakeAccount(50)
    fetch(account)
    account.asked.clear()
    account.n = 63
    assert _ids(fetch(account)) == list(range(62, -1, -1))
    assert account.asked == [None, "53"]
    account.asked.clear()
    assert len(fetch(account)) == 63
    assert account.asked == [None]
    assert _on_disk(account) == 63


def test_an_interrupted_update_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    account = FakeAccount(50)
    fetch(account)
    account.asked.clear()
    account.n, account.breaks_at = 95, 2
    with pytest.raises(SourceError):
        fetch(account)
    account.breaks_at = None
    assert _ids(fetch(account)) == list(range(94, -1, -1))
    assert account.asked == [None, "85", "75", "75", "65", "55"]
    account.asked.clear()
    monkeypatch.setattr(download, "_FRESH", -1.0)
    fetch(account)
    assert account.asked == [None]


def test_a_download_resumed_days_later_also_reads_new_posts() -> None:
    account = FakeAccount(50, breaks_at=2)
    with pytest.raises(SourceError):
        fetch(account)
    account.breaks_at, account.n = None, 52
    state = Store.of(account).state_file
    state.write_text(json.dumps(json.loads(state.read_text()) | {"top_read_at": 1.0}))
    assert _ids(fetch(account)) == list(range(51, -1, -1))
    assert account.asked == [None, "40", "30", None, "30", "20", "10"]


@pytest.mark.parametrize("by", ["limit", "since"])
def test_only_the_newest_are_wanted(by: str) -> None:
    account = FakeAccount(100)
    wanted = {"limit": 15} if by == "limit" else {"since": START + timedelta(days=85)}
    assert len(fetch(account, **wanted)) == 20
    assert account.asked == [None, "90"]
    assert len(fetch(account, **wanted)) == 20
    assert account.asked == [None, "90", None]
    assert _ids(fetch(account)) == list(range(99, -1, -1))
    assert account.asked[3:] == [None, *(str(n) for n in range(80, 0, -10))]


@pytest.mark.parametrize("by", ["limit", "since"])
def test_only_the_newest_of_what_is_new_are_wanted(by: str) -> None:
    account = FakeAccount(30)
    fetch(account)
    account.n = 100
    account.asked.clear()
    wanted = {"limit": 15} if by == "limit" else {"since": START + timedelta(days=85)}
    assert _ids(fetch(account, **wanted))[:20] == list(range(99, 79, -1))
    assert account.asked == [None, "90"]
    assert _ids(fetch(account)) == list(range(99, -1, -1))
    assert _on_disk(account) == 100


def test_an_edited_post_is_kept_once_with_its_newest_text() -> None:
    account = FakeAccount(15)
    fetch(account)
    account.texts, account.n = {12: "edited", 2: "not seen, as it is old"}, 16
    store = fetch(account)
    assert len(store) == 16
    texts = {post.id: post.text for post in store.posts()}
    assert texts["12"] == "edited"
    assert texts["2"] == "post 2"
    assert {p.id: p.text for p in fetch(account).posts()} == texts
    assert _on_disk(account) == 17


def test_a_line_cut_by_a_crash_is_dropped() -> None:
    account = FakeAccount(25)
    store = fetch(account)
    whole = store.posts_file.read_bytes()
    store.state_file.unlink()
    store.posts_file.write_bytes(whole[:-30])
    assert _ids(fetch(account)) == list(range(24, -1, -1))
    assert store.posts_file.read_bytes() == whole
    store.posts_file.write_bytes(whole + b"\0" * 100 + b'\n{"id": 3}\n[]\n"x"\n{"id"')
    assert len(fetch(account)) == 25


@pytest.mark.parametrize("state", ["", "{", "[]", '{"format": 99}', '{"cursor": 1}'])
def test_a_state_that_cannot_be_read(state: str) -> None:
    account = FakeAccount(25)
    store = fetch(account)
    store.state_file.write_text(state)
    assert len(fetch(account)) == 25
    assert _on_disk(account) == 25


def test_a_second_process_is_refused() -> None:
    account = FakeAccount(5)
    with (
        Store.of(account).locked(),
        pytest.raises(StorageError, match="in use by another download"),
    ):
        fetch(account)


def test_all_posts_get_the_current_author_name() -> None:
    account = FakeAccount(5)
    fetch(account)
    renamed = [replace(_post(9), author="anna")]
    store = Store.of(account)
    with store.locked():
        store.add(renamed)
    assert {post.author for post in store.posts()} == {"anna"}


def test_a_server_that_sends_the_same_page_again_and_again() -> None:
    class Stuck(FakeAccount):
        def pages(self, cursor: str | None) -> Iterator[Page]:
            del cursor
            while True:
                yield Page([_post(1)], "same")

    with pytest.raises(SourceError, match="keeps sending the same page of ann"):
        fetch(Stuck(1))


@pytest.mark.parametrize("handle", ["../../x", "a/b", ".", "..", "", "a" * 500, "did:plc:x", "é"])
def test_names_stay_inside_the_folder(handle: str, downloads: Path) -> None:
    folder = Store.of(FakeAccount(1, handle=handle)).path
    assert folder.parent == downloads / "fake"
    assert folder.name not in ("", ".", "..")
    assert len(folder.name) <= 200


def test_a_killed_process_resumes(downloads: Path) -> None:
    feed = [item(number) for number in range(59, -1, -1)]
    code = (
        "from huggingtweets.sources.accounts import open_account\n"
        f"list(open_account('bsky:{HANDLE}').posts())"
    )
    with BlueskyServer(feed, page=10) as server:
        environment = os.environ | {
            "HUGGINGTWEETS_BSKY_APPVIEW": server.url,
            "HUGGINGTWEETS_DOWNLOADS": str(downloads),
        }
        process = subprocess.Popen([sys.executable, "-c", code], env=environment)

        def kill(number: int) -> None:
            if number == 3:
                process.send_signal(signal.SIGKILL)
                process.wait()

        server.before = kill
        assert process.wait(timeout=200) == -signal.SIGKILL
        assert len((downloads / "bluesky" / HANDLE / "posts.jsonl").read_bytes().splitlines()) == 30
        server.before = lambda _number: None
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=200)
        assert time.monotonic() - started < 60
    cursors = [query.get("cursor") for _, query in server.asked]
    assert cursors == [None, "k00050", "k00040", "k00030", "k00030", "k00020", "k00010"]
    lines = (downloads / "bluesky" / HANDLE / "posts.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 60
