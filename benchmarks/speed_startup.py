"""Startup time of commands that compute nothing, against an empty interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Runs, compared
from benchmarks.speed_process import busy_cores, environment, limited

if TYPE_CHECKING:
    from benchmarks.speed_plan import Plan
    from benchmarks.speed_process import Answer
    from benchmarks.speed_results import Result

NOTHING = [sys.executable, "-c", "pass"]


def measure(plan: Plan) -> list[Result]:
    """Both rows; every command starts in turn, in an empty folder, after one round not counted."""
    commands = {"pass": NOTHING, "help": [*program(), "--help"], "runs": [*program(), "runs"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    busy = busy_cores()
    with tempfile.TemporaryDirectory() as folder, limited(plan.cores):
        for _ in range(plan.repeats * plan.sizes.startup_rounds + 1):
            for name, command in commands.items():
                seconds[name].append(timed(command, Path(folder)))
    runs = Runs({name: [{"seconds": values[1:]}] for name, values in seconds.items()}, busy)
    return [
        compared(
            f"startup-{name}", runs, (name, "pass"), _median, lambda ours, theirs: ours - theirs
        )
        for name in ("help", "runs")
    ]


def program() -> list[str]:
    """The command as it was installed beside this interpreter, or what it does."""
    installed = Path(sys.executable).with_name("huggingtweets")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from huggingtweets.cli import main; main()"]


def timed(command: list[str], folder: Path) -> float:
    """Wall-clock seconds of a command, which must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def _median(answer: Answer) -> float:
    return float(statistics.median(answer["seconds"]))
