"""The durable queue of trainings: huey, on SQLite or Redis.

It only holds which training comes when. What was ordered is in files (see ``jobs``), so a queue
that lost a task with the worker that had taken it can be filled again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from huey.api import Huey

Work = Callable[[str, int], None]
"""Does a training, told by its id and turn."""


class Queue:
    """Trainings that wait, those of higher priority first, then in the order they came.

    Args:
        home: of the server; SQLite's file is there.
        address: None for SQLite, or ``redis://HOST:PORT/DB``.
        work: what a worker does with a training's id and turn; a server needs none.

    Raises:
        InputError: huey or the client of Redis isn't installed, or the address is none.
    """

    def __init__(self, home: Path, address: str | None = None, work: Work | None = None) -> None:
        self._huey = _open(home, address)
        self._lock = threading.Lock()

        def train(job: str, turn: int) -> None:
            if work is not None:
                work(job, turn)

        self._task = self._huey.task(name="train")(train)

    def put(self, job: str, turn: int, priority: int) -> None:
        """Add a training."""
        with self._lock:
            self._task(job, turn, priority=priority)

    def process_next(self) -> bool:
        """Take the next training and do it, in this thread; False when none waits."""
        with self._lock:
            task = self._huey.dequeue()
        if task is None:
            return False
        self._huey.execute(task)
        return True

    def empty(self) -> None:
        """Let no training wait any more."""
        with self._lock:
            self._huey.storage.flush_queue()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._huey.storage.close()


def _open(home: Path, address: str | None) -> Huey:
    try:
        from huey import PriorityRedisHuey, SqliteHuey
        from huey.exceptions import ConfigurationError
    except ImportError as error:
        raise InputError(
            "The app needs huey, which isn't installed: pip install 'huggingtweets[app]'"
        ) from error
    if address is None:
        home.mkdir(parents=True, exist_ok=True)
        return SqliteHuey("trainings", filename=str(home / "queue.db"), results=False, fsync=True)
    if not address.startswith(("redis://", "rediss://", "unix://")):
        raise InputError(f"The queue must be a redis:// address, not {address.split('@')[-1]!r}.")
    try:
        return PriorityRedisHuey("trainings", url=address, results=False)
    except ConfigurationError as error:
        raise InputError("A queue on Redis needs its client: pip install redis") from error
