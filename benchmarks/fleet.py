"""The same fleet on one worker and on several: seconds, speed-up, memory, and the same bots.

Each fleet is made by a process of its own, as a user would make it, from tables of posts and the
bundled sample of NASA. The number of workers should be that of the machine's free cores.

    python benchmarks/fleet.py ../shared/data/bench --workers 1 2 [--base pocket] [--posts 300]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from huggingtweets.sample import sample_path
from huggingtweets.workers import cores

_PROGRAM = [sys.executable, "-m", "huggingtweets"]


@dataclass(frozen=True)
class Measured:
    """One fleet.

    Attributes:
        seconds: of the whole command.
        weights: SHA-256 of each author's weights.
        bits: held-out bits per byte of each author.
        busy: seconds of all authors together, from reading to report.
    """

    seconds: float
    weights: dict[str, str | None]
    bits: dict[str, float | None]
    busy: float


def make(sources: list[Path], out: Path, workers: int, options: list[str]) -> Measured:
    """Make a fleet and read what came out."""
    command = [*_PROGRAM, "fleet", "train", *map(str, sources), "--out", str(out)]
    command += ["--workers", f"local:{workers}", "--json", *options]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"the fleet failed: {done.stdout[-2000:]}")
    authors = json.loads(done.stdout)["authors"]
    return Measured(
        seconds,
        {author["name"]: author["weights_sha256"] for author in authors},
        {author["name"]: author["bits_per_byte"] for author in authors},
        sum(author["seconds"] for author in authors),
    )


def main() -> None:
    """Make the fleets and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("tables", type=Path, help="folder of Parquet files, one for each author")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--authors", type=int, help="only so many tables")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--posts", type=int, default=300)
    parser.add_argument("--epochs", type=int, help="as for fleet train")
    parser.add_argument("--adapter", help="kind of bot, as for fleet train")
    given = parser.parse_args()
    sources = [*sorted(given.tables.glob("*.parquet"))[: given.authors], sample_path()]
    options = ["--base", given.base, "--posts", str(given.posts)]
    options += ["--adapter", given.adapter] if given.adapter else []
    options += ["--epochs", str(given.epochs)] if given.epochs else []
    print(
        f"{len(sources)} sources, base {given.base}, {given.posts} posts; {cores()} cores",
        flush=True,
    )
    print("workers   seconds   speed-up   authors' seconds   same bots", flush=True)
    first: Measured | None = None
    with tempfile.TemporaryDirectory() as folder:
        for workers in given.workers:
            found = make(sources, Path(folder) / f"fleet-{workers}", workers, options)
            first = first or found
            same = sum(found.weights[name] == digest for name, digest in first.weights.items())
            print(
                f"{workers:7} {found.seconds:9.0f} {first.seconds / found.seconds:10.2f} "
                f"{found.busy:18.0f}   {same} of {len(first.weights)}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"\nlargest process: {peak:.2f} GB")
    for name, bits in sorted((first.bits if first else {}).items()):
        print(f"{name:20} {bits:.3f} bits per byte")


if __name__ == "__main__":
    main()
