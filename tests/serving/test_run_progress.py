from __future__ import annotations

from typing import TYPE_CHECKING

from tests.helpers.finished_run import finished_run, training_events

from huggingtweets.serving.run_progress import MOST_POINTS, ProgressReader

if TYPE_CHECKING:
    from pathlib import Path


def test_the_course_goes_on_where_it_was_after_a_crash(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    watcher = ProgressReader()
    course = watcher.look(run)
    assert [point.step for point in course.curve] == list(range(1, 21))
    assert [point.step for point in course.held_out] == [0, 10, 20]
    assert len(course.samples) == 6
    # resumed at step 15: words first, then steps that come again
    run.append_event({"stage": "train", "done": 0, "total": 20, "message": "training on the CPU"})
    assert watcher.look(run).last["message"] == "training on the CPU"
    for step in (16, 17):
        run.append_event({"stage": "train", "done": step, "total": 20, "loss": 9.0})
    course = watcher.look(run)
    assert [point.step for point in course.curve] == list(range(1, 18))
    assert [point.loss for point in course.curve][-2:] == [9.0, 9.0]
    assert [point.step for point in course.held_out] == [0, 10]


def test_a_run_that_starts_over_begins_a_new_course(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    watcher = ProgressReader()
    watcher.look(run)
    for event in training_events()[:3]:
        run.append_event(event)
    course = watcher.look(run)
    assert [point.step for point in course.curve] == [1, 2]
    assert [point.step for point in course.held_out] == [0]


def test_a_long_course_is_thinned_out(tmp_path: Path) -> None:
    run = finished_run(tmp_path, ["one", "two"])
    lines = [{"stage": "train", "done": step, "loss": 1.0} for step in range(21, 1500)]
    for line in lines:
        run.append_event(line)
    course = ProgressReader().look(run)
    assert MOST_POINTS / 2 < len(course.curve) <= MOST_POINTS
    assert course.curve[0].step < 10
    assert course.curve[-1].step > 1490
