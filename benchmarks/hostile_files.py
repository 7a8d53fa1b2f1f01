"""Read hostile files as a visitor's upload is read: peak memory and seconds of each.

    python benchmarks/hostile_files.py [--files 1000] [--seed 0] [--server] [--kinds wide.csv ...]

The files are made from the seed, one at a time: bombs, wide tables, deep nesting, many members, odd
encodings, wrong extensions, and the mangled files of ``benchmarks/fuzz_archives.py``. Each must
give posts or one sentence within 2 GB and 60 s. With --server, a real server is started and each
file is uploaded and previewed by one visitor, while another opens the gallery again and again; the
slowest of that visitor's pages is printed, which must take at most a second.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/ is not installed

from benchmarks.hostile_made import KINDS, make

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.serving.source_summary import summarise
from huggingtweets.sources import ReadOptions
from huggingtweets.sources.reading import VISITORS

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL_GB, GOAL_SECONDS, GOAL_PAGE_SECONDS = 2.0, 60.0, 1.0
_UNITS = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


@dataclass
class Outcome:
    """What reading one file took."""

    kind: str
    seconds: float
    peak_gb: float
    result: str


def main() -> int:
    """Read the files and print a table; the status tells whether the goals were met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--server", action="store_true", help="measure a quiet visitor's pages")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = _made(Path(name), options)
        if options.server:
            return _measure_pages(made)
        outcomes = []
        for kind, path in made:
            outcomes.append(_read_apart(kind, path))
            print(f"{len(outcomes)}/{options.files} {outcomes[-1]}", file=sys.stderr, flush=True)
    return _report(outcomes)


def _made(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Make each file in a process of its own, and remove it after its use."""
    for number in range(options.files):
        kind = options.kinds[number % len(options.kinds)]
        if not (child := os.fork()):
            try:
                make(kind, folder, Random(options.seed * 1_000_003 + number))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        for path in list(folder.iterdir()):
            yield kind, path
            path.unlink()


def _read_apart(kind: str, path: Path) -> Outcome:
    """Read a file from a fork of this process, whose only child is the one that is measured."""
    receive, send = os.pipe()
    if not (child := os.fork()):
        try:
            start = time.perf_counter()
            result = _result(path)
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNITS / 1e9
            os.write(send, f"{seconds}\n{peak}\n{result}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    values = text.split("\n", 2) if text.count("\n") > 1 else ["0", "0", "no result"]
    result = values[2].replace(str(path), path.name)
    return Outcome(kind, float(values[0]), float(values[1]), result)


def _result(path: Path) -> str:
    try:
        summary = summarise([path], ReadOptions(file_limits=VISITORS))
    except HuggingTweetsError as error:
        sentence = str(error)
        good = "\n" not in sentence and sentence.endswith(".")
        return sentence if good else f"no sentence: {sentence!r}"
    except Exception as error:  # noqa: BLE001 - reported
        return f"no sentence: {error!r}"
    return f"{summary.counts['downloaded']:,} posts"


def _report(outcomes: list[Outcome]) -> int:
    by_kind = defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.kind].append(outcome)
    print("| kind | files | most GB | most seconds | last result |\n|---|---:|---:|---:|---|")
    for kind, found in by_kind.items():
        peak = max(outcome.peak_gb for outcome in found)
        seconds = max(outcome.seconds for outcome in found)
        print(f"| {kind} | {len(found)} | {peak:.2f} | {seconds:.1f} | {found[-1].result[:110]} |")
    faults = [
        outcome
        for outcome in outcomes
        if outcome.peak_gb > GOAL_GB
        or outcome.seconds > GOAL_SECONDS + 5.0  # starting and killing the child
        or outcome.result.startswith("no ")
    ]
    for outcome in faults:
        print(f"beyond the goal: {outcome}")
    peak = max(outcome.peak_gb for outcome in outcomes)
    seconds = max(outcome.seconds for outcome in outcomes)
    print(
        f"{len(outcomes):,} files: at most {peak:.2f} GB (goal {GOAL_GB}) and {seconds:.1f} s "
        f"(goal {GOAL_SECONDS:.0f}); {len(faults)} beyond the goals; load {os.getloadavg()[0]:.1f}"
    )
    return 1 if faults else 0


def _measure_pages(made: Iterator[tuple[str, Path]]) -> int:
    """Preview each file on a real server, and time another visitor's gallery meanwhile."""
    import httpx

    from benchmarks import web_load

    with tempfile.TemporaryDirectory() as folder, web_load.running(Path(folder)) as address:
        attacker, quiet = (httpx.Client(base_url=address, timeout=300) for _ in range(2))
        for person in (attacker, quiet):
            person.post("/login", data={"password": web_load.PASSWORD}).raise_for_status()
        idle = [_page_seconds(quiet) for _ in range(20)]
        slowest: dict[str, list[float]] = defaultdict(list)
        for kind, path in made:
            ended = threading.Event()
            work = threading.Thread(target=_preview, args=(attacker, path, ended))
            work.start()
            while not ended.wait(0.2):
                slowest[kind].append(_page_seconds(quiet))
            work.join()
    print("| file looked at | pages | median seconds | most seconds |\n|---|---:|---:|---:|")
    slowest = {"none": idle, **slowest}
    for kind, times in slowest.items():
        print(f"| {kind} | {len(times)} | {statistics.median(times):.2f} | {max(times):.2f} |")
    print(f"goal: {GOAL_PAGE_SECONDS:.0f} s; load {os.getloadavg()[0]:.1f}")
    return 1 if max(max(times) for times in slowest.values()) > GOAL_PAGE_SECONDS else 0


def _page_seconds(person: Any) -> float:  # noqa: ANN401 - an HTTP client
    start = time.perf_counter()
    person.get("/gallery").raise_for_status()
    return time.perf_counter() - start


def _preview(person: Any, path: Path, ended: threading.Event) -> None:  # noqa: ANN401
    import httpx

    from benchmarks import web_load

    try:
        with path.open("rb") as file:
            files = {"files": (path.name, file)}
            stored = person.post("/gradio_api/upload", files=files).raise_for_status().json()[0]
        data = {"path": stored, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
        source = web_load.call(person, "upload", file=data)
        web_load.call(person, "inspect", sources=[source])
    except (RuntimeError, OSError, httpx.HTTPError) as error:  # a refusal is an answer
        print(f"{path.name}: {str(error)[:150]}", file=sys.stderr)
    finally:
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
