"""``huggingtweets download`` on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.cli.program import PROGRAM
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.bluesky import HANDLE, BlueskyServer, car_of, item, record, repost
from tests.servers.local import Reply, as_json
from tests.servers.mastodon import USER, MastodonServer, status

from huggingtweets.data.posts import SCHEMA
from huggingtweets.sources import http, read_posts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.program import CommandLine, Process


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlueskyServer]:
    """An account of 25 posts and a repost, ten per page."""
    feed = [repost(25), *(item(number) for number in range(24, -1, -1))]
    with BlueskyServer(feed, page=10) as running:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", running.url)
        monkeypatch.setenv("HUGGINGTWEETS_PLC", running.url)
        monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(here / "downloads"))
        monkeypatch.setattr(http, "sleep", lambda _seconds: None)
        yield running


@pytest.mark.usefixtures("server")
def test_pages_are_shown_and_posts_are_stored(cli: CommandLine) -> None:
    outcome = cli("download", f"bsky:{HANDLE}")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "page 1: 10 posts, back to 2024-03-01, 10 posts in all"
    assert lines[2] == "page 3: 6 posts, back to 2024-03-01, 26 posts in all"
    assert lines[3] == "26 posts · 25 original · 1 repost"
    kept = Path("downloads/bluesky", HANDLE, "posts.jsonl").absolute()
    assert f"The posts are in {kept}" in "".join(lines)
    assert f"train bsky:{HANDLE}" in outcome.out
    again = cli("download", f"bsky:{HANDLE}")
    assert again.out.splitlines()[0] == lines[0].replace("10 posts in all", "26 posts in all")
    assert "page 2" not in again.out


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_out_writes_each_format(cli: CommandLine, server: BlueskyServer, ending: str) -> None:
    server.feed.insert(0, item(26, 'He said "so, é 🎈"\nand left'))
    out = Path(f"new/posts.{ending}")
    outcome = cli("download", f"bsky:{HANDLE}", "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"The posts are in {out}" in outcome.out
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    table = read_posts([out])
    assert table.schema == SCHEMA
    direct = read_posts([f"bsky:{HANDLE}"])
    assert table.drop("source").equals(direct.drop("source"))
    assert table.height == 27


def test_limit_and_since(cli: CommandLine, server: BlueskyServer) -> None:
    def count(*options: str) -> int:
        outcome = cli("download", f"bsky:{HANDLE}", *options, "--json")
        assert outcome.code == 0, outcome.err
        value = json.loads(outcome.out)
        assert value.keys() == {"source", "posts", "kinds", "authors", "oldest", "newest", "out"}
        return int(value["posts"])

    assert count("--limit", "7") == 7
    assert len(server.asked) == 1
    assert count("--since", "2024-03-01T00:20:00") == 6
    assert count() == 26
    for bad in ("--limit=0", "--since=yesterday", "--out=posts.txt"):
        assert cli("download", f"bsky:{HANDLE}", bad).refused(bad.split("=")[0])
    assert cli("download", f"bsky:{HANDLE}", "--since", "2030-01-01").refused("since 2030-01-01")


def test_pause_shows_a_countdown(cli: CommandLine, server: BlueskyServer) -> None:
    server.instead = {1: Reply(b"", 429, {"Retry-After": "75"})}
    outcome = cli("download", f"bsky:{HANDLE}", "--json")
    assert outcome.err.count("127.0.0.1: waiting (rate limit): 1:15 left\n") == 1
    assert outcome.err.count("rate limit") == 1
    assert json.loads(outcome.out)["posts"] == 26


def test_broken_download_reports_stored_posts(cli: CommandLine, server: BlueskyServer) -> None:
    server.instead = dict.fromkeys(range(2, 9), as_json({}, 500))
    assert cli("download", f"bsky:{HANDLE}").refused("it may be down", "20 posts downloaded so far")
    server.instead = {}
    assert "page 1: 6 posts" in cli("download", f"bsky:{HANDLE}").out


def test_full_reads_the_repository(cli: CommandLine, server: BlueskyServer) -> None:
    server.car = car_of({f"app.bsky.feed.post/k{n}": record(f"post {n}", n) for n in range(9)})
    outcome = cli("download", f"bsky:{HANDLE}", "--full", "--json")
    assert json.loads(outcome.out)["posts"] == 9


def test_mastodon(cli: CommandLine, server: BlueskyServer) -> None:
    del server
    with MastodonServer([status(2), status(1)]) as mastodon:
        assert mastodon.account is not None
        mastodon.account["indexable"] = False
        spec = f"mastodon:@{USER}@{mastodon.host}"
        assert cli("download", spec).refused("asks not to be indexed", "--i-am-the-author")
        outcome = cli("download", spec, "--i-am-the-author", "--out", "p.csv")
        assert outcome.code == 0, outcome.err
        assert "2 posts · 2 original" in outcome.out
        assert cli("download", spec, "--full").refused("--full is for accounts on Bluesky")


def test_files_are_converted(cli: CommandLine) -> None:
    posts = made_up_posts(30)
    write_csv(Path("me.csv"), "me", posts)
    outcome = cli("download", "me.csv", "--out", "me.parquet")
    assert outcome.code == 0, outcome.err
    assert pl.read_parquet("me.parquet")["text"].to_list() == posts
    outcome = cli(
        "download", "me.csv", "--out", "me.jsonl", "--limit", "4", "--since", "2024-01-02"
    )
    assert [row["text"] for row in read_posts(["me.jsonl"]).to_dicts()] == posts[-4:]
    assert "--out FILE" in cli("download", "me.csv").out
    assert cli("download", "me.csv", "--full").refused("--full is for accounts on Bluesky")
    assert cli("download", "nothing.csv").refused("no file or folder nothing.csv")


def test_full_disk_keeps_the_old_file(cli: CommandLine) -> None:
    write_csv(Path("me.csv"), "me", made_up_posts(3))
    Path("folder").write_text("a file")
    assert cli("download", "me.csv", "--out", "folder/me.csv").refused("Can't write folder/me.csv")


def test_ctrl_c_keeps_downloaded_posts(
    server: BlueskyServer, plain_environment: dict[str, str], process: Process, here: Path
) -> None:
    environment = {
        "HUGGINGTWEETS_BSKY_APPVIEW": server.url,
        "HUGGINGTWEETS_DOWNLOADS": str(here / "downloads"),
    }
    server.instead = {2: Reply(b"x", fault="mute")}
    running = subprocess.Popen(
        [*PROGRAM, "download", f"bsky:{HANDLE}"],
        env=plain_environment | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.before = lambda number: running.send_signal(signal.SIGINT) if number == 2 else None
    out, err = running.communicate(timeout=200)
    assert running.returncode == 130, err
    assert out.count(b"page ") == 2
    assert b"Stopped. 20 posts are kept. Run the same command to continue." in err
    server.instead = {}
    outcome = process("download", f"bsky:{HANDLE}", "--json", **environment)
    assert json.loads(outcome.out)["posts"] == 26
    assert [query.get("cursor") for _, query in server.asked] == [
        *(None, "k00016", "k00006", "k00006"),
    ]
