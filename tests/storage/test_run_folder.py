from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from huggingtweets.errors import BotError, StorageError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord, State

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD_RUN = Path(__file__).parents[1] / "fixtures" / "run-v1"
TABLE = pl.DataFrame({"text": ["one", "two"]})

_HOLD = """
import sys
from pathlib import Path
from huggingtweets.storage.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def record(name: str = "ann", **values: Any) -> RunRecord:  # noqa: ANN401 - fields of RunRecord
    return RunRecord(
        name=name, authors=["ann"], config={}, counts={"kept": 2}, counts_by_author={}, **values
    )


@pytest.fixture
def made(tmp_path: Path) -> RunFolder:
    return run_folder.create(tmp_path / "runs", record(), {"kept": TABLE})


@pytest.fixture
def held(made: RunFolder) -> Iterator[RunFolder]:
    """A run that another process has locked."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(made.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield made


def test_new_run_has_record_and_tables(made: RunFolder) -> None:
    assert sorted(p.name for p in made.path.iterdir()) == ["data", "events.jsonl", "run.json"]
    assert made.table("kept").equals(TABLE)
    assert made.record() == record(created_at=made.record().created_at)
    assert made.events() == []
    assert [p.name for p in made.path.parent.iterdir()] == ["ann"]


def test_existing_folder_is_refused_and_unchanged(made: RunFolder) -> None:
    with pytest.raises(StorageError, match=r"already exists\. Choose another --name"):
        run_folder.create(made.path.parent, record(), {"kept": TABLE.head(1)})
    assert made.table("kept").equals(TABLE)
    assert [p.name for p in made.path.parent.iterdir()] == ["ann"]


class _UnwritableTable(pl.DataFrame):
    def write_parquet(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")


def test_creation_is_all_or_nothing(tmp_path: Path) -> None:
    tables = {"posts": TABLE, "kept": _UnwritableTable({"text": ["one"]})}
    with pytest.raises(StorageError, match="disk is full"):
        run_folder.create(tmp_path / "a" / "b" / "runs", record(), tables)
    assert list(tmp_path.iterdir()) == []  # nor the new parent folders


def test_creation_below_a_file_does_not_change_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        run_folder.create(tmp_path / "file" / "runs", record(), {"kept": TABLE})
    assert (tmp_path / "file").read_text() == "mine"


def test_failed_creation_keeps_existing_folders(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(StorageError):
        run_folder.create(
            tmp_path / "runs", record(), {"kept": _UnwritableTable({"text": ["one"]})}
        )
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "damaged"),
        ('{"name": "ann", "auth', "damaged"),
        ("[]", "damaged"),
        ("null", "damaged"),
        ('{"name": "ann"}', "damaged"),
        ('{"format": "two"}', "damaged"),
        ('{"format": 2, "title": "ann"}', "newer huggingtweets. Upgrade"),
    ],
)
def test_damaged_record_is_one_sentence(made: RunFolder, content: str, told: str) -> None:
    made.record_file.write_text(content)
    with pytest.raises(BotError, match=told):
        made.record()


def test_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BotError, match=r"is not a run folder: it has no run\.json"):
        RunFolder(tmp_path).record()
    with pytest.raises(BotError, match="missing or damaged"):
        RunFolder(tmp_path).table("kept")


def test_damaged_table_is_one_sentence(made: RunFolder) -> None:
    file = made.path / "data" / "kept.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BotError, match=r"kept\.parquet is missing or damaged"):
        made.table("kept")


def test_unknown_field_is_ignored(made: RunFolder) -> None:
    values = json.loads(made.record_file.read_text())
    made.record_file.write_text(json.dumps(values | {"colour": "blue"}))
    assert made.record().name == "ann"


def test_locked_run_is_refused(held: RunFolder) -> None:
    with pytest.raises(StorageError, match="is in use by another process"), held.locked():
        pytest.fail("held twice")
    assert held.is_live()


def test_lock_is_released(made: RunFolder) -> None:
    for _ in range(2):
        with made.locked():
            assert made.is_live()
        assert not made.is_live()


@pytest.mark.parametrize(
    ("state", "alone"),
    [
        ("prepared", "interrupted (prepared)"),
        ("training", "interrupted (training)"),
        ("trained", "interrupted (trained)"),
        ("done", "done"),
        ("failed", "failed"),
    ],
)
def test_display_state(held: RunFolder, state: State, alone: str) -> None:
    held.save(record(state=state))
    assert held.display_state() == state
    other = run_folder.create(held.path.parent, record("other", state=state), {})
    assert other.display_state() == alone


def test_events_keep_order_after_a_truncated_line(made: RunFolder) -> None:
    made.append_event({"stage": "train", "done": 1})
    made.append_event({"stage": "train", "done": 2})
    text = made.events_file.read_text()
    made.events_file.write_text(text[:-10])
    assert [event["done"] for event in made.events()] == [1]
    made.append_event({"stage": "train", "message": "é", "done": 3})  # of the resumed run
    assert [event["done"] for event in made.events()] == [1, 3]
    assert all("time" in event for event in made.events())


def test_missing_events_file_means_no_events(made: RunFolder) -> None:
    made.events_file.unlink()
    assert made.events() == []


def test_list_runs_oldest_first(tmp_path: Path) -> None:
    assert run_folder.list_runs(tmp_path / "runs") == []
    for name in ("zoe", "ann"):
        run_folder.create(tmp_path, record(name), {})
        time.sleep(0.02)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / ".building").mkdir()
    (tmp_path / ".building" / "run.json").touch()
    assert [found.path.name for found in run_folder.list_runs(tmp_path)] == ["zoe", "ann"]


def test_unique_name(tmp_path: Path) -> None:
    assert run_folder.unique_name(tmp_path, "ann") == "ann"
    for name in ("ann", "ann-2"):
        (tmp_path / name).mkdir()
    assert run_folder.unique_name(tmp_path, "ann") == "ann-3"


def test_run_of_format_1_loads() -> None:
    old = RunFolder(OLD_RUN)
    found = old.record()
    assert (found.format, found.state, found.authors) == (1, "done", ["ann"])
    assert found.counts["kept"] == 300
    assert found.result["history"][0]["held_out_bits_per_byte"] > found.result["best"]
    assert [event["stage"] for event in old.events()][:1] == ["train"]
    report = LikenessReport.from_json(json.loads(old.report_json.read_text()))
    assert report.authors == ("ann",)
    assert len(report.lines()) == 6
