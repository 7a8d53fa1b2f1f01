"""Call a function in a child process with limits, so that no input can harm this process.

A limit on time alone needs a thread, and a limit on memory can't be set for a part of a process. So
the function runs in a process of its own, which is killed when it reaches a limit, when the caller
no longer wants the result, and when this process ends.
"""

from __future__ import annotations

import base64
import json
import math
import pickle
import tempfile
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets import errors
from huggingtweets.processes import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO

    Send = Callable[[dict[str, Any]], None]
    """Sends a message to the caller's ``listen``."""

_POLL_SECONDS = 0.1
_CHILD = "huggingtweets.processes._limited_child"
_SHOWN_LOG = 4_000  # characters
_MEMORY_SIGNALS = (-6, -9)
"""Rust aborts when an allocation fails; Linux kills a process when the machine's memory is used."""

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "POLARS_MAX_THREADS": "2"}
"""Every thread reserves address space, which counts as memory: with 64 cores, gigabytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use.

    Attributes:
        memory_bytes: address space, and size of each file it writes; ignored on Windows.
        seconds: wall-clock time between two messages of the child.
        background: whether other processes have precedence over it.
        seconds_in_all: wall-clock time of the whole call.
    """

    memory_bytes: int
    seconds: float
    background: bool = False
    seconds_in_all: float = math.inf


class LimitError(Exception):
    """The child reached a limit or died.

    Args:
        reason: what happened; ``cancelled`` if the caller didn't want the result any more.
        detail: the end of what the child wrote to its log.
    """

    def __init__(
        self, reason: Literal["memory", "time", "died", "cancelled"], detail: str = ""
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def never() -> bool:
    """Return False: nobody cancels."""
    return False


def call(
    function: str,
    argument: object,
    limits: Limits,
    listen: Callable[[dict[str, Any]], None],
    is_cancelled: Callable[[], bool] = never,
    *,
    scratch: Path | None = None,
    inherit: Sequence[str] = (),
) -> Any:  # noqa: ANN401 - JSON
    """Call a function in a child process and return its result.

    Args:
        function: such as ``huggingtweets.module:name``. It gets the argument, and a function that
            sends a message (a dict) to ``listen``. It returns a value that JSON can express.
        argument: can be pickled.
        limits: of the child.
        listen: receives the child's messages, in this thread.
        is_cancelled: called ten times a second; True kills the child.
        inherit: variables that the child gets besides the harmless ones, as tokens.
        scratch: a folder of the caller's, which the child removes if this process dies.

    Raises:
        HuggingTweetsError: the same error as the function's.
        LimitError: the child reached a limit, died or was cancelled.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        child = ChildProcess(_CHILD, [], log, talks=True, environment=_ENVIRONMENT, inherit=inherit)
        try:
            request = pickle.dumps((function, argument, limits, scratch))
            child.send(base64.b64encode(request).decode("ascii"))
            return _await_result(child, limits, listen, is_cancelled, log)
        finally:
            child.kill()
            child.request_stop()


def _await_result(
    child: ChildProcess,
    limits: Limits,
    listen: Callable[[dict[str, Any]], None],
    is_cancelled: Callable[[], bool],
    log: IO[str],
) -> Any:  # noqa: ANN401
    messages: SimpleQueue[str | None] = SimpleQueue()

    def receive() -> None:
        for line in child.lines():
            messages.put(line)
        messages.put(None)

    threading.Thread(target=receive, name="limited-call", daemon=True).start()
    started = heard = time.monotonic()
    while True:
        if is_cancelled():
            raise LimitError("cancelled")
        if time.monotonic() > min(heard + limits.seconds, started + limits.seconds_in_all):
            raise LimitError("time")
        try:
            line = messages.get(timeout=_POLL_SECONDS)
        except Empty:
            continue
        if line is None or not line.endswith("\n"):
            raise _death(child.wait(limits.seconds), log)
        kind, value = json.loads(line)
        if kind == "result":
            return value
        if kind == "error":
            raise _error(value)
        listen(value)
        heard = time.monotonic()


def _error(value: list[str]) -> Exception:
    """Return the error that the child reported: an error for users, or a limit."""
    name, message = value
    kind = getattr(errors, name, None)
    return kind(message) if kind else LimitError("memory" if name == "memory" else "died", message)


def _death(code: int | None, log: IO[str]) -> LimitError:
    log.seek(0)
    text = log.read()[-_SHOWN_LOG:]
    is_memory = code in _MEMORY_SIGNALS or "memory allocation of" in text
    return LimitError("memory" if is_memory else "died", f"exit code {code}; {text}")
