"""Time and memory to read and curate an X archive of a million posts.

    python benchmarks/archive.py [--posts 1000000] [--cache FOLDER] [--json]

The goal is under 60 s and 1.5 GB on two cores. The archive is synthetic (see ``archive_made``) and
is written once to the cache folder, by default in the system's temporary folder. A child process
reads and curates it. Measured are wall-clock time, CPU time, which depends less on other work on
the machine, and peak resident memory, including interpreter and libraries. With --profile, the time
of each function is printed.
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
SHOWN = 40  # functions in a profile


class Stage(TypedDict):
    """What a stage took."""

    seconds: float
    cpu: float
    peak_gb: float


class Measurement(TypedDict):
    """What a child process reports."""

    archive_mb: float
    unpacked_mb: float
    counts: dict[str, int]
    opened: list[str]
    reading: Stage
    curating: Stage
    in_all: Stage


def main() -> int:
    """Make the archive where it isn't there, measure, print; the status tells of the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the made-up archive")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="measure functions instead")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child)))
        return 0
    path = made(arguments.cache, arguments.posts)
    if arguments.profile:
        profile(path)
        return 0
    command = [sys.executable, __file__, "--child", str(path)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: Measurement = json.loads(child.stdout)
    report(result, as_json=arguments.json)
    return 0 if met(result) else 1


def made(cache: Path, posts: int) -> Path:
    """Return the archive, written now where it isn't there yet."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{posts}.zip"
    if not path.exists():
        print(f"writing {path}, once", file=sys.stderr)
        # In a process of its own: Linux starts a child's peak memory at its parent's.
        maker = multiprocessing.get_context("spawn").Process(
            target=make_archive, args=(path, posts)
        )
        maker.start()
        maker.join()
    return path


def measure(path: Path) -> Measurement:
    """Read and curate the archive in this process."""
    opened = _note_opened()
    start = _now()
    posts = read_posts([path])
    read = _now()
    curated = curate(posts)
    done = _now()
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
    """Print the functions that take longest."""
    profiler = cProfile.Profile()
    posts = profiler.runcall(read_posts, [path])
    profiler.runcall(curate, posts)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(SHOWN)


def met(result: Measurement) -> bool:
    """Tell whether the goal was met, and nothing private was opened."""
    in_all = result["in_all"]
    quick = in_all["seconds"] < GOAL_SECONDS and in_all["peak_gb"] < GOAL_GB
    return quick and MESSAGES not in result["opened"]


def report(result: Measurement, *, as_json: bool) -> None:
    """Print the measurement beside its goal."""
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


def _note_opened() -> set[str]:
    """Note the name of each member that is opened from now on."""
    opened: set[str] = set()
    before = zipfile.ZipFile.open

    def noting(self: zipfile.ZipFile, name: zipfile.ZipInfo) -> object:
        opened.add(name.filename)
        return before(self, name)

    zipfile.ZipFile.open = noting  # type: ignore[method-assign, assignment]
    return opened


def _now() -> Stage:
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
