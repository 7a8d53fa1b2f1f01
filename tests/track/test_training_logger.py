"""Logging of interrupted and unusual runs, and the choice of a tracker."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.finished_run import finished_run, training_events
from tests.helpers.posts import made_up_posts

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.track import _trackio, checked, choose, process, send, sync
from huggingtweets.track.lineage import Lineage, safe_name
from huggingtweets.track.training_logger import JsonlTail, TrainingLogger, follow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.track.protocol import Artifact, Job


class Recorder:
    """A tracker that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(self, job: Job) -> None:
        self.calls.append(("start", job.kind))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.calls.append(("log", step, dict(values)))

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        assert all(len(row) == len(columns) for row in rows)
        self.calls.append(("table", step, name, len(rows)))

    def artifact(self, artifact: Artifact) -> None:
        self.calls.append(("artifact", artifact.name))

    def use(self, artifact: Artifact) -> None:
        self.calls.append(("use", artifact.name))

    def finish(self, *, ok: bool) -> None:
        self.calls.append(("finish", ok))

    def message(self) -> str:
        return ""

    def steps(self) -> list[int]:
        return [call[1] for call in self.calls if call[0] == "log"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return finished_run(tmp_path, made_up_posts(10))


def test_jobs_and_artifacts_are_logged_in_order(run: RunFolder, tmp_path: Path) -> None:
    tracker = Recorder()
    follow(run, "id", tracker, Lineage(run, tmp_path, raw=True), lambda: True)
    order = [call for call in tracker.calls if call[0] not in ("log", "table")]
    assert order == [
        ("start", "download"),
        ("artifact", "tweets-ann"),
        ("artifact", "pocket"),
        ("finish", True),
        ("start", "preprocess"),
        ("use", "tweets-ann"),
        ("artifact", "dataset-ann"),
        ("finish", True),
        ("start", "train"),
        ("use", "dataset-ann"),
        ("use", "pocket"),
        ("artifact", "model-ann"),
        ("finish", True),
    ]


def test_running_run_is_followed(run: RunFolder, tmp_path: Path) -> None:
    run.events_file.unlink()
    record = run.record()
    record.state = "training"
    run.save(record)
    pending, tracker = training_events(), Recorder()
    steps_seen = []

    def run_ended() -> bool:
        steps_seen.append(tracker.steps()[-1])
        for event in pending[:5]:
            run.append_event(event)
        del pending[:5]
        if not pending:
            record.state = "done"
            run.save(record)
        return not pending

    follow(run, "id", tracker, Lineage(run, tmp_path, raw=True), run_ended)
    assert len(set(steps_seen)) > 3  # logged step by step
    assert tracker.steps() == sorted(tracker.steps())
    assert ("table", 20, "predictions", 6) in tracker.calls
    assert tracker.calls[-1] == ("finish", True)


@pytest.mark.parametrize("state", ["training", "failed"])
def test_unfinished_run_is_logged_as_failed(run: RunFolder, tmp_path: Path, state: Any) -> None:  # noqa: ANN401
    record = run.record()
    record.state = state
    run.save(record)
    tracker = Recorder()
    follow(run, "id", tracker, Lineage(run, tmp_path, raw=True), lambda: True)
    assert tracker.calls[-1] == ("finish", False)
    assert ("artifact", "model-ann") not in tracker.calls
    assert not [call for call in tracker.calls if call[0] == "table" and call[2] == "likeness"]


def test_repeated_steps_are_logged_once() -> None:
    tracker, events = Recorder(), training_events()
    TrainingLogger(tracker).log(events[:15] + events[8:])
    assert tracker.steps() == sorted(tracker.steps())
    assert set(tracker.steps()) == set(range(21))


def test_run_that_started_over_is_logged_from_its_new_start() -> None:
    tracker, events = Recorder(), training_events()
    TrainingLogger(tracker).log(events[:15] + events)
    assert tracker.steps() == [event["done"] for event in events if event["stage"] == "train"]
    assert ("table", 20, "predictions", 6) in tracker.calls


def test_non_numbers_are_omitted() -> None:
    tracker = Recorder()
    event = {"stage": "train", "done": 3, "loss": math.nan, "epoch": 1, "cores": None}
    TrainingLogger(tracker).log([event])
    assert tracker.calls == [("log", 3, {"train/epoch": 1})]


def test_tail_waits_for_whole_lines_and_skips_broken_ones(tmp_path: Path) -> None:
    file, tail = tmp_path / "events.jsonl", JsonlTail(tmp_path / "events.jsonl")
    assert tail.read() == []
    file.write_bytes(b'{"a": 1}\n{"a":')
    assert tail.read() == [{"a": 1}]
    assert tail.read() == []
    with file.open("ab") as out:
        out.write(b' 2}\n{"cut\n{"a": "\xf0\x9f\x8e\x88"}\n')
    assert tail.read() == [{"a": 2}, {"a": "🎈"}]
    assert tail.read() == []


def test_artifact_digest_depends_on_content(tmp_path: Path) -> None:
    same, posts = finished_run(tmp_path / "a", made_up_posts(10)), made_up_posts(10)
    again = finished_run(tmp_path / "b", posts, name="other")
    other = finished_run(tmp_path / "c", posts[:-1])
    for raw in (True, False):
        first, second, third = (
            Lineage(run, tmp_path / f"{raw}{i}", raw=raw).tweets
            for i, run in enumerate((same, again, other))
        )
        assert first.digest() == second.digest() != third.digest()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NASA", "NASA"),
        ("a.b-c_d", "a.b-c_d"),
        ("ann@example.org", "ann_example.org-"),
        ("Ада", None),
        ("..", None),
        ("gpt2/x", "gpt2_x-"),
    ],
)
def test_artifact_names_are_valid_and_unique(text: str, name: str | None) -> None:
    made = safe_name(text)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert made.strip("._-")
    assert name is None or made.startswith(name)
    assert made == text or made != safe_name(text + "!")


