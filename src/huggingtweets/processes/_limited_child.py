"""The child process of :mod:`huggingtweets.processes.limited`.

The first line of its standard input is the request. When the input ends, because the parent did, so
does this process. Each line of its standard output is ``[kind, value]`` in JSON.
"""

from __future__ import annotations

import base64
import errno
import importlib
import json
import os
import pickle
import shutil
import sys
import threading
import traceback
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from huggingtweets import errors
from huggingtweets.errors import HuggingTweetsError
from huggingtweets.processes import lower_priority

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.processes.limited import Limits

_NICE = 5  # after the server, before a training


def main() -> None:
    """Answer the request."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may write between lines
        # From our own parent process, which no other process can write to.
        request = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))  # noqa: S301
        function, argument, limits, scratch = request
        threading.Thread(target=_exit_with_parent, args=(scratch,), daemon=True).start()
        _send(out, *_answer(function, argument, limits, out))
    os._exit(0)  # the threads of polars need not end in good order


def _answer(function: str, argument: object, limits: Limits, out: IO[str]) -> tuple[str, object]:
    try:
        _apply(limits)
        module, _, name = function.partition(":")
        call = getattr(importlib.import_module(module), name)
        return "result", call(argument, lambda message: _send(out, "message", message))
    except HuggingTweetsError as error:
        return "error", (_public_name(error), str(error))
    except BaseException as error:  # noqa: BLE001 - polars panics with a BaseException
        is_memory = _is_memory(error)
        return "error", ("memory" if is_memory else "", traceback.format_exc()[-4_000:])


def _public_name(error: HuggingTweetsError) -> str:
    """Return the name of the class, or of its nearest base class that the parent knows."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return next(names)


def _is_memory(error: BaseException) -> bool:
    """Return whether an allocation failed: of memory, or of a thread and its stack."""
    too_little = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return too_little or "start new thread" in str(error) or "Cannot allocate" in str(error)


def _apply(limits: Limits) -> None:
    if limits.background:
        lower_priority(_NICE)
    if sys.platform == "win32":
        return
    import resource

    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        _, most = resource.getrlimit(kind)
        wanted = limits.memory_bytes
        wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with suppress(OSError, ValueError):  # macOS refuses some values
            resource.setrlimit(kind, (wanted, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold the posts


def _send(out: IO[str], kind: str, value: object) -> None:
    out.write(json.dumps([kind, value]) + "\n")
    out.flush()


def _exit_with_parent(scratch: Path | None) -> None:
    with suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()
