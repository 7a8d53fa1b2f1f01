"""Who may preview sources when: few previews at a time, so that they leave room for the pages."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOGETHER = 2
"""Each may take 2 GB of memory (:data:`huggingtweets.sources.reading.VISITORS`) and a core."""

_MOST_WAITING, _MOST_WAITING_OF_A_VISITOR = 20, 4  # each occupies a thread of the server
_POLL_SECONDS = 0.1


class PreviewTurns:
    """Turns in the order of asking, except for visitors who have all their own turns already.

    Args:
        each: turns of one visitor at a time; None for all.
    """

    def __init__(self, each: int | None) -> None:
        self._each = each or _TOGETHER
        self._changed = threading.Condition()
        self._running: Counter[str] = Counter()
        self._waiting: dict[object, str] = {}  # in order; the visitor of each

    @contextmanager
    def take(self, visitor: str, is_cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait for a turn and hold it.

        Raises:
            InputError: too many are waiting.
            Interrupted: it was cancelled.
        """
        with self._changed:
            own = sum(who == visitor for who in self._waiting.values())
            if own >= _MOST_WAITING_OF_A_VISITOR or len(self._waiting) >= _MOST_WAITING:
                raise InputError("The server is reading many files; try again in a minute.")
            ticket = object()
            self._waiting[ticket] = visitor
            try:
                while self._next() is not ticket:
                    if is_cancelled():
                        raise Interrupted("Stopped while waiting for other previews.")
                    self._changed.wait(_POLL_SECONDS)
                self._running[visitor] += 1
            finally:
                del self._waiting[ticket]
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running[visitor] -= 1
                self._running += Counter()  # drop zeros
                self._changed.notify_all()

    def _next(self) -> object | None:
        """Return the ticket whose turn it is."""
        if self._running.total() >= _TOGETHER:
            return None
        allowed = (t for t, who in self._waiting.items() if self._running[who] < self._each)
        return next(allowed, None)