def test_invalid_tracking_requests_are_rejected(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BotError, match="is not a run folder"):
        send(type(run)(tmp_path / "no"), "trackio", lambda: True)
    with pytest.raises(InputError, match="no tracker 'mlflow'; choose trackio or wandb"):
        send(run, "mlflow", lambda: True)
    with pytest.raises(InputError, match=r"no tracker 'mlflow'.* Or use --track none"):
        choose("mlflow")
    monkeypatch.setattr(sync, "is_installed", lambda _: False)
    with pytest.raises(InputError, match=r"pip install 'huggingtweets\[wandb\]'"):
        checked("wandb")


def test_default_tracker_is_trackio_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(None) == "none"  # set for tests
    monkeypatch.delenv(process.DEFAULT)
    assert choose(None) == "trackio"
    assert choose("none") == "none"
    monkeypatch.setattr(process, "is_installed", lambda _: False)
    assert choose(None) == "none"
    monkeypatch.setenv(process.DEFAULT, "wandb")
    assert choose(None) == "wandb"


def test_folder_with_a_trackers_name_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()  # as W&B creates one in the current folder
    monkeypatch.syspath_prepend(tmp_path)
    assert not sync.is_installed("mlflow")


def test_second_tracking_process_is_rejected(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any, **__: Any) -> Recorder:  # noqa: ANN401
        with pytest.raises(StorageError, match="is being tracked by another process"):
            send(run, "trackio", lambda: True)
        return Recorder()

    monkeypatch.setattr(sync, "_open_tracker", again)
    assert send(run, "trackio", lambda: True) == ""
    first = json.loads((run.path / "track" / "track.json").read_text())["id"]
    monkeypatch.setattr(sync, "_open_tracker", lambda *_: Recorder())
    send(run, "wandb", lambda: True)
    assert json.loads((run.path / "track" / "track.json").read_text())["id"] == first


def test_trackio_uploads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.setenv(name, "me/space")
    monkeypatch.setattr("importlib.import_module", lambda name: name)
    _trackio.TrackioService("p")
    import os

    assert not {"TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"} & set(os.environ)
