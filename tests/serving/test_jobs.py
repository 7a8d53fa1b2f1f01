"""The queue: order, claims and late reports."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from huggingtweets.serving.jobs import Job, JobStore, Progress

if TYPE_CHECKING:
    from pathlib import Path


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
