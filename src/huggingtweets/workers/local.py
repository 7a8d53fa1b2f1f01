"""Workers that are processes of this machine."""

from __future__ import annotations

import json
import queue
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.processes import HUB_TOKENS, ChildProcess
from huggingtweets.storage import files
from huggingtweets.workers import OUT_OF_MEMORY, WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

_CHILD = "huggingtweets.workers.child"
_EXIT_SECONDS = 5.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
"""Torch, tokenizers and polars read them on import, so they are set when a worker starts."""


class LocalWorkers:
    """Processes of this machine.

    Args:
        count: number of processes.
        threads: of each process.
        function: returns the function that runs jobs, such as ``huggingtweets.module:name``.
        arguments: of that function.
        log: file for what the workers write to their standard error.
    """

    def __init__(
        self, count: int, threads: int, function: str, arguments: Sequence[str], log: Path
    ) -> None:
        self.count = count
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all = [_Worker([function, *arguments], threads, log) for _ in range(count)]
        for process in self._all:
            self._idle.put(process)
        # one thread per process waits for its answer
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="workers")

    def submit(self, author: str, job: Any, read: Callable[[Any], T]) -> Future[T]:  # noqa: ANN401
        """Start a job, which JSON can express."""
        return self._threads.submit(self._run, author, job, read)

    def close(self) -> None:
        """End all processes at once."""
        for process in self._all:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.reap()

    def _run(self, author: str, job: Any, read: Callable[[Any], T]) -> T:  # noqa: ANN401
        process = self._idle.get()
        try:
            return read(process.run(author, job))
        finally:
            self._idle.put(process)


class _Worker:
    """One worker process, started with its first job and restarted after a crash."""

    def __init__(self, arguments: list[str], threads: int, log: Path) -> None:
        self._arguments, self._threads, self._log = arguments, threads, log
        self._process: ChildProcess | None = None
        self._closed = False

    def run(self, author: str, job: Any) -> Any:  # noqa: ANN401 - JSON
        """Run a job and return the answer.

        Raises:
            WorkerDied: the process ended meanwhile.
        """
        if self._process is None:
            self._process = self._start()
            if self._closed:  # while it started
                self._process.kill()
        line = self._process.ask(json.dumps(job))
        if line is None:
            code = self.reap()
            end = "ran out of memory" if code == OUT_OF_MEMORY else f"ended with exit code {code}"
            raise WorkerDied(f"a worker {end} while training {author}")
        return json.loads(line)

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
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self._threads))
        with open(self._log, "a", encoding="utf-8", opener=files.private_opener) as errors:
            return ChildProcess(
                _CHILD, self._arguments, errors, talks=True, environment=threads, inherit=HUB_TOKENS
            )
