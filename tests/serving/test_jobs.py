"""The queue: order, claims and late reports."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import copy_run

from huggingtweets.serving.jobs import Job, JobStore, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder


def waiting_jobs(home: Path, *jobs: tuple[str, int]) -> JobStore:
    """A store with one waiting job per name and priority, in this order."""
    store = JobStore(home)
    for number, (name, priority) in enumerate(jobs):
        store.save(Job("me", name, None, priority=priority, number=number))
    return store


def test_jobs_are_claimed_by_priority_then_in_order(tmp_path: Path) -> None:
    assert JobStore(tmp_path).claim() is None
    store = waiting_jobs(tmp_path, ("a1", 0), ("a2", -1), ("a3", -2), ("b1", 0), ("b2", -1))
    claimed = []
    while job := store.claim():
        assert store.progress(job).state == "reading"
        claimed.append(job.name)
    assert claimed == ["a1", "b1", "a2", "b2", "a3"]


def test_job_queued_after_a_long_idle_time_is_claimed(tmp_path: Path) -> None:
    store = waiting_jobs(tmp_path, ("ann", 0))
    assert store.claim() is not None
    os.utime(tmp_path / "jobs", (1_000_000, 1_000_000))
    assert store.claim() is None
    assert store._idle_at == 1_000_000
    waiting_jobs(tmp_path, ("bob", 0))
    job = store.claim()
    assert job is not None
    assert job.name == "bob"


def test_each_job_is_claimed_by_exactly_one_worker(tmp_path: Path) -> None:
    waiting_jobs(tmp_path, *((f"job{i}", 0) for i in range(12)))
    code = """
import sys
from pathlib import Path
from huggingtweets.serving.jobs import JobStore
store = JobStore(Path(sys.argv[1]))
while job := store.claim():
    print(job.name, store.progress(job).worker)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [line.split() for worker in workers for line in worker.communicate()[0].splitlines()]
    assert sorted(name for name, _ in lines) == sorted(f"job{i}" for i in range(12))
    assert {int(worker) for _, worker in lines} <= {worker.pid for worker in workers}


def test_late_report_of_an_earlier_turn_does_not_free_a_claimed_job(tmp_path: Path) -> None:
    store = waiting_jobs(tmp_path, ("ann", 0))
    first = store.claim()
    assert first is not None
    store.requeue(first)
    second = store.claim()
    assert second is not None
    store.set_progress(first, Progress(first.turn, "waiting"))  # its worker was still saving
    assert store.progress(second).state == "reading"
    assert store.claim() is None


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:20],
    "empty": lambda _: b"",
    "binary": lambda _: bytes(range(256)),
    "another type": lambda content: content.replace(b'"number": 1', b'"number": "x"'),
    "another kind": lambda _: b"[1, 2]",
    "another name": lambda content: content.replace(b'"name": "ann"', b'"name": "bob"'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_job_is_set_aside_and_continues_from_its_run_folder(
    damage: str,
    tmp_path: Path,
    finished: RunFolder,
    start_service: Callable[..., Service],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    record = run.record()
    record.state = "training"
    run.save(record)
    store = JobStore(tmp_path / "runs" / ".app")
    store.save(Job("me", "ann", None, number=1))
    store.save(Job("me", "other", None, number=2))
    folder = tmp_path / "runs" / ".app" / "jobs"
    file = folder / "me.ann.json"
    damaged = DAMAGE[damage](file.read_bytes())
    file.write_bytes(damaged)
    service = start_service()
    assert {(job.name, job.wanted) for job in store.unfinished()} == {
        ("ann", "run"),
        ("other", "run"),
    }
    assert service.status("me", "ann").state == "waiting"
    assert (folder / "me.ann.json.damaged-1").read_bytes() == damaged
    assert [record.message for record in caplog.records] == [
        f"{file} is damaged; it is kept as me.ann.json.damaged-1."
    ]


def test_a_stopped_training_with_a_damaged_request_stays_stopped(
    tmp_path: Path, finished: RunFolder, start_service: Callable[..., Service]
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    record = run.record()
    record.state = "training"
    run.save(record)
    store = waiting_jobs(tmp_path / "runs" / ".app", ("ann", 0), ("lost", 0))
    store.set_progress(store.all()[0], Progress(1, "stopped"))
    for name in ("ann", "lost"):
        (tmp_path / "runs" / ".app" / "jobs" / f"me.{name}.json").write_bytes(b"?")
    service = start_service()
    assert not store.unfinished()
    assert service.status("me", "ann").state == "stopped"


def test_a_folder_of_jobs_that_is_a_file_is_set_aside(
    tmp_path: Path, start_service: Callable[..., Service]
) -> None:
    home = tmp_path / "runs" / ".app"
    home.mkdir(parents=True)
    (home / "jobs").write_text("?")
    start_service()
    assert (home / "jobs.damaged-1").read_text() == "?"
    assert JobStore(home).claim() is None
