"""What Ctrl-C does: raise KeyboardInterrupt, but not in the middle of an import.

Python raises it wherever the program is. During an import of torch or numpy, it can get lost, end
the process by SIGABRT, or leave half of a module behind, which fails later with another error.
"""

from __future__ import annotations

import _thread
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_SECONDS_BETWEEN_TRIES = 0.05


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise KeyboardInterrupt as soon as no import is running.

    Raises:
        KeyboardInterrupt: always, but later if an import is running.
    """
    if _is_importing(frame):
        # the lowest way to start a thread: threading's own locks may be held where a signal arrives
        _thread.start_new_thread(_signal_again, (signal.Signals(number),))
        return
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _signal_again(number: signal.Signals) -> None:
    time.sleep(_SECONDS_BETWEEN_TRIES)
    _thread.interrupt_main(number)
