"""Run a measurement in its own process.

A measuring module has a function ``measure(task)`` and ends with ``run_task(measure)``. This module
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
TaskResult = dict[str, Any]
"""The result of ``measure`` and ``peak_mb``; or ``missing`` (a package) or ``failed`` (why)."""

ROOT = Path(__file__).resolve().parents[1]
_OUR_SETTINGS = ("GOMP_SPINCOUNT",)
"""``huggingtweets.nn.devices`` sets these for its process; a peer must not inherit them."""


def run(module: str, task: Task, cores: int | None = None) -> TaskResult:
    """Measure in a new interpreter, on at most ``cores`` cores.

    An error is part of the result, so a peer that fails doesn't stop the others.

    Returns:
        The result. ``peak_mb`` is the peak resident memory of the process, including interpreter
        and libraries.
    """
    with tempfile.TemporaryDirectory() as folder:
        task_file, result_file, log = (Path(folder) / name for name in ("task", "result", "log"))
        task_file.write_text(json.dumps(task), "utf-8")
        command = [sys.executable, "-m", module, str(task_file), str(result_file)]
        with log.open("wb") as stream, limited(cores):
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=stream, stderr=subprocess.STDOUT
            )
        try:
            # with polars loaded, Ctrl-C interrupts sleeping, but not waiting
            while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
                time.sleep(0.02)
            _, status, usage = ended
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if not result_file.exists():
            last = log.read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            return {"failed": f"{module} ended with status {process.returncode}: {last[:300]}"}
        result: TaskResult = json.loads(result_file.read_text("utf-8"))
        return {"peak_mb": _megabytes(usage.ru_maxrss)} | result


def run_here(module: str, task: Task, cores: int | None = None) -> TaskResult:
    """Measure in this process, for tests; the numbers aren't valid."""
    del cores
    peak = _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return {"peak_mb": peak} | _measure_safely(importlib.import_module(module).measure, task)


def run_task(measure: Callable[[Task], TaskResult]) -> None:
    """Read the task file, measure, and write the result file, as the command line says."""
    task_file, result_file = (Path(argument) for argument in sys.argv[1:])
    result = _measure_safely(measure, json.loads(task_file.read_text("utf-8")))
    result_file.write_text(json.dumps(result), "utf-8")


def _measure_safely(measure: Callable[[Task], TaskResult], task: Task) -> TaskResult:
    try:
        return measure(task)
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    except Exception as error:  # noqa: BLE001 - any error of a peer is its result
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:300]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return {"failed": f"{type(error).__name__} at {place}: {message}"}


def environment() -> Mapping[str, str]:
    """Return the user's environment, without the variables that our package sets for itself."""
    return {name: value for name, value in os.environ.items() if name not in _OUR_SETTINGS}


@contextmanager
def limited(cores: int | None) -> Iterator[None]:
    """Limit processes started inside the block to ``cores`` cores (Linux)."""
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
    """Return how many cores other processes keep busy; None if the system doesn't say."""
    before = _ticks()
    if before is None:
        return None
    time.sleep(seconds)
    after = _ticks() or before
    idle, total = after[0] - before[0], after[1] - before[1]
    return round((os.cpu_count() or 1) * (1 - idle / total), 2) if total else None


def _ticks() -> tuple[int, int] | None:
    """Return the idle and all ticks of all cores since boot; stolen ones aren't idle."""
    try:
        line = Path("/proc/stat").read_text("ascii").split("\n", 1)[0]
    except OSError:
        return None
    ticks = [int(value) for value in line.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _megabytes(ru_maxrss: int) -> float:
    """Convert ``ru_maxrss``: Linux counts in KiB, macOS in bytes."""
    return round(ru_maxrss / 1e6 if sys.platform == "darwin" else ru_maxrss * 1024 / 1e6, 1)
