"""A bot learns its author's new posts, the better bot stays, and nothing is half-done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.cli.program import PROGRAM, CommandLine, contents
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.hub import HubServer

from huggingtweets import deletion, pipeline
from huggingtweets.errors import HuggingTweetsError, InputError, StorageError
from huggingtweets.generation import bots
from huggingtweets.pipeline import TrainOptions
from huggingtweets.privacy import opt_out
from huggingtweets.publish import hub
from huggingtweets.storage import places
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.track.lineage import Lineage
from huggingtweets.updating import history, service
from huggingtweets.updating.options import UpdateOptions
from huggingtweets.updating.update import update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.events import Event

POSTS = made_up_posts(280)
OLD = 200


@pytest.fixture(scope="module")
def made(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ann's first posts, ``ann.csv``, and their bot, ``runs/me``."""
    folder = tmp_path_factory.mktemp("made")
    source = write_csv(folder / "ann.csv", "ann", POSTS[:OLD])
    options = TrainOptions(
        base=str(tiny_base), name="me", out=folder / "runs", seed=1, device="cpu", track="none"
    )
    pipeline.train(source, options)
    return folder


@pytest.fixture(scope="module")
def grown(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it whose bot was updated after ann wrote 60 more posts."""
    folder = copied(made, tmp_path_factory.mktemp("grown"))
    write_csv(folder / "ann.csv", "ann", POSTS[:260])
    result = update(folder / "runs" / "me")
    assert result.better
    assert (result.version, result.before, result.new_posts) == (2, 1, 60)
    return folder


def copied(folder: Path, to: Path) -> Path:
    """Copy a folder; the run's source is the copied file."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    run = RunFolder(to / "runs" / "me")
    record = run.record()
    record.config["sources"] = [str(to / "ann.csv")]
    run.save(record)
    return to


@pytest.fixture
def run(made: Path, tmp_path: Path, config: Path) -> RunFolder:
    """The bot at version 1, with an opt-out list and a list of deleted posts of its own."""
    assert not config.exists()
    return RunFolder(copied(made, tmp_path / "copy") / "runs" / "me")


@pytest.fixture
def updated(grown: Path, tmp_path: Path, config: Path) -> RunFolder:
    """The bot at version 2."""
    assert not config.exists()
    return RunFolder(copied(grown, tmp_path / "copy") / "runs" / "me")


def source_of(run: RunFolder) -> Path:
    return Path(run.record().config["sources"][0])


def stored(run: RunFolder) -> dict[str, bytes]:
    return {name: data for name, data in contents(run.path).items() if name != ".lock"}


def unchanged(run: RunFolder, before: dict[str, bytes]) -> bool:
    return stored(run) == before


# -- a better bot ----------------------------------------------------------------------------------


def test_an_update_learns_the_new_posts_and_keeps_the_older_version(
    updated: RunFolder, made: Path
) -> None:
    record, older = updated.record(), updated.versions()[1]
    assert (record.version, record.state, record.counts["kept"]) == (2, "done", 260)
    assert record.update["new"] < record.update["old"]
    assert (record.update["from_version"], record.update["new_posts"]) == (1, 60)
    before = contents(made / "runs" / "me")
    kept = contents(older.path)
    for part in ("bot", "report", "data"):
        same = {name: data for name, data in before.items() if name.startswith(part)}
        assert {name: data for name, data in kept.items() if name.startswith(part)} == same
    assert not updated.staging.path.exists()
    weights = "bot/model.safetensors"
    assert contents(updated.path)[weights] != kept[weights]
    report = json.loads(updated.report_json.read_text())
    assert report["sizes"]["train"] + report["sizes"]["held_out"] == 260
    assert "my version 1 was trained further on 60 new posts" in (
        updated.bot / "README.md"
    ).read_text("utf-8")
    assert updated.picture.is_file()
    assert [e for e in updated.events() if e.get("held_out_bits_per_byte")]
    assert bots.open_bot(updated.path).index is not None


def test_nothing_that_the_old_bot_learnt_is_held_out(updated: RunFolder) -> None:
    older, newer = (r.table("kept") for r in (updated.versions()[1], updated))
    learnt = set(older.filter(split="train")["id"])
    held_out = newer.filter(split="held_out")
    assert not learnt & set(held_out["id"])
    assert held_out.height == 26
    assert newer.filter(pl.col("split") == "held_out").equals(newer.sort("created_at").tail(26))


def test_the_training_of_an_update_starts_from_the_version_before(
    updated: RunFolder, tmp_path: Path
) -> None:
    lineage = Lineage(updated, tmp_path, raw=False)
    before = Lineage(updated.versions()[1], tmp_path, raw=False).bot()
    assert before is not None
    assert (lineage.base.name, lineage.base.kind) == ("model-ann", "finetuned-model")
    assert lineage.base.digest() == before.digest()
    after = lineage.bot()
    assert after is not None
    assert after.digest() != before.digest()


def test_given_sources_count_for_one_update_and_for_privacy(run: RunFolder, tmp_path: Path) -> None:
    source_of(run).unlink()
    more = write_csv(tmp_path / "more.csv", "ann", POSTS[:230])
    result = update(run.path, UpdateOptions(sources=[more]))
    assert result.new_posts == 30
    record = run.record()
    assert str(more) in record.config["sources"]
    with pytest.raises(InputError, match=r"ann\.csv, from which .* is gone.*--source"):
        update(run.path)
    opt_out.add(["ann"])
    with pytest.raises(HuggingTweetsError, match="asked not to be imitated"):
        update(run.path, UpdateOptions(sources=[more]))


def test_as_many_versions_are_kept_as_asked(updated: RunFolder) -> None:
    write_csv(source_of(updated), "ann", POSTS)
    result = update(updated.path, UpdateOptions(keep=1))
    assert (result.version, result.better) == (3, True)
    assert list(updated.versions()) == [2]
    listed = history.list_versions(updated.path)
    assert [(one.number, one.current, one.kept) for one in listed] == [
        (2, False, 260),
        (3, True, 280),
    ]
    assert all(one.size > 100_000 and one.bits_per_byte for one in listed)


# -- no better bot, or none ------------------------------------------------------------------------


def test_a_bot_that_gains_nothing_stays_and_the_posts_are_not_tried_again(run: RunFolder) -> None:
    record = run.record()
    record.config["recipe"]["learning_rate"] = 1e-12
    run.save(record)
    write_csv(source_of(run), "ann", POSTS[:260])
    before = stored(run)
    result = update(run.path)
    assert (result.better, result.version) == (False, 1)
    after = stored(run)
    assert {k: v for k, v in after.items() if k != "run.json"} == {
        k: v for k, v in before.items() if k != "run.json"
    }
    assert replace(run.record(), tried=None) == record
    with pytest.raises(InputError, match="already tried without gain"):
        update(run.path)
    assert unchanged(run, after)
    assert run.record().version == 1


def nothing_new(run: RunFolder) -> None:
    del run


def only_reposts(run: RunFolder) -> None:
    write_csv(source_of(run), "ann", [*POSTS[:OLD], "RT @bob: this is what bob wrote today"])


def other_author(run: RunFolder) -> None:
    write_csv(source_of(run), "bob", POSTS[:260])


def gone(run: RunFolder) -> None:
    source_of(run).unlink()


def damaged_source(run: RunFolder) -> None:
    source_of(run).write_bytes(b"\x00\x01")


def damaged_tables(run: RunFolder) -> None:
    (run.path / "data" / "kept.parquet").write_bytes(b"PAR1")
    write_csv(source_of(run), "ann", POSTS[:260])


def forgotten(run: RunFolder) -> None:
    run.save(replace(run.record(), forgotten=2))


def unfinished(run: RunFolder) -> None:
    run.save(replace(run.record(), state="training"))


def merged(run: RunFolder) -> None:
    parts = {"method": "linear", "weights": [1.0], "bots": []}
    bot = {"name": "a", "path": "runs/a", "created_at": "", "authors": []}
    run.save(replace(run.record(), merged=parts | {"bots": [bot]}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (nothing_new, "nothing new in the source of"),
        (only_reposts, "of 1 new post none is kept by curation"),
        (other_author, "has posts of bob, but"),
        (gone, "is gone. Give the new posts with --source"),
        (damaged_source, "ann.csv"),
        (damaged_tables, "kept.parquet is missing or damaged"),
        (forgotten, "posts that were deleted since"),
        (unfinished, "train --resume"),
        (merged, "merged from other bots"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    spoil: Any,  # noqa: ANN401 - a function of a run
    sentence: str,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(run)
    before = stored(run)
    assert CommandLine(monkeypatch, capsys)("update", run.path).refused(sentence)
    assert unchanged(run, before)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--replay", "-1"], "--replay must be from 0"),
        (["--replay", "nan"], "--replay must be from 0"),
        (["--keep", "0"], "--keep must be from 1"),
        (["--every", "daily"], "--every must be a number with m, h, d or w"),
        (["--every", "0d"], "--every must be"),
        (["--publish"], "is not published"),
        (["--source", "nowhere.csv"], "There is no file or folder nowhere.csv"),
    ],
)
def test_a_bad_option_is_one_sentence_and_changes_nothing(
    options: list[str],
    sentence: str,
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = stored(run)
    assert CommandLine(monkeypatch, capsys)("update", run.path, *options).refused(sentence)
    assert unchanged(run, before)


def test_two_updates_at_once_are_refused(run: RunFolder) -> None:
    write_csv(source_of(run), "ann", POSTS[:260])
    with run.locked(), pytest.raises(StorageError, match="in use by another process"):
        update(run.path)


def test_a_failure_while_measuring_leaves_the_old_bot(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(source_of(run), "ann", POSTS[:260])
    before = stored(run)

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(pipeline, "evaluate_locked", fail)
    with pytest.raises(RuntimeError):
        update(run.path)
    assert unchanged(run, before)


def test_a_killed_update_leaves_the_old_bot_and_the_next_one_cleans_up(run: RunFolder) -> None:
    write_csv(source_of(run), "ann", POSTS[:260])
    before = stored(run)
    with subprocess.Popen(
        [*PROGRAM, "update", str(run.path)], stdout=subprocess.DEVNULL
    ) as process:
        log = run.staging.events_file
        while process.poll() is None and not log.exists():
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert run.staging.path.exists()
    left = {k: v for k, v in stored(run).items() if not k.startswith("update/")}
    assert left == before
    assert places.PLACES["versions"].find(run.path.parent) == [run.staging.path]
    write_csv(source_of(run), "ann", POSTS[:OLD])
    with pytest.raises(InputError, match="nothing new"):
        update(run.path)
    assert unchanged(run, before)


# -- going back ------------------------------------------------------------------------------------


def test_a_rollback_restores_the_older_bot_and_can_be_undone(updated: RunFolder) -> None:
    newer = contents(updated.path)
    older = contents(updated.versions()[1].path)
    assert history.roll_back(updated.path).number == 1
    now = contents(updated.path)
    for name in ("bot/model.safetensors", "data/kept.parquet", "report/likeness.json"):
        assert now[name] == older[name]
    assert updated.record().counts["kept"] == OLD
    with pytest.raises(InputError, match="already tried without gain"):
        update(updated.path)  # the user went back from just these posts
    with pytest.raises(InputError, match=r"at its oldest version, 1\. Name another: 2"):
        history.roll_back(updated.path)
    assert history.roll_back(updated.path, 2).number == 2
    weights = "bot/model.safetensors"
    assert contents(updated.path)[weights] == newer[weights]
    assert list(updated.versions()) == [1]


def test_a_published_bot_is_refreshed_on_the_hub(
    updated: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights_there() -> bytes:
        repo = server.repos["models", "me/ann"]
        return repo.commits[repo.refs["main"]]["model.safetensors"]

    with pytest.raises(InputError, match="is not published, so there is nothing to refresh"):
        history.check_published(updated.path)
    with HubServer({"hf_secret": "me"}) as server:
        server.use(monkeypatch, tmp_path / "hf", "hf_secret")
        hub.execute(hub.plan(updated, "ann", reason="it is a test"))
        newer = weights_there()
        assert newer == (updated.bot / "model.safetensors").read_bytes()
        history.roll_back(updated.path)
        assert history.publish_again(updated).url.endswith("/me/ann")
        assert newer != weights_there() == (updated.bot / "model.safetensors").read_bytes()
        assert not any(POSTS[0].encode() in file for file in _files(server))


def _files(server: HubServer) -> Iterator[bytes]:
    repo = server.repos["models", "me/ann"]
    for commit in repo.commits.values():
        yield from commit.values()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [("2", "Version 2 of .* is the current version"), ("7", "Version 7 of .* is not kept")],
)
def test_a_version_that_is_not_kept_is_refused(
    number: str, sentence: str, updated: RunFolder
) -> None:
    with pytest.raises(InputError, match=sentence):
        history.roll_back(updated.path, int(number))


def test_a_bot_that_was_never_updated_has_one_version(run: RunFolder) -> None:
    assert [one.number for one in history.list_versions(run.path)] == [1]
    with pytest.raises(InputError, match="not been updated yet"):
        history.roll_back(run.path)


def test_versions_and_rollback_tell_what_they_did(
    updated: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = CommandLine(monkeypatch, capsys)
    assert "2 (current)" in cli("versions", updated.path).out
    listed = json.loads(cli("versions", updated.path, "--json").out)["versions"]
    assert [one["number"] for one in listed] == [1, 2]
    assert "is version 1 again; version 2 is kept" in cli("rollback", updated.path).out
    told = json.loads(cli("rollback", updated.path, "2", "--json").out)
    assert (told["version"], told["before"]) == (2, 1)


# -- privacy ---------------------------------------------------------------------------------------


def test_forgetting_a_post_removes_the_versions_that_learnt_it(updated: RunFolder) -> None:
    done = deletion.forget(frozenset({"@ann 3"}), [updated])
    assert done.runs == {updated.path: 1}
    assert done.removed == [updated.path / "versions" / "1"]
    assert updated.versions() == {}
    assert updated.staleness_warning()


def test_forgetting_a_post_that_only_a_version_holds_removes_that(updated: RunFolder) -> None:
    history.roll_back(updated.path)
    done = deletion.forget(frozenset({"@ann 240"}), [updated])
    assert done.removed == [updated.path / "versions" / "2"]
    assert (done.runs, done.nowhere) == ({}, [])
    assert not updated.record().forgotten


def test_deleting_a_version_keeps_the_bot(updated: RunFolder) -> None:
    deletion.delete(updated.versions()[1])
    assert [one.number for one in history.list_versions(updated.path)] == [2]
    assert places.runs_folder_of(updated.path / "versions" / "1") == updated.path.parent


# -- a service -------------------------------------------------------------------------------------


def test_a_service_survives_failures_and_ends_on_sigterm(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[dict[str, Any]] = []

    def log(entry: dict[str, Any]) -> None:
        entries.append(entry)
        if len(entries) == 1:
            write_csv(source_of(run), "ann", POSTS[:260])
        elif len(entries) == 2:
            monkeypatch.setattr(service, "update", fail)
        elif len(entries) == 3:
            threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
            monkeypatch.setattr(service, "_wait_until", lambda _: time.sleep(20))

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    before = signal.getsignal(signal.SIGTERM)
    service.serve(run.path, UpdateOptions(), timedelta(seconds=0.01), log, lambda _: False)
    assert [entry["state"] for entry in entries] == ["refused", "updated", "failed", "stopped"]
    assert all("\n" not in entry["message"] for entry in entries)
    assert entries[1]["message"].startswith("version 2, 60 new posts, ")
    assert signal.getsignal(signal.SIGTERM) == before
    assert run.record().version == 2


def test_a_waiting_service_prints_a_line_and_ends_cleanly(run: RunFolder) -> None:
    command = [*PROGRAM, "update", str(run.path), "--every", "1d"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "There is nothing new" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().endswith(": stopped\n")
    assert process.returncode == 0


def test_a_service_for_no_bot_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(HuggingTweetsError, match="not a run folder"):
        service.serve(tmp_path, UpdateOptions(), timedelta(1), print, lambda _: False)


def test_posts_gone_from_the_source_are_named(run: RunFolder) -> None:
    file = source_of(run)
    pl.read_csv(file).filter(pl.col("id") != 3).write_csv(file)
    events: list[Event] = []
    with pytest.raises(InputError, match="nothing new"):
        update(run.path, listen=events.append)
    warnings = [event.message for event in events if event.is_warning]
    assert any("1 post is no longer in the source (@ann 3)" in text for text in warnings)
