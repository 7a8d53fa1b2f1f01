"""Limits per visitor, so that one of them can't take the whole server."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_KEYS = 10_000


class SlidingWindow:
    """Allow ``limit`` events per key within any ``seconds``.

    The 10,000 most recently used keys are remembered, so memory stays bounded.

    Args:
        limit: number of events.
        seconds: length of the window.
        now: monotonic clock, in seconds.
    """

    def __init__(
        self, limit: int, seconds: float = 60.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._seconds, self._now = seconds, now
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def seconds_to_wait(self, key: str) -> float:
        """Seconds until the next event is allowed, 0 if it is allowed now."""
        now, times = self._now(), self._events.get(key, deque())
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return times[0] + self._seconds - now if len(times) >= self.limit else 0.0

    def record(self, key: str) -> None:
        """Count an event."""
        self._events.setdefault(key, deque(maxlen=self.limit)).append(self._now())
        self._events.move_to_end(key)
        while len(self._events) > _MAX_KEYS:
            self._events.popitem(last=False)


class RateLimit:
    """A limit of requests per minute for each visitor, and a larger one for each client.

    Several people may share a network address, but new cookies don't give one person more.

    Args:
        limit: requests of a visitor within any 60 seconds.
        per_client: how many times as many all visitors at one address may send.
        now: monotonic clock, in seconds.
    """

    def __init__(
        self, limit: int, per_client: int = 3, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._visitors = SlidingWindow(limit, now=now)
        self._clients = SlidingWindow(limit * per_client, now=now)
        self._lock = threading.Lock()

    def check(self, visitor: str, client: str = "") -> None:
        """Count a request; without a client, for the visitor only.

        Raises:
            InputError: a limit is exceeded; the message says how long to wait.
        """
        counted = [(self._visitors, visitor)] + ([(self._clients, client)] if client else [])
        with self._lock:
            for window, key in counted:
                if wait := window.seconds_to_wait(key):
                    seconds = max(1, round(wait))
                    raise InputError(
                        f"Too many requests: the limit is {window.limit} a minute"
                        f"{' for your network address' if window is self._clients else ''}. "
                        f"Try again in {seconds} second{'' if seconds == 1 else 's'}."
                    )
            for window, key in counted:
                window.record(key)
