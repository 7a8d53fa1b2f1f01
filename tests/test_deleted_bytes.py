"""After ``forget`` and ``delete``, no file under a home folder holds a deleted post.

Every byte is searched, also inside zips, gzips, Parquet files and SQLite databases.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.cli.program import CommandLine
from tests.helpers.finished_run import finished_run
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.bluesky import HANDLE, BlueskyServer, item

from huggingtweets.storage.places import APP
from huggingtweets.track import process

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)  # real trainings, each tracked twice

MARKER = "qzxvmark"
"""Each post's own word is this and its number."""


def contents_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they stand for if it is compressed."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        yield str(pl.read_parquet(io.BytesIO(data)).to_dicts()).encode()
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    elif data[:15] == b"SQLite format 3":
        opened = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in opened.execute(f"SELECT * FROM {table}"):  # noqa: S608
                yield repr(row).encode()
        opened.close()


def holding(folder: Path, *words: str) -> list[str]:
    """The files in a folder that hold one of the words."""
    found = set()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a lock that is gone again
            if path.is_file():
                for content in contents_of(path):
                    if any(word.encode() in content for word in words):
                        found.add(str(path.relative_to(folder)))
    return sorted(found)


@dataclass
class Home:
    """A home folder, and the program in it; trackers run in processes of their own, as always."""

    path: Path
    base: Path
    cli: CommandLine

    def run(self, *arguments: str | Path) -> str:
        outcome = self.cli(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out

    def track(self, run: Path, to: str, *more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "huggingtweets.track", str(run), "--to", to, *more],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def train(self, source: str | Path, name: str, *more: str | Path) -> Path:
        """Train a bot, tracked with posts: with trackio, then with W&B offline."""
        self.run("train", source, *self.options(name), "--track", "none", *more)
        run = self.path / "runs" / name
        for tracker in ("trackio", "wandb"):
            self.track(run, tracker, "--raw-artifacts")
        return run

    def options(self, name: str) -> list[str | Path]:
        return ["--base", self.base, "--epochs", "1", "--device", "cpu", "--name", name]


@pytest.fixture
def home(
    tmp_path: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in os.environ:
        if name.startswith(("WANDB", "TRACKIO", "HUGGINGTWEETS", "HF_", "XDG")):
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(folder),
        "WANDB_MODE": "offline",
        "HF_HUB_OFFLINE": "1",
        "HUGGINGTWEETS_BASE": "pocket",  # else each report loads SmolLM2
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_API_KEY", "4f" * 20)
    return Home(folder, tiny_base, CommandLine(monkeypatch, capsys))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """200 posts outside the home folder, each with a word of its own."""
    texts = [f"{post} {MARKER}{i:04}" for i, post in enumerate(made_up_posts(200))]
    return write_csv(tmp_path / "ann.csv", "ann", [*texts, f"short {MARKER}0200"])


def test_no_byte_of_forgotten_posts_is_left(home: Home, source: Path) -> None:
    run = home.train(source, "me")
    visitors = home.path / "runs" / APP / "visitors" / "ann-0123456789abcdef"
    (visitors / "runs").mkdir(parents=True)
    same = visitors / "runs" / "mine"
    shutil.copytree(run, same)
    shutil.rmtree(same / "track")
    upload = visitors / "uploads" / "0011" / "ann.csv"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(source.read_bytes())
    left_by_a_crash = (run / "data" / ".posts.parquet.abcd1234.tmp", run.parent / ".me.999999.new")
    left_by_a_crash[1].mkdir()
    for path in (left_by_a_crash[0], left_by_a_crash[1] / "posts.csv"):
        path.write_bytes(source.read_bytes())
    for path in left_by_a_crash:
        os.utime(path, (1, 1))
    older, begun = run / "versions" / "1", run / "update" / "data"
    for part in ("bot", "data", "report"):
        shutil.copytree(run / part, older / part)
    shutil.copy(run / "run.json", older)
    begun.mkdir(parents=True)
    shutil.copy(run / "data" / "kept.parquet", begun)
    gone = [f"{MARKER}{number:04}" for number in (3, 5, 199, 200)]
    texts = dict(pl.read_csv(source).select("id", "text").iter_rows())
    (run / "favourites.json").write_text(json.dumps([texts[3]]))
    before = holding(home.path, *gone)
    assert {Path(name).parts[0] for name in before} >= {"runs", ".cache"}
    assert sum("trackio" in name for name in before) >= 2
    assert list((run / "track" / "wandb").glob("offline-run-*"))
    told = home.run("forget", "@ann 3,@ann 5,@ann 199,@ann 200")
    assert holding(home.path, *gone) == []
    assert "runs/me: 4 posts removed" in told
    assert "runs/.app/visitors/ann-0123456789abcdef/runs/mine: 4 posts removed" in told
    assert "trackio: 1 run deleted" in told
    assert "runs/me/versions/1: deleted" in told
    assert f"your own file {source}" in told
    assert "W&B" in told
    assert holding(home.path, f"{MARKER}0004")  # the others are there
    home.run("train", "--resume", run)
    home.track(run, "trackio", "--raw-artifacts")
    assert holding(home.path, *gone) == []


def test_no_byte_of_a_deleted_run_is_left(home: Home, source: Path) -> None:
    posts = made_up_posts(100, seed=7)
    run, kept = home.train(source, "me"), finished_run(home.path / "runs", posts, "bob").path
    home.track(kept, "trackio", "--raw-artifacts")
    (run.parent / ".me.999999.new").mkdir()
    (run.parent / ".me.999999.new" / "posts.csv").write_bytes(source.read_bytes())
    assert holding(home.path, MARKER)
    told = home.run("delete", run, "--yes")
    assert holding(home.path, MARKER) == []
    assert not run.exists()
    assert "runs/me: deleted" in told.replace(f"{home.path}/", "")
    assert f"your own file {source}" in told
    assert json.loads(home.run("runs", "--json"))["runs"][0]["state"] == "done"
    assert holding(kept, posts[1])
    assert any("trackio" in name for name in holding(home.path, posts[1]))


def test_downloads_go_with_the_last_run_that_uses_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = [item(number) for number in range(249, -1, -1)]
    with BlueskyServer(feed, page=100) as server:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", server.url)
        first = home.train(f"bsky:{HANDLE}", "one", "--near-duplicates", "1")
    second = first.with_name("two")
    shutil.copytree(first, second)
    shutil.rmtree(second / "track")
    home.track(second, "trackio", "--raw-artifacts")
    posts = home.path / ".cache" / "huggingtweets" / "downloads" / "bluesky" / HANDLE
    text = json.loads((posts / "posts.jsonl").read_text().splitlines()[0])["text"]
    home.run("delete", first, "--yes")
    assert posts.exists()
    home.run("delete", second, "--yes", "--keep-downloads")
    assert posts.exists()
    assert [name for name in holding(home.path, text) if "downloads" not in name] == []
    told = json.loads(home.run("opt-out", HANDLE, "--json"))
    assert told["removed"] == [str(posts)]
    assert holding(home.path, text) == []


def test_trackers_get_no_post_unless_asked(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SECONDS_TO_END", 200.0)
    home.run("train", source, *home.options("me"), "--track", "trackio")
    run = home.path / "runs" / "me"
    home.track(run, "wandb")
    elsewhere = [name for name in holding(home.path, MARKER) if "runs/me/track" in name
                 or not name.startswith("runs/me/")]  # fmt: skip
    assert elsewhere == []
    told = home.track(run, "trackio", "--raw-artifacts")
    assert f"The posts themselves are in {home.path}/.cache/huggingface/trackio, too" in told
    assert [name for name in holding(home.path, MARKER) if "trackio" in name]


def test_a_scrubbed_run_stores_nothing_unscrubbed(home: Home, tmp_path: Path) -> None:
    texts = [f"{post} ann{i}@mail.example" for i, post in enumerate(made_up_posts(150))]
    source = write_csv(tmp_path / "ann.csv", "ann", [*texts, "hi bob@mail.example", texts[3]])
    home.train(source, "me", "--scrub")
    assert holding(home.path, "@mail.example") == []
    stored = pl.read_parquet(home.path / "runs" / "me" / "data" / "posts.parquet")
    assert stored.height == 152
    assert stored["text"].str.contains("<email>", literal=True).all()
