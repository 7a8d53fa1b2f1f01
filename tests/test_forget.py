"""Deleted posts are removed from sources, runs and downloads, and their bots are out of date."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.cli.program import CommandLine
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.bluesky import HANDLE, BlueskyServer, item

from huggingtweets import deletion, pipeline, track
from huggingtweets.cli.console import ConsoleOutput
from huggingtweets.errors import HuggingTweetsError, InsufficientTextError
from huggingtweets.events import Event
from huggingtweets.generation import bots
from huggingtweets.pipeline import TrainOptions, preparing
from huggingtweets.privacy import deleted_posts
from huggingtweets.sources import open_source, read_posts
from huggingtweets.sources.store import Store
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X = "1234567890123456789"
LEARNT = frozenset({"@ann 3", "@ann 5"})
JUDGED = "@ann 199"


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path) -> Iterator[Path]:
    """An account of 25 posts, downloaded."""
    assert not config.exists()
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    feed = [item(number) for number in range(24, -1, -1)]
    with BlueskyServer(feed, page=10) as server:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", server.url)
        assert len(list(open_source(f"bsky:{HANDLE}").posts())) == 25
        yield tmp_path / "downloads" / "bluesky" / HANDLE


def test_deleted_posts_leave_downloads_and_stay_away(downloaded: Path) -> None:
    old, new = "k00003", "k00024"
    texts = {post.id: post.text for post in open_source(f"bsky:{HANDLE}").posts()}
    gone = [text for name, text in texts.items() if name.endswith((old, new))]
    done = deletion.forget(frozenset({old, new}), [])
    assert done.downloads == {downloaded: 2}
    kept = (downloaded / "posts.jsonl").read_text()
    assert not any(text in kept for text in gone)
    assert deleted_posts.remembered() == {name for name in texts if name.endswith((old, new))}
    for _ in range(2):
        assert len(list(open_source(f"bsky:{HANDLE}").posts())) == 23
        assert len(read_posts([downloaded / "posts.jsonl"])) == 23
    shutil.rmtree(downloaded)
    assert len(list(open_source(f"bsky:{HANDLE}").posts())) == 23
    kept = (downloaded / "posts.jsonl").read_text()
    assert not any(text in kept for text in gone)
    assert deletion.forget(frozenset({old, new}), []).downloads == {}


def test_a_run_that_is_being_tracked_is_skipped(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "_SECONDS_TO_TRACK", 0.1)
    folder = track.folder(done)
    folder.mkdir()
    with files.file_lock(folder):
        found = deletion.forget(LEARNT, [done])
    assert found.runs == {}
    assert ["is being tracked by another process" in skipped for skipped in found.skipped] == [True]
    assert made_up_posts(200)[3] in done.table("posts")["text"].to_list()


def test_active_download_is_skipped(downloaded: Path) -> None:
    with Store(downloaded).locked():
        done = deletion.forget(frozenset({"k00003"}), [])
    assert done.downloads == {}
    assert [sentence.startswith(str(downloaded)) for sentence in done.skipped] == [True]


# -- runs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of 200 posts by ann and some dropped posts; don't change it."""
    folder = tmp_path_factory.mktemp("made")
    path = write_csv(folder / "ann.csv", "ann", [*made_up_posts(200), "too short"])
    return pipeline.train(
        path, TrainOptions(base=str(tiny_base), name="me", out=folder, seed=1, device="cpu")
    )


@pytest.fixture
def done(made: RunFolder, tmp_path: Path, config: Path) -> RunFolder:
    """A copy of the run, with its own list of deleted posts."""
    assert not config.exists()
    shutil.copytree(made.path, tmp_path / "runs" / "me")
    return RunFolder(tmp_path / "runs" / "me")


def _quote(run: RunFolder, text: str) -> None:
    """Make the bot repeat a post."""
    report = json.loads(run.report_json.read_text())
    report["longest_copied_run"] |= {"text": text, "source_text": text}
    run.report_json.write_text(json.dumps(report))
    written = json.loads(run.generations_file.read_text())
    run.generations_file.write_text(json.dumps([text, *written[1:]]))
    run.favourites_file.write_text(json.dumps(["new", text]))
    run.report_page.write_text(f"<p>{text}</p>")
    sample = {"prompt": "", "post": text, "novelty": 0.0, "copied": True}
    run.append_event({"stage": "train", "samples": [sample, sample | {"post": "new"}]})


def _holding(folder: Path, text: str) -> list[str]:
    """Return the files in a folder that contain a text, including tables."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path)["text"].to_list())
        else:
            content = path.read_text("utf-8", errors="replace") if path.is_file() else ""
        if text in content:
            found.append(path.name)
    return sorted(found)


def test_deleted_posts_leave_a_run_and_mark_its_bot(done: RunFolder) -> None:
    texts = made_up_posts(200)
    _quote(done, texts[3])
    assert len(_holding(done.path, texts[3])) >= 7
    before = done.record()
    found = deletion.forget(LEARNT | {JUDGED, "@ann 200", "@ann 999"}, [done])
    assert (found.runs, found.skipped, found.nowhere) == ({done.path: 4}, [], [])
    for text in (texts[3], texts[5], texts[199], "too short"):
        assert _holding(done.path, text) == []
    assert done.table("posts").height == 197
    assert done.table("dropped").height == 0
    record = done.record()
    assert record.counts == {
        **before.counts,
        "downloaded": 197,
        "short": 0,
        "kept": 197,
    }
    assert record.counts_by_author["ann"] == record.counts
    assert (record.forgotten, record.state) == (3, "done")
    assert record.forgotten_at is not None
    assert done.staleness_warning() == (
        "out of date: 3 posts were deleted by their author since; train it again"
    )
    assert "Out of date: 3 more posts" in (done.bot / "README.md").read_text()
    generations = json.loads(done.generations_file.read_text())
    assert "deleted by its author" in done.report_json.read_text()
    word = max(re.findall(r"\w+", generations[0]), key=len)
    assert word in done.report_page.read_text()
    assert done.events()[-1]["samples"][1]["post"] == "new"
    assert json.loads(done.favourites_file.read_text()) == ["new"]
    bot = bots.open_bot(done.path)
    assert bot.warning == done.staleness_warning()
    assert bot.index is not None
    assert not set(bot.index.posts) & {texts[3], texts[5]}
    assert len(list(bot.generate(n=1, seed=1))) == 1


@pytest.mark.parametrize("ids", ["@ann 3,@ann 5", "@ann 200"], ids=["learnt", "only dropped"])
def test_tracker_is_named_and_gets_no_more_posts(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ids: str
) -> None:
    unsent = done.path / "track" / "wandb" / "offline-run-1"
    unsent.mkdir(parents=True)
    (unsent / "run.wandb").write_text(made_up_posts(200)[3])
    told = {"id": "1", "to": "wandb", "message": "send it: wandb sync there"}
    (done.path / "track" / "track.json").write_text(json.dumps(told))
    outcome = CommandLine(monkeypatch, capsys)("forget", ids, done.path)
    assert outcome.code == 0
    assert "was tracked with wandb; what was logged there stays" in outcome.out
    assert not unsent.exists()
    assert json.loads((done.path / "track" / "track.json").read_text()) == told | {"message": ""}


def test_second_deletion_changes_nothing(done: RunFolder) -> None:
    deletion.forget(LEARNT, [done])
    before = {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()}
    assert deletion.forget(LEARNT, [done]).runs == {}
    assert {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()} == before


def test_dropped_post_does_not_affect_the_bot(done: RunFolder) -> None:
    assert deletion.forget(frozenset({"@ann 200"}), [done]).runs == {done.path: 1}
    assert done.record().forgotten == 0
    assert done.staleness_warning() is None
    assert "Out of date" not in (done.bot / "README.md").read_text()


def test_short_ids_are_remembered_with_their_author(done: RunFolder) -> None:
    found = deletion.forget(frozenset({"3", "7777", X}), [done])
    assert found.runs == {done.path: 1}
    assert found.nowhere == ["7777"]
    assert deleted_posts.remembered() == {"@ann 3", X}


@pytest.mark.parametrize("writes", range(0, 22, 3))
def test_interrupted_deletion_can_be_completed(
    done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    whole = RunFolder(tmp_path / "runs" / "whole")
    shutil.copytree(done.path, whole.path)
    for run in (whole, done):
        _quote(run, made_up_posts(200)[3])
    ids = LEARNT | {JUDGED, "@ann 200"}
    deletion.forget(ids, [whole])
    left = [writes]
    real = files.sync

    def stopping(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(path)

    deleted_posts.deleted_posts_file().unlink()
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", stopping)
        with pytest.raises(KeyboardInterrupt):
            deletion.forget(ids, [done])
    assert not list(tmp_path.rglob("*.tmp"))
    done.table("kept")
    deletion.forget(ids, [done])
    again, once = done.record(), whole.record()
    assert replace(again, forgotten_at=None) == replace(once, forgotten_at=None)
    assert deleted_posts.remembered() >= ids
    for name in ("posts", "kept", "dropped"):
        assert done.table(name).equals(whole.table(name))
    for part in ("report/likeness.json", "report/generations.json", "bot/README.md"):
        assert (done.path / part).read_bytes() == (whole.path / part).read_bytes()


def test_only_runs_in_use_are_skipped(done: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "runs" / "other")
    shutil.copytree(done.path, other.path)
    damaged = RunFolder(tmp_path / "runs" / "damaged")
    shutil.copytree(done.path, damaged.path)
    (damaged.path / "data" / "kept.parquet").write_bytes(b"PAR1")
    with done.locked():
        found = deletion.forget(LEARNT, [damaged, done, other])
    assert found.runs == {other.path: 2}
    assert [sentence.split(" is ")[1] for sentence in found.skipped] == [
        "missing or damaged. Train the bot again.",
        "in use by another process.",
    ]
    assert done.table("kept").height == 200


def test_run_without_report_has_no_quotes_left(done: RunFolder) -> None:
    done.report_json.write_text("{")
    deletion.forget(LEARNT, [done])
    assert not done.report_page.exists()
    assert done.record().forgotten == 2


def test_page_without_held_out_posts_is_removed(done: RunFolder) -> None:
    held_out = done.table("kept").filter(pl.col("split") == "held_out")["id"]
    deletion.forget(frozenset(f"@ann {name}" for name in held_out), [done])
    assert not done.report_page.exists()
    with pytest.raises(
        HuggingTweetsError, match=r"All held-out posts of .* were deleted.*--resume"
    ):
        pipeline.evaluate(done)


# -- training again --------------------------------------------------------------------------------


def _kept(run: RunFolder) -> dict[str, int]:
    return dict(run.table("kept")["split"].value_counts().iter_rows())


def test_outdated_bot_is_trained_on_the_posts_left(done: RunFolder) -> None:
    held_out = done.table("kept").filter(pl.col("split") == "held_out")["id"]
    weights = (done.bot / "model.safetensors").read_bytes()
    deletion.forget(frozenset(f"@ann {name}" for name in held_out), [done])
    pipeline.resume(done.path)
    record = done.record()
    assert (record.state, record.forgotten, record.forgotten_at) == ("done", 0, None)
    assert _kept(done) == {"train": 162, "held_out": 18}
    assert done.staleness_warning() is None
    assert "Out of date" not in (done.bot / "README.md").read_text()
    assert (done.bot / "model.safetensors").read_bytes() != weights
    with pytest.raises(HuggingTweetsError, match="nothing to resume"):
        pipeline.resume(done.path)


def test_too_little_text_left_keeps_the_bot(done: RunFolder) -> None:
    deletion.forget(frozenset(f"@ann {number}" for number in range(170)), [done])
    with pytest.raises(InsufficientTextError, match="at least 6,000 are needed"):
        pipeline.resume(done.path)
    assert done.record().state == "done"
    assert bots.open_bot(done.path).warning


@pytest.fixture
def halfway(made: RunFolder, tmp_path: Path, config: Path) -> RunFolder:
    """A run interrupted while training, with a checkpoint."""
    assert not config.exists()
    interrupt = Interrupt()
    interrupt.requested = True
    config_of_made: dict[str, Any] = made.record().config
    options = TrainOptions(base=config_of_made["base"], name="half", out=tmp_path, device="cpu")
    with pytest.raises(HuggingTweetsError, match="Stopped"):
        pipeline.train(config_of_made["sources"], options, interrupt=interrupt)
    return RunFolder(tmp_path / "half")


def test_checkpoint_trained_on_deleted_posts_is_removed(halfway: RunFolder) -> None:
    assert halfway.checkpoint_file.exists()
    deletion.forget(LEARNT, [halfway])
    assert not halfway.checkpoint_file.exists()
    assert halfway.display_state() == "interrupted (prepared)"
    assert halfway.staleness_warning() is None  # there is no bot yet
    told: list[Event] = []
    pipeline.resume(halfway.path, told.append)
    assert min(event.done for event in told if event.stage == "train") <= 1
    assert halfway.record().state == "done"
    assert halfway.record().forgotten == 0
    assert sum(_kept(halfway).values()) == 198


def test_retraining_can_be_interrupted_and_resumed(done: RunFolder) -> None:
    deletion.forget(LEARNT, [done])
    interrupt = Interrupt()
    interrupt.requested = True
    with pytest.raises(HuggingTweetsError, match="Stopped"):
        pipeline.resume(done.path, interrupt=interrupt)
    assert done.checkpoint_file.exists()
    assert done.staleness_warning()  # the old bot still exists
    told: list[Event] = []
    pipeline.resume(done.path, told.append)
    assert min(event.done for event in told if event.stage == "train") >= 1  # not from the start
    assert done.staleness_warning() is None


def test_training_leaves_posts_out(tiny_base: Path, tmp_path: Path, config: Path) -> None:
    path = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(150))
    ids = frozenset({"@ann 3", "4"})
    options = TrainOptions(base=str(tiny_base), name="me", out=tmp_path, forget=ids)
    run = preparing.read_and_prepare([path], options, lambda _event: None)
    assert run.record().counts["downloaded"] == 148
    assert run.record().config["forget"] == 2
    assert not {"3", "4"} & set(run.table("posts")["id"])
    assert not config.exists()


def test_number_of_deleted_posts_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (0, 1, 1234):
        ConsoleOutput()(Event(stage="forget", done=number))
    assert capsys.readouterr().out.splitlines() == [
        "0 deleted posts left out",
        "1 deleted post left out",
        "1,234 deleted posts left out",
    ]
