"""Time and memory to read and curate an X archive of a million posts.

    python benchmarks/archive.py [--posts 1000000] [--cache FOLDER] [--json]

The goal is under 60 s and 1.5 GB on two cores. The archive is synthetic (see ``archive_made``) and
is written once to the cache folder, by default in the system's temporary folder. A child process
reads and curates it. The benchmark measures wall-clock time, CPU time (which depends less on other
work on the machine) and peak resident memory, including interpreter and libraries. With --profile,
it prints the time of each function.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TypedDict

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.archive_made import MESSAGES, make_archive

from huggingtweets.curation import curate
from huggingtweets.sources import read_posts

GOAL_SECONDS = 60.0
GOAL_GB = 1.5
CACHE = Path(tempfile.gettempdir()) / "huggingtweets-archive"
PROFILE_LINES = 40


class Stage(TypedDict):
    """Cost of one stage."""

    seconds: float
    cpu: float
    peak_gb: float


class Measurement(TypedDict):
    """Report of a child process."""

    archive_mb: float
    unpacked_mb: float
    counts: dict[str, int]
    opened: list[str]
    reading: Stage
    curating: Stage
    in_all: Stage


def main() -> int:
    """Create the archive if needed, measure and print; return 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder for the synthetic archive"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="measure functions instead")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child)))
        return 0
    path = cached_archive(arguments.cache, arguments.posts)
    if arguments.profile:
        profile(path)
        return 0
    command = [sys.executable, __file__, "--child", str(path)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: Measurement = json.loads(child.stdout)
    report(result, as_json=arguments.json)
    return 0 if goal_met(result) else 1


def cached_archive(cache: Path, posts: int) -> Path:
    """Return the archive's path; write the archive if it doesn't exist yet."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{posts}.zip"
    if not path.exists():
        print(f"writing {path}, once", file=sys.stderr)
        # In a separate process: Linux starts a child's peak memory at its parent's.
        maker = multiprocessing.get_context("spawn").Process(
            target=make_archive, args=(path, posts)
        )
        maker.start()
        maker.join()
    return path


def measure(path: Path) -> Measurement:
    """Read and curate the archive in this process."""
    opened = _record_opened_members()
    start = _usage()
    posts = read_posts([path])
    read = _usage()
    curated = curate(posts)
    done = _usage()
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist() if info.filename in opened)
    return {
        "archive_mb": path.stat().st_size / 1e6,
        "unpacked_mb": unpacked / 1e6,
        "counts": curated.counts,
        "opened": sorted(opened),
        "reading": _between(start, read),
        "curating": _between(read, done),
        "in_all": _between(start, done),
    }


def profile(path: Path) -> None:
    """Print the slowest functions."""
    profiler = cProfile.Profile()
    posts = profiler.runcall(read_posts, [path])
    profiler.runcall(curate, posts)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(PROFILE_LINES)


def goal_met(result: Measurement) -> bool:
    """Return whether the goal was met and no private message was opened."""
    in_all = result["in_all"]
    within_goal = in_all["seconds"] < GOAL_SECONDS and in_all["peak_gb"] < GOAL_GB
    return within_goal and MESSAGES not in result["opened"]


def report(result: Measurement, *, as_json: bool) -> None:
    """Print the measurement and the goal."""
    if as_json:
        print(json.dumps(result))
        return
    print(" · ".join(f"{number:,} {name}" for name, number in result["counts"].items()))
    print(
        f"{result['archive_mb']:,.0f} MB, of which {len(result['opened'])} members of "
        f"{result['unpacked_mb']:,.0f} MB unpacked were opened"
    )
    print("| stage | seconds | CPU seconds | peak GB |\n|---|---:|---:|---:|")
    for name, stage in (
        ("reading", result["reading"]),
        ("curating", result["curating"]),
        ("in all", result["in_all"]),
    ):
        print(f"| {name} | {stage['seconds']:.1f} | {stage['cpu']:.1f} | {stage['peak_gb']:.2f} |")
    print(f"| goal | {GOAL_SECONDS:.0f} | | {GOAL_GB:.1f} |")


def _record_opened_members() -> set[str]:
    """Return a set that collects the name of each member opened from now on."""
    opened: set[str] = set()
    original_open = zipfile.ZipFile.open

    def recording_open(self: zipfile.ZipFile, name: zipfile.ZipInfo) -> object:
        opened.add(name.filename)
        return original_open(self, name)

    zipfile.ZipFile.open = recording_open  # type: ignore[method-assign, assignment]
    return opened


def _usage() -> Stage:
    """Return time and memory used by this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": time.perf_counter(), "cpu": cpu, "peak_gb": peak / 1e9}


def _between(start: Stage, end: Stage) -> Stage:
    return {
        "seconds": end["seconds"] - start["seconds"],
        "cpu": end["cpu"] - start["cpu"],
        "peak_gb": end["peak_gb"],
    }


if __name__ == "__main__":
    sys.exit(main())
