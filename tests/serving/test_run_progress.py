from __future__ import annotations

from typing import TYPE_CHECKING

from tests.helpers.finished_run import finished_run, training_events

from huggingtweets.serving.run_progress import MAX_POINTS, ProgressReader

if TYPE_CHECKING:
    from pathlib import Path


def test_progress_continues_after_a_crash(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    reader = ProgressReader()
    progress = reader.update(run)
    assert [point.step for point in progress.curve] == list(range(1, 21))
    assert [point.step for point in progress.held_out] == [0, 10, 20]
    assert len(progress.samples) == 6
    # resumed at step 15: a message first, then repeated steps
    run.append_event({"stage": "train", "done": 0, "total": 20, "message": "training on the CPU"})
    assert reader.update(run).last["message"] == "training on the CPU"
    for step in (16, 17):
        run.append_event({"stage": "train", "done": step, "total": 20, "loss": 9.0})
    progress = reader.update(run)
    assert [point.step for point in progress.curve] == list(range(1, 18))
    assert [point.loss for point in progress.curve][-2:] == [9.0, 9.0]
    assert [point.step for point in progress.held_out] == [0, 10]


def test_progress_starts_over_with_the_run(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    reader = ProgressReader()
    reader.update(run)
    for event in training_events()[:3]:
        run.append_event(event)
    progress = reader.update(run)
    assert [point.step for point in progress.curve] == [1, 2]
    assert [point.step for point in progress.held_out] == [0]


def test_long_curve_is_thinned(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    lines = [{"stage": "train", "done": step, "loss": 1.0} for step in range(21, 1500)]
    for line in lines:
        run.append_event(line)
    progress = ProgressReader().update(run)
    assert MAX_POINTS / 2 < len(progress.curve) <= MAX_POINTS
    assert progress.curve[0].step < 10
    assert progress.curve[-1].step > 1490
