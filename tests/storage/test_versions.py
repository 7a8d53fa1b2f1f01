"""Versions in a run folder are exchanged whole, also if the process is killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files, versions
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from huggingtweets.storage import versions
left = int(sys.argv[2])
def dying(real):
    def step(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **named)
    return step
for name in ("rename", "replace", "unlink", "chmod"):
    setattr(Path, name, dying(getattr(Path, name)))
run = Path(sys.argv[1])
versions.exchange(run, run / versions.STAGING, 1)
"""


def write_version(folder: Path, number: int, parts: tuple[str, ...] = versions.PARTS) -> None:
    """Write a version whose every file says its number."""
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord("me", ["ann"], {"base": "pocket"}, {}, {}, state="done", version=number)
    RunFolder(folder).save(record)
    for part in parts:
        file = folder / part if part.endswith("jsonl") else folder / part / "file"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"of version {number}")


def numbers_in(folder: Path) -> set[str]:
    """The numbers that the parts of a version say."""
    parts = {path.name for path in folder.iterdir()} & {*versions.PARTS}
    files_of = [folder / p if p.endswith("jsonl") else folder / p / "file" for p in parts]
    return {file.read_text() for file in files_of} | {
        f"of version {json.loads((folder / 'run.json').read_text())['version']}"
    }


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run at version 1, with version 2 prepared."""
    write_version(tmp_path / "me", 1)
    write_version(tmp_path / "me" / "update", 2)
    (tmp_path / "me" / "favourites.json").write_text("[]")
    return RunFolder(tmp_path / "me")


def test_an_exchange_makes_the_next_version_current_and_keeps_the_older(run: RunFolder) -> None:
    versions.exchange(run.path, run.staging.path, 1)
    assert run.record().version == 2
    assert numbers_in(run.path) == {"of version 2"}
    assert list(run.versions()) == [1]
    assert numbers_in(run.versions()[1].path) == {"of version 1"}
    assert sorted(p.name for p in run.path.iterdir()) == sorted(
        [*versions.PARTS, "favourites.json", "run.json", "versions"]
    )


def test_parts_that_only_one_version_has_go_with_it(tmp_path: Path) -> None:
    write_version(tmp_path / "me", 1, ("bot", "data"))
    write_version(tmp_path / "me" / "update", 2, ("bot", "data", "report"))
    run = RunFolder(tmp_path / "me")
    versions.exchange(run.path, run.staging.path, 1)
    assert not (run.versions()[1].path / "report").exists()
    versions.exchange(run.path, run.versions()[1].path, 2)
    assert numbers_in(run.path) == {"of version 1"}
    assert not (run.path / "report").exists()
    assert list(run.versions()) == [2]


def test_a_killed_exchange_leaves_one_version_whole_at_every_step(tmp_path: Path) -> None:
    found = []
    for step in range(0, 40, 2):
        folder = tmp_path / str(step)
        write_version(folder, 1)
        write_version(folder / "update", 2)
        done = subprocess.run([sys.executable, "-c", KILLED_AT, folder, str(step)], check=False)
        run = RunFolder(folder)
        number = run.record().version
        assert numbers_in(folder) == {f"of version {number}"}, step
        assert not (folder / versions.JOURNAL).exists()
        if number == 2:
            assert numbers_in(run.versions()[1].path) == {"of version 1"}
        with run.locked():
            assert not run.staging.path.exists()
        found.append(number)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0
    assert found == sorted(found)
    assert found.count(1) > 1
    assert found.count(2) > 3


def test_a_reader_completes_nothing_while_another_process_works(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_SECONDS_TO_WAIT", 0.2)
    files.write_json(run.path / versions.JOURNAL, {})
    with files.file_lock(run.path), pytest.raises(StorageError, match="being updated by another"):
        run.record()


def test_an_exchange_that_was_only_prepared_leaves_no_version(run: RunFolder) -> None:
    (run.path / "versions" / "1").mkdir(parents=True)
    (run.path / "versions" / "1" / "run.json").write_text((run.path / "run.json").read_text())
    write_version(run.path / "versions" / "5", 5)
    versions.remove_leftovers(run.path)
    assert versions.numbers(run.path) == [5]
    assert numbers_in(run.path) == {"of version 1"}


def test_a_reader_reads_one_version_whole_while_another_becomes_current(run: RunFolder) -> None:
    seen: list[str] = []

    def read() -> set[str]:
        seen.append((run.bot / "file").read_text())
        if len(seen) == 1:
            versions.exchange(run.path, run.path / versions.STAGING, 1)
        return {seen[-1], (run.path / "data" / "file").read_text()}

    assert run.read_steadily(read) == {"of version 2"}
    assert seen == ["of version 1", "of version 2"]


def test_a_reader_that_missed_the_bot_reads_again_but_not_one_without_a_bot(run: RunFolder) -> None:
    tries: list[int] = []

    def read() -> str:
        tries.append(len(tries))
        if len(tries) == 1:
            versions.exchange(run.path, run.path / versions.STAGING, 1)
            raise BotError("The bot folder is missing.")
        return (run.bot / "file").read_text()

    assert run.read_steadily(read) == "of version 2"
    (run.bot / "file").unlink()
    with pytest.raises(FileNotFoundError):
        run.read_steadily(read)
    assert len(tries) == 3


@pytest.mark.parametrize(
    "plan",
    [
        {"in": "../../elsewhere", "out": "versions/1", "leaving": ["bot"]},
        {"in": "update", "out": "versions/../../x", "leaving": []},
        {"in": "update", "out": "update", "leaving": []},
        {"in": "update"},
        [],
    ],
)
def test_a_strangers_note_moves_nothing(run: RunFolder, plan: object) -> None:
    files.write_json(run.path / versions.JOURNAL, plan)
    before = contents(run.path)
    with pytest.raises(BotError, match=r"exchange.json (is damaged|names)"):
        run.record()
    assert {k: v for k, v in contents(run.path).items() if k != ".lock"} == before


def test_a_strangers_link_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "1").mkdir(parents=True)
    (run.path / "versions").symlink_to(tmp_path / "elsewhere")
    plan = {"in": "update", "out": "versions/1", "leaving": ["bot"]}
    files.write_json(run.path / versions.JOURNAL, plan)
    with pytest.raises(BotError, match="is a link"):
        run.record()
    assert not list((tmp_path / "elsewhere" / "1").iterdir())
