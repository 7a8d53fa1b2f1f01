"""How much one visitor may ask for, so that there is something left for the others."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 60.0
_MOST_VISITORS = 10_000  # that are remembered


class Rate:
    """At most so many requests a minute of each visitor.

    Args:
        most: requests in any 60 seconds.
        now: the clock, in seconds.
    """

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now = most, now
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, visitor: str) -> None:
        """Count a request.

        Raises:
            InputError: it is one too many; it says how long to wait.
        """
        with self._lock:
            now = self._now()
            times = self._times.setdefault(visitor, deque())
            self._times.move_to_end(visitor)
            while times and times[0] <= now - _SECONDS:
                times.popleft()
            if len(times) >= self._most:
                wait = max(1, round(times[0] + _SECONDS - now))
                raise InputError(
                    f"That were more than {self._most} requests in a minute; "
                    f"try again in {wait} second{'' if wait == 1 else 's'}."
                )
            times.append(now)
            while len(self._times) > _MOST_VISITORS:
                self._times.popitem(last=False)
