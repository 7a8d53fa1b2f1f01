"""Commands on a run inside a fleet: what is stored follows, and other authors stay as they are."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import CommandLine
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.errors import TrainingError
from huggingtweets.fleet import pool
from huggingtweets.serving import bot_views
from huggingtweets.storage import files, versions
from huggingtweets.storage.fleets import FleetFolder, sha256
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fleet(finished: FleetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetFolder:
    """A copy of the finished fleet, with the links, in an empty working directory."""
    folder = FleetFolder(tmp_path / "fleet")
    shutil.copytree(finished.path, folder.path)
    for name in folder.names():
        for path, (digest, _) in folder.stored(name).files.items():
            if path != "events.jsonl":
                (folder.authors / name / path).unlink()
                (folder.authors / name / path).hardlink_to(folder.object_file(digest))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def assert_sound(fleet: FleetFolder, stored: bool = True) -> None:
    """Check that ann's run is stored as it is, and that no file of bob's has changed."""
    check = fleet.check()
    assert not check.damaged
    assert not check.changed
    if stored:
        listed = fleet.stored("ann").files
        assert listed["run.json"][0] == sha256(fleet.authors / "ann" / "run.json")
    for path, (digest, _) in fleet.stored("bob").files.items():
        assert sha256(fleet.authors / "bob" / path) == digest


def test_update_and_rollback(fleet: FleetFolder, cli: CommandLine, tmp_path: Path) -> None:
    new = write_csv(tmp_path / "new.csv", "ann", made_up_posts(60, 40))
    text = new.read_text("utf-8").replace("2024-", "2025-").replace("ann,", "ann,9")
    text = text.replace("author,9id", "author,id")
    # a new habit, so that the updated bot is better on every machine
    new.write_text(text.replace('"\n', ' So we met at the harvest festival of 2025."\n'), "utf-8")
    done = cli("update", "fleet/authors/ann", "--source", str(new), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["version"] == 2
    assert_sound(fleet)
    shown = json.loads(cli("fleet", "show", "--json").out)["authors"]
    bits = {author["author"].lstrip("@"): author["bits_per_byte"] for author in shown}
    assert bits["ann"] == RunFolder(fleet.authors / "ann").held_out_bits_per_byte()
    assert cli("versions", "fleet/authors/ann").code == 0
    assert cli("rollback", "fleet/authors/ann").code == 0
    assert_sound(fleet)
    assert RunFolder(fleet.authors / "ann").record().version == 1


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate",),
        ("expand", "--replace"),
        ("picture", "--post", "Today I painted the yellow lantern."),
        ("export", "--to", "adapter", "--out", "exported"),
        ("generate", "-n", "1"),
        ("show",),
    ],
    ids=lambda command: command[0],
)
def test_command(fleet: FleetFolder, cli: CommandLine, command: tuple[str, ...]) -> None:
    done = cli(command[0], "fleet/authors/ann", *command[1:])
    assert done.code == 0, done.err
    assert_sound(fleet)


def test_expanded_bot_is_shrunk(fleet: FleetFolder, cli: CommandLine) -> None:
    assert cli("expand", "fleet/authors/ann", "--replace").code == 0
    done = cli("shrink", "fleet/authors/ann", "--rank", "2")
    assert done.code == 0, done.err
    assert_sound(fleet)


def test_favourite_posts_are_stored(fleet: FleetFolder) -> None:
    run = RunFolder(fleet.authors / "ann")
    for post in ("one", "two"):
        bot_views.set_favourite(run, post, 10, on=True)
        assert_sound(fleet)
    assert "favourites.json" in fleet.stored("ann").files


def test_interrupted_exchange_of_versions_is_stored_by_whoever_completes_it(
    fleet: FleetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(fleet.authors / "ann")
    staging = run.staging.path
    shutil.copytree(run.path, staging, ignore=shutil.ignore_patterns("update", ".lock"))
    record = run.record()
    record.version = 2
    RunFolder(staging).save(record)

    def killed(_run: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versions, "complete", killed)
        versions.exchange(run.path, staging, 1)
    assert run.record().version == 2
    assert_sound(fleet)


def test_deleted_author_leaves_the_others(fleet: FleetFolder, cli: CommandLine) -> None:
    done = cli("delete", "fleet/authors/ann", "--yes")
    assert done.code == 0, done.err
    assert "ann" not in fleet.names()
    assert json.loads(cli("fleet", "show", "--json").out)["counts"] == {"done": 2, "waiting": 1}
    assert_sound(fleet, stored=False)
    assert files.read_json(fleet.settings_file)["sources"]


def test_a_killed_session_is_shown_as_stopped(fleet: FleetFolder, cli: CommandLine) -> None:
    """What it wrote last says that it is at work; its lock went with it."""
    progress = files.read_json(fleet.progress_file)
    progress["stage"] = "training"
    progress["authors"]["bob"]["state"] = "running"
    files.write_json(fleet.progress_file, progress)

    def shown() -> tuple[str, str]:
        told = json.loads(cli("fleet", "show", "--json").out)
        states = {author["author"].lstrip("@"): author["state"] for author in told["authors"]}
        return told["stage"], states["bob"]

    assert shown() == ("training", "running")  # it may be writing the next one
    an_hour_ago = time.time() - 3600
    os.utime(fleet.progress_file, (an_hour_ago, an_hour_ago))
    with files.locked(fleet.path):
        assert shown() == ("training", "running")
    assert shown() == ("stopped", "waiting")


def test_workers_that_are_lost_stop_the_fleet_and_the_message_says_how_to_go_on(
    tiny_base: Path, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LostWorkers:
        count = 2

        def submit(self, _name: str, _author: str) -> Future[object]:
            lost: Future[object] = Future()
            lost.set_exception(TrainingError("The connection to the Ray cluster is lost (gone)."))
            return lost

        def close(self) -> None:
            pass

    monkeypatch.setattr(pool, "open_workers", lambda *_: (LostWorkers(), ""))
    monkeypatch.chdir(tmp_path)
    source = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(60))
    done = cli("fleet", "train", source, "--base", tiny_base, "--out", "lost")
    assert done.code == 1
    assert "cluster is lost (gone). Finished bots stay. Continue with: " in done.err
    assert "fleet train --out lost" in done.err
    told = json.loads(cli("fleet", "show", "lost", "--json").out)
    assert (told["stage"], told["counts"]) == ("stopped", {"waiting": 1})
