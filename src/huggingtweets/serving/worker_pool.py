"""The server's worker processes, restarted when one dies."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.nn import bases
from huggingtweets.processes import HUB_TOKENS, ChildProcess
from huggingtweets.sources.api_tokens import X_VARIABLES
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.schemas import Settings
    from huggingtweets.serving.watchdog import Watchdog

_POLL_SECONDS = 0.3
_STOP_SECONDS = 70.0
"""A little longer than a worker may take to save its checkpoint."""

_LONGEST_PAUSE = 30.0  # seconds before a worker that keeps dying is restarted
_THREAD = "worker pool"


class WorkerPool:
    """Worker processes.

    Args:
        settings: of the server.
        home: ``OUT/.app``, which holds their log.
        watchdog: watches the thread that restarts workers.
        on_death: called with the process id of a worker that died.
    """

    def __init__(
        self,
        settings: Settings,
        home: Path,
        watchdog: Watchdog,
        on_death: Callable[[int], None],
    ) -> None:
        self._settings, self._home, self._on_death = settings, home, on_death
        self._watchdog = watchdog
        self._workers: list[ChildProcess] = []
        self._pauses = [0.0] * settings.workers  # before the next restart of each
        self._due = [0.0] * settings.workers
        self._ending = threading.Event()

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def start(self) -> None:
        """Start all workers."""
        self._workers = [self._start_worker(i) for i in range(self._settings.workers)]
        self._watchdog.start(_THREAD, self._supervise)

    def stop(self) -> None:
        """Stop all workers after they have saved their checkpoints."""
        self._ending.set()
        self._watchdog.join(_THREAD)
        for worker in self._workers:
            worker.request_stop()
        for worker in self._workers:
            if worker.wait(_STOP_SECONDS) is None:
                worker.kill()

    def _supervise(self) -> None:
        while not self._ending.wait(_POLL_SECONDS):
            for number, worker in enumerate(self._workers):
                if worker.exit_code is not None and time.monotonic() >= self._due[number]:
                    self._replace(number, worker)

    def _replace(self, number: int, worker: ChildProcess) -> None:
        """Requeue a dead worker's training and start another worker; try later if that fails."""
        self._pauses[number] = min(_LONGEST_PAUSE, 2 * self._pauses[number] + 0.5)
        self._due[number] = time.monotonic() + self._pauses[number]
        worker.request_stop()  # closes its pipe
        try:
            self._on_death(worker.pid)
            self._workers[number] = self._start_worker(number)
        except (OSError, HuggingTweetsError) as error:  # a full disk, no memory for a process
            logging.getLogger(__name__).warning("A worker can't be started again: %s", error)

    def _start_worker(self, number: int) -> ChildProcess:
        settings = self._settings
        options = ["--number", str(number), "--base", settings.base]
        options += ["--shared"] if settings.shared else []
        options += ["--local-accounts"] if settings.local_accounts else []
        log = self._home / "worker.log"
        with files.wrap_os_errors(log), open(log, "ab", opener=files.private_opener) as opened:
            log.chmod(0o600)
            arguments = [str(settings.out.absolute()), *options]
            return ChildProcess(
                "huggingtweets.serving.worker", arguments, opened, inherit=_secrets(settings)
            )


def _secrets(settings: Settings) -> list[str]:
    """The variables with secrets that a training of this server may need.

    Visitors name only accounts that need no token. A server that its owner uses alone reads from X
    and tracks, as the command line does.
    """
    alone = () if settings.shared else (*X_VARIABLES, "WANDB_*", "DBUS_SESSION_BUS_ADDRESS")
    open_bases = (*bases.BUILT_IN, "gpt2")  # other bases may be private ones on the Hub
    given = (settings.base, *settings.bases)
    from_hub = any(base not in open_bases and not Path(base).exists() for base in given)
    return [*alone, *(HUB_TOKENS if from_hub or not settings.shared else ())]
