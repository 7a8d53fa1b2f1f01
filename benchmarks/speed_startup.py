"""Startup time of commands that compute nothing, against an empty interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed_plan import Runs, compare
from benchmarks.speed_process import busy_cores, environment, limited

if TYPE_CHECKING:
    from benchmarks.speed_plan import Plan
    from benchmarks.speed_process import TaskResult
    from benchmarks.speed_results import Result

NOTHING = [sys.executable, "-c", "pass"]


def measure(plan: Plan) -> list[Result]:
    """Measure both rows. Commands alternate, in an empty folder; the first round is a warm-up."""
    commands = {"pass": NOTHING, "help": [*program(), "--help"], "runs": [*program(), "runs"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    busy = busy_cores()
    with tempfile.TemporaryDirectory() as folder, limited(plan.cores):
        for _ in range(plan.repeats * plan.sizes.startup_rounds + 1):
            for name, command in commands.items():
                seconds[name].append(timed(command, Path(folder)))
    runs = Runs({name: [{"seconds": values[1:]}] for name, values in seconds.items()}, busy)
    return [
        compare(
            f"startup-{name}", runs, (name, "pass"), _median, lambda ours, theirs: ours - theirs
        )
        for name in ("help", "runs")
    ]


def program() -> list[str]:
    """Return the installed ``huggingtweets`` of this interpreter, or the equivalent call."""
    installed = Path(sys.executable).with_name("huggingtweets")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from huggingtweets.cli import main; main()"]


def timed(command: list[str], folder: Path) -> float:
    """Return the wall-clock seconds of a command, which must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def _median(answer: TaskResult) -> float:
    return float(statistics.median(answer["seconds"]))
