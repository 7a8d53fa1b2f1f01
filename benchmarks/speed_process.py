"""Run a measurement in its own process.

A measuring module has a function ``measure(task)`` and ends with ``answer(measure)``. This module
imports only the standard library, so that a peer's process contains none of our packages.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Task = dict[str, Any]
Answer = dict[str, Any]
"""What ``measure`` gave and ``peak_mb``; or ``missing``, a package, or ``failed``, a sentence."""

ROOT = Path(__file__).resolve().parents[1]
_OUR_SETTINGS = ("GOMP_SPINCOUNT",)
"""Set for its process by importing ``huggingtweets.nn.devices``; a peer must not inherit them."""


def run(module: str, task: Task, cores: int | None = None) -> Answer:
    """Measure in a fresh interpreter, on as many cores as said.

    What goes wrong there is part of the answer: a peer that fails costs its row, not the others.

    Returns:
        The answer; ``peak_mb`` is the most memory the process held, interpreter and libraries
        included, as the system counts it when the process has ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered, said = (Path(folder) / name for name in ("task", "answer", "said"))
        asked.write_text(json.dumps(task), "utf-8")
        command = [sys.executable, "-m", module, str(asked), str(answered)]
        with said.open("wb") as stream, limited(cores):
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=stream, stderr=subprocess.STDOUT
            )
        try:
            # polars has waiting go on after Ctrl-C, but not sleeping
            while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
                time.sleep(0.02)
            _, status, usage = ended
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if not answered.exists():
            last = said.read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            return {"failed": f"{module} ended with status {process.returncode}: {last[:300]}"}
        found: Answer = json.loads(answered.read_text("utf-8"))
        return {"peak_mb": _megabytes(usage.ru_maxrss)} | found


def run_here(module: str, task: Task, cores: int | None = None) -> Answer:
    """The same in this process, to try the measuring out; the numbers mean little."""
    del cores
    peak = _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return {"peak_mb": peak} | _answer_of(importlib.import_module(module).measure, task)


def answer(measure: Callable[[Task], Answer]) -> None:
    """Do what the command line asks for; what a module that measures ends with."""
    asked, answered = (Path(argument) for argument in sys.argv[1:])
    answered.write_text(
        json.dumps(_answer_of(measure, json.loads(asked.read_text("utf-8")))), "utf-8"
    )


def _answer_of(measure: Callable[[Task], Answer], task: Task) -> Answer:
    try:
        return measure(task)
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:300]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return {"failed": f"{type(error).__name__} at {place}: {said}"}


def environment() -> Mapping[str, str]:
    """What a measured process inherits: what the user set, without what we set for ourselves."""
    return {name: value for name, value in os.environ.items() if name not in _OUR_SETTINGS}


@contextmanager
def limited(cores: int | None) -> Iterator[None]:
    """Processes started inside may use only so many cores (Linux)."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def busy_cores(seconds: float = 0.3) -> float | None:
    """Cores that others keep busy while this process waits; None where the system doesn't tell."""
    before = _ticks()
    if before is None:
        return None
    time.sleep(seconds)
    after = _ticks() or before
    idle, total = after[0] - before[0], after[1] - before[1]
    return round((os.cpu_count() or 1) * (1 - idle / total), 2) if total else None


def _ticks() -> tuple[int, int] | None:
    """Idle and all ticks of all cores since the machine started; stolen ones aren't idle."""
    try:
        line = Path("/proc/stat").read_text("ascii").split("\n", 1)[0]
    except OSError:
        return None
    ticks = [int(value) for value in line.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _megabytes(ru_maxrss: int) -> float:
    """Linux counts in KiB, macOS in bytes."""
    return round(ru_maxrss / 1e6 if sys.platform == "darwin" else ru_maxrss * 1024 / 1e6, 1)
