"""A watchdog for the server's threads: it starts one again that has ended too early."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
"""Seconds before a thread that ends again and again is started the next time."""


@dataclass
class _Watched:
    """A function, the thread it runs in, and when that may be started again."""

    function: Callable[[], None]
    thread: threading.Thread
    pause: float = 0.0
    due: float = 0.0


class Watchdog:
    """Watches the threads of one server."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, name: str, function: Callable[[], None]) -> None:
        """Run a function in a thread, and again whenever it raises or returns.

        Args:
            name: of the thread.
            function: what it runs. It finds the state that its predecessor left.
        """
        with self._lock:
            self._watched[name] = _Watched(function, _start_thread(name, function))
            if self._thread is None:
                self._thread = _start_thread("watchdog", self._watch)

    def join(self, name: str) -> None:
        """Stop watching a thread and wait for its end, which the caller has asked it for."""
        with self._lock:
            watched = self._watched.pop(name, None)
        if watched is not None:
            watched.thread.join()

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL_SECONDS)
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                for name, watched in self._watched.items():
                    if not watched.thread.is_alive() and time.monotonic() >= watched.due:
                        _restart(name, watched)


def _restart(name: str, watched: _Watched) -> None:
    logging.getLogger(__name__).warning("The thread %r ended; it is started again.", name)
    watched.pause = min(_LONGEST_PAUSE, 2 * watched.pause + 0.5)
    watched.due = time.monotonic() + watched.pause
    try:
        watched.thread = _start_thread(name, watched.function)
    except RuntimeError as error:  # no more threads can be started now
        logging.getLogger(__name__).warning("It can't be started: %s.", error)


def _start_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread
