"""Who trains: processes on this machine, or a Ray cluster. Both take a job and promise an outcome.

A job is one recipe on one author, and its outcome depends on nothing else, so it doesn't matter
which worker takes it, and one that a dying worker left behind is simply given out again.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.sweep.trial import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.sweep.trial import Job

_WORKER = "huggingtweets.sweep.worker"
_SECONDS_TO_END = 5.0
_THREADS_OF = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
"""Read when torch, tokenizers and polars load, so they must be there from a worker's start."""


class WorkerDied(Exception):  # noqa: N818 - what happened; the job is given out again
    """A worker ended in the middle of a job."""


class Workers(Protocol):
    """Takes jobs and does several at once."""

    @property
    def count(self) -> int:
        """How many jobs at once."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Begin a job.

        The future raises :class:`WorkerDied` where the job has to be given out again, and
        :class:`~huggingtweets.errors.TrainingError` where no worker can do it.
        """

    def close(self) -> None:
        """End all workers at once, jobs under way included."""


def open_workers(spec: str, authors: Path) -> Workers:
    """Start the workers that ``--workers`` names: ``local:N``, ``ray`` or ``ray://HOST:PORT``.

    Args:
        spec: which.
        authors: the sweep's Parquet file of posts.

    Raises:
        InputError: there are no such workers.
    """
    if spec == "ray" or spec.startswith("ray:"):
        from huggingtweets.sweep.ray_workers import RayWorkers

        return RayWorkers(spec, authors)
    return LocalWorkers(local_count(spec), authors)


def check(spec: str) -> None:
    """Refuse what :func:`open_workers` would, before anything is read or written.

    Raises:
        InputError: there are no such workers.
    """
    if spec == "ray" or spec.startswith("ray:"):
        from huggingtweets.sweep.ray_workers import load_ray

        load_ray()
    else:
        local_count(spec)


def local_count(spec: str) -> int:
    """The N of ``local:N``.

    Raises:
        InputError: it is something else.
    """
    found = re.fullmatch(r"local(?::(\d+))?", spec)
    count = int(found[1] or 1) if found else 0
    if not 1 <= count <= 512:
        raise InputError(
            f"--workers must be local:N with N from 1 to 512, ray or ray://HOST:PORT, not {spec!r}."
        )
    return count


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads_each(count: int) -> int:
    """An even share of the cores, or less where the user wants less."""
    share = max(1, cores() // count)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(wanted)) if wanted.isdigit() and int(wanted) else share


class LocalWorkers:
    """Processes of this machine that share its cores evenly.

    Args:
        count: of processes.
        authors: the sweep's Parquet file of posts; the workers' log comes beside its folder.
    """

    def __init__(self, count: int, authors: Path) -> None:
        self.count = count
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all = [_Process(authors, _threads_each(count)) for _ in range(count)]
        for process in self._all:
            self._idle.put(process)
        # a thread for each process waits for its answer
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sweep")

    def submit(self, job: Job) -> Future[Outcome]:
        """Begin a job."""
        return self._threads.submit(self._do, job)

    def close(self) -> None:
        """End all processes at once."""
        for process in self._all:
            process.end()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.let_go()

    def _do(self, job: Job) -> Outcome:
        process = self._idle.get()
        try:
            return process.do(job)
        finally:
            self._idle.put(process)


class _Process:
    """One worker process, started with its first job and again when it has died."""

    def __init__(self, authors: Path, threads: int) -> None:
        self._authors, self._threads = authors, threads
        self._running: subprocess.Popen[str] | None = None
        self._ended = False

    def do(self, job: Job) -> Outcome:
        """Have a job done.

        Raises:
            WorkerDied: the process ended meanwhile.
            TrainingError: the job can't be done by any worker.
        """
        if self._running is None:
            self._running = self._start()
        line = ""
        with suppress(OSError):  # a pipe that the other side has closed
            _write(self._running, json.dumps(job.as_json()))
            line = _read(self._running)
        if not line.endswith("\n"):
            code = self.let_go()
            raise WorkerDied(f"a worker ended with exit code {code} while training @{job.author}")
        answer = json.loads(line)
        if "fault" in answer:
            raise TrainingError(answer["fault"])
        return Outcome(**answer["outcome"])

    def end(self) -> None:
        """Kill the process; the one who waits for its answer is told that it died."""
        self._ended = True
        if self._running is not None:
            self._running.kill()

    def _start(self) -> subprocess.Popen[str]:
        if self._ended:
            raise WorkerDied("the workers were closed")
        log = self._authors.parent.parent / "workers.log"
        with log.open("a", encoding="utf-8") as errors:
            return subprocess.Popen(  # noqa: S603 - our own module
                # -P: nothing in the folder the user happens to be in is taken for a package
                [sys.executable, "-P", "-m", _WORKER, str(self._authors.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=os.environ | dict.fromkeys(_THREADS_OF, str(self._threads)),
                start_new_session=True,  # Ctrl-C is for who gives out the jobs
            )

    def let_go(self) -> int | None:
        """Reap a process that has closed its side; its exit code."""
        process, self._running = self._running, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            return process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _write(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout is not None else ""
