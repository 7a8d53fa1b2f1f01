"""Ctrl-C while training: finish the step, save, ask once, stop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class Interrupt:
    """Remembers that the user pressed Ctrl-C, so that the loop can save before it stops.

    Args:
        confirm: asked once everything is saved; True stops. A second Ctrl-C while it asks stops
            as well.
    """

    def __init__(self, confirm: Callable[[], bool] = lambda: True) -> None:
        self._confirm = confirm
        self.requested = False

    def confirmed(self) -> bool:
        """Ask, with Ctrl-C meaning yes; a no clears the request."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            stop = self._confirm()
        except KeyboardInterrupt:
            stop = True
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, before)
        self.requested = False
        return stop

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch SIGINT and SIGTERM; only the main thread may, elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._remember)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
