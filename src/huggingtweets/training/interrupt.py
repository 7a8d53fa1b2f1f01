"""Ctrl-C during training: finish the step, save, ask for confirmation, stop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class Interrupt:
    """Records Ctrl-C so that the training loop can save before it stops.

    Args:
        confirm: called after saving; True stops the training, as does a second Ctrl-C during the
            call.
    """

    def __init__(self, confirm: Callable[[], bool] = lambda: True) -> None:
        self._confirm = confirm
        self.requested = False

    def confirmed(self) -> bool:
        """Ask for confirmation and clear the request; Ctrl-C counts as yes."""
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
        """Handle SIGINT and SIGTERM inside; outside the main thread this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._request)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
