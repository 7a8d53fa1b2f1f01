"""Workers of a sweep: processes on this machine, or a Ray cluster.

A job is one recipe on one author, and its outcome depends on nothing else. So any worker can run
it, and the job of a dead worker is retried.
"""

from __future__ import annotations

import json
import os
import queue
import re
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.processes import HUB_TOKENS, ChildProcess
from huggingtweets.storage import files
from huggingtweets.sweep.trial import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.sweep.trial import Job

_WORKER = "huggingtweets.sweep.worker"
_EXIT_SECONDS = 5.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
"""Torch, tokenizers and polars read them on import, so they are set when a worker starts."""


class WorkerDied(Exception):  # noqa: N818 - an event; the job is retried
    """A worker died during a job."""


class Workers(Protocol):
    """Runs several jobs at once."""

    @property
    def count(self) -> int:
        """Number of concurrent jobs."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job.

        The future raises :class:`WorkerDied` if the job must be retried, and
        :class:`~huggingtweets.errors.TrainingError` if no worker can do it.
        """

    def close(self) -> None:
        """End all workers at once, including running jobs."""


def open_workers(spec: str, authors: Path) -> Workers:
    """Start the workers that ``--workers`` names: ``local:N``, ``ray`` or ``ray://HOST:PORT``.

    Args:
        spec: value of ``--workers``.
        authors: the sweep's Parquet file of posts.

    Raises:
        InputError: ``spec`` is invalid, or Ray is missing.
    """
    if spec == "ray" or spec.startswith("ray:"):
        from huggingtweets.sweep.ray_workers import RayWorkers

        return RayWorkers(spec, authors)
    return LocalWorkers(local_count(spec), authors)


def check(spec: str) -> None:
    """Check ``--workers`` before anything is read or written.

    Raises:
        InputError: ``spec`` is invalid, or Ray is missing.
    """
    if spec == "ray" or spec.startswith("ray:"):
        from huggingtweets.sweep.ray_workers import load_ray

        load_ray()
    else:
        local_count(spec)


def local_count(spec: str) -> int:
    """Return the N of ``local:N``.

    Raises:
        InputError: ``spec`` has another form.
    """
    match = re.fullmatch(r"local(?::(\d+))?", spec)
    count = int(match[1] or 1) if match else 0
    if not 1 <= count <= 512:
        raise InputError(
            f"--workers must be local:N with N from 1 to 512, ray or ray://HOST:PORT, not {spec!r}."
        )
    return count


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads_each(count: int) -> int:
    """Return an even share of the cores, at most ``$OMP_NUM_THREADS``."""
    share = max(1, cores() // count)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) else share


class LocalWorkers:
    """Processes of this machine that share its cores evenly.

    Args:
        count: number of processes.
        authors: the sweep's Parquet file of posts; the workers' log is in its parent's parent.
    """

    def __init__(self, count: int, authors: Path) -> None:
        self.count = count
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all = [_Worker(authors, _threads_each(count)) for _ in range(count)]
        for process in self._all:
            self._idle.put(process)
        # one thread per process waits for its answer
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sweep")

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        return self._threads.submit(self._run, job)

    def close(self) -> None:
        """End all processes at once."""
        for process in self._all:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.reap()

    def _run(self, job: Job) -> Outcome:
        process = self._idle.get()
        try:
            return process.run(job)
        finally:
            self._idle.put(process)


class _Worker:
    """One worker process, started with its first job and restarted after a crash."""

    def __init__(self, authors: Path, threads: int) -> None:
        self._authors, self._threads = authors, threads
        self._process: ChildProcess | None = None
        self._closed = False

    def run(self, job: Job) -> Outcome:
        """Run a job.

        Raises:
            WorkerDied: the process ended meanwhile.
            TrainingError: no worker can run the job.
        """
        if self._process is None:
            self._process = self._start()
        line = self._process.ask(json.dumps(job.as_json()))
        if line is None:
            code = self.reap()
            raise WorkerDied(f"a worker ended with exit code {code} while training {job.author}")
        answer = json.loads(line)
        if "fault" in answer:
            raise TrainingError(answer["fault"])
        return Outcome(**answer["outcome"])

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer gets :class:`WorkerDied`."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def reap(self) -> int | None:
        """Close the pipes, wait for the end and return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.request_stop()
        code = process.wait(_EXIT_SECONDS)
        return process.kill() if code is None else code

    def _start(self) -> ChildProcess:
        if self._closed:
            raise WorkerDied("the workers were closed")
        log = self._authors.parent.parent / "workers.log"
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self._threads))
        with open(log, "a", encoding="utf-8", opener=files.private_opener) as errors:
            arguments = [str(self._authors.absolute())]
            return ChildProcess(
                _WORKER, arguments, errors, talks=True, environment=threads, inherit=HUB_TOKENS
            )
