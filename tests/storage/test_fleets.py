"""A fleet's folder: each file once, every damage found, two writers at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.helpers.finished_run import finished_run
from tests.helpers.posts import made_up_posts

from huggingtweets import deletion
from huggingtweets.errors import BotError
from huggingtweets.storage import places
from huggingtweets.storage.fleets import FleetFolder, sha256
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("ann", "bob", "cat")


@pytest.fixture
def fleet(tmp_path: Path) -> FleetFolder:
    """Three finished runs with different posts and an equal config.json and report."""
    folder = FleetFolder(tmp_path / "fleet")
    folder.save_settings({"base": "pocket"})
    for seed, name in enumerate(NAMES):
        run = finished_run(folder.authors, made_up_posts(20, seed), name)
        with run.locked():  # whose end stores it
            pass
    return folder


def objects(fleet: FleetFolder) -> dict[str, Path]:
    return {file.name: file for file in fleet.objects.glob("sha256/*/*")}


def test_files_are_stored_once_under_their_sha256(fleet: FleetFolder) -> None:
    stored = [fleet.stored(name) for name in fleet.names()]
    assert fleet.names() == list(NAMES)
    found = objects(fleet)
    assert all(sha256(file) == digest for digest, file in found.items())
    assert {digest for one in stored for digest, _ in one.files.values()} == found.keys()
    shared = {one.files["report/likeness.json"][0] for one in stored}
    assert len(shared) == 1
    assert len({one.weights for one in stored}) == 3
    for name in NAMES:  # a run folder takes no space of its own
        run = fleet.authors / name
        assert (run / "report" / "likeness.json").samefile(found[shared.copy().pop()])
        assert not (run / "events.jsonl").samefile(
            found[fleet.stored(name).files["events.jsonl"][0]]
        )
    result = fleet.check()
    assert (result.authors, result.damaged, result.changed) == (3, {}, {})


def test_changed_run_is_stored_again_and_others_stay(fleet: FleetFolder) -> None:
    run, before = RunFolder(fleet.authors / "ann"), fleet.stored("ann")
    with run.locked():
        record = run.record()
        record.result["best"] = 1.25
        run.save(record)
        run.append_event({"stage": "evaluate"})
    after = fleet.stored("ann")
    changed = {path for path in after.files if after.files[path] != before.files[path]}
    assert changed == {"run.json", "events.jsonl"}
    assert before.files["run.json"][0] not in objects(fleet)
    assert not fleet.check().changed
    assert not fleet.check().damaged


def test_check_names_what_is_damaged_and_repair_restores_it(fleet: FleetFolder) -> None:
    ann, bob = fleet.authors / "ann", fleet.authors / "bob"
    weights = ann / "bot" / "model.safetensors"
    weights.write_bytes(b"damaged")  # in place, so the object is damaged with it
    (bob / "report" / "likeness.json").unlink()
    lost = fleet.object_file(fleet.stored("bob").files["data/kept.parquet"][0])
    lost.unlink()
    result = fleet.check()
    assert result.damaged == {
        "ann": ["bot/model.safetensors is damaged and so is its copy in the run folder"],
        "bob": ["data/kept.parquet is missing"],
    }
    assert result.changed == {"bob": ["report/likeness.json"]}
    repaired = fleet.check(repair=True)
    assert repaired.repaired == 2
    assert list(repaired.damaged) == ["ann"]
    weights.unlink()
    weights.write_bytes(b"weights of ann")
    assert fleet.check(repair=True).repaired == 1
    result = fleet.check()
    assert (result.damaged, result.changed) == ({}, {})


def test_copy_of_the_objects_alone_becomes_a_fleet(fleet: FleetFolder, tmp_path: Path) -> None:
    copy = FleetFolder(tmp_path / "copy")
    shutil.copytree(fleet.objects, copy.objects)
    shutil.copy(fleet.settings_file, copy.path)
    copy.authors.mkdir()
    for name in NAMES:
        shutil.copy(fleet.stored_file(name), copy.authors)
    assert copy.check(repair=True).repaired > 0
    for name in NAMES:
        assert copy.stored(name) == fleet.stored(name)
        assert RunFolder(copy.authors / name).record() == RunFolder(fleet.authors / name).record()


def test_deleted_author_leaves_no_object(fleet: FleetFolder) -> None:
    own = {digest for digest, _ in fleet.stored("ann").files.values()}
    for name in ("bob", "cat"):
        own -= {digest for digest, _ in fleet.stored(name).files.values()}
    assert own
    done = deletion.delete(RunFolder(fleet.authors / "ann"))
    assert done.removed == [fleet.authors / "ann"]
    assert own.isdisjoint(objects(fleet))
    assert fleet.names() == ["bob", "cat"]
    assert not fleet.check().damaged
    assert deletion.delete_fleet(fleet.path).skipped == []
    assert not fleet.path.exists()


def test_places_know_fleets_beside_the_runs(fleet: FleetFolder) -> None:
    out = fleet.path.parent / "runs"
    found = [run.path.resolve() for run in places.runs(out)]
    assert found == [(fleet.authors / name).resolve() for name in NAMES]
    assert places.PLACES["fleets"].find(out) == [fleet.objects]
    assert places.runs_folder_of(fleet.authors / "ann") == fleet.path


def test_without_hard_links_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a USB stick with FAT."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(type(tmp_path), "hardlink_to", refuse)
    folder = FleetFolder(tmp_path / "fleet")
    folder.save_settings({"base": "pocket"})
    run = finished_run(folder.authors, made_up_posts(20), "ann")
    for _ in range(2):
        with run.locked():
            pass
    (run.path / "run.json").unlink()
    assert folder.check().changed == {"ann": ["run.json"]}
    assert folder.check(repair=True).repaired == 1
    assert run.record().authors == ["ann"]
    folder.object_file(folder.stored("ann").files["run.json"][0]).write_text("damaged")
    assert folder.check().damaged == {"ann": ["run.json is damaged"]}
    assert folder.check(repair=True).repaired == 1
    assert not folder.check().damaged


def test_two_writers_at_once_lose_nothing(fleet: FleetFolder) -> None:
    """Two processes store two runs again and again, each time with new weights."""
    code = (
        "import sys; from pathlib import Path; from huggingtweets.storage import files\n"
        "from huggingtweets.storage.fleets import FleetFolder\n"
        "fleet, name = FleetFolder(Path(sys.argv[1])), sys.argv[2]\n"
        "for i in range(60):\n"
        "    files.write_text(fleet.authors / name / 'bot' / 'model.safetensors', f'{name} {i}')\n"
        "    files.write_text(fleet.authors / name / 'bot' / 'shared.txt', f'equal {i}')\n"
        "    fleet.store(name)\n"
    )
    command = [sys.executable, "-c", code, str(fleet.path)]
    writers = [subprocess.Popen([*command, name], env=os.environ) for name in ("ann", "bob")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    result = fleet.check()
    assert (result.damaged, result.changed) == ({}, {})
    used = {digest for name in NAMES for digest, _ in fleet.stored(name).files.values()}
    assert objects(fleet).keys() == used


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": {"../../x": ["00", 1]}, "authors": []}', '{"files": 3, "authors": []}'],
)
def test_damaged_list_is_one_sentence(fleet: FleetFolder, text: str) -> None:
    fleet.stored_file("ann").write_text(text)
    with pytest.raises(BotError, match=r"ann\.json is damaged\. Restore it from a copy"):
        fleet.stored("ann")
    assert list(fleet.check().damaged) == ["ann"]


def test_list_with_a_path_outside_is_refused(fleet: FleetFolder, tmp_path: Path) -> None:
    digest = fleet.stored("ann").files["run.json"][0]
    for path in ("../../evil.json", "/evil.json", "bot/../../evil"):
        text = f'{{"format": 1, "authors": [], "files": {{"{path}": ["{digest}", 1]}}}}'
        fleet.stored_file("ann").write_text(text)
        fleet.check(repair=True)
        assert not list(tmp_path.rglob("evil*"))


def test_no_fleet_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BotError, match=r"is not a fleet: it has no fleet\.json"):
        FleetFolder(tmp_path).check()
