"""The server's worker processes: started, watched, started again when one dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.schemas import Settings

_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_TO_END = 70.0
"""A little more than a worker takes at most to save what it does."""

_LONGEST_PAUSE = 30.0  # seconds before a worker that keeps dying is started again


class WorkerPool:
    """Worker processes.

    Args:
        settings: of the server.
        home: ``OUT/.app``, where their log is.
        died: told the id of a worker's process after it died.
    """

    def __init__(self, settings: Settings, home: Path, died: Callable[[int], None]) -> None:
        self._settings, self._home, self._died = settings, home, died
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def processes(self) -> list[int]:
        """Their ids."""
        return [worker.pid for worker in self._workers]

    def start(self) -> None:
        """Start all workers."""
        self._workers = [self._start_one(i) for i in range(self._settings.workers)]
        self._thread = threading.Thread(target=self._watch, name="pool", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let all workers save and end."""
        self._ending.set()
        if self._thread:
            self._thread.join()
        for worker in self._workers:
            if worker.stdin:
                with suppress(OSError):
                    worker.stdin.close()
        for worker in self._workers:
            try:
                worker.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def _watch(self) -> None:
        pauses = [0.0] * len(self._workers)
        while not self._ending.wait(_SECONDS_BETWEEN_LOOKS):
            for number, worker in enumerate(self._workers):
                if worker.poll() is None:
                    continue
                if worker.stdin:
                    worker.stdin.close()
                self._died(worker.pid)
                if self._ending.wait(pauses[number]):
                    return
                pauses[number] = min(_LONGEST_PAUSE, 2 * pauses[number] + 0.5)
                self._workers[number] = self._start_one(number)

    def _start_one(self, number: int) -> subprocess.Popen[bytes]:
        """Start a worker; its standard input ends when this process does."""
        settings = self._settings
        options = ["--number", str(number), "--base", settings.base]
        options += ["--shared"] if settings.shared else []
        options += ["--queue", settings.queue] if settings.queue else []
        # -P: nothing in the folder the user happens to be in is taken for a package
        command = [sys.executable, "-P", "-m", "huggingtweets.serving.worker"]
        log = self._home / "worker.log"
        with files.wrap_os_errors(log), log.open("ab") as opened:
            log.chmod(0o600)
            return subprocess.Popen(  # noqa: S603 - our own module
                [*command, str(settings.out.absolute()), *options],
                stdin=subprocess.PIPE,
                stdout=opened,
                stderr=opened,
                start_new_session=True,  # Ctrl-C is for the server
            )
