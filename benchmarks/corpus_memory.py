"""Pre-training on a corpus larger than memory: peak memory and speed of each stage.

    python benchmarks/corpus_memory.py --gigabytes 10 [--folder /some/disk]

The corpus is made of synthetic posts, in Parquet files of 100,000 posts each. They combine words of
real posts at random, so few are similar. ``huggingtweets pretrain`` curates and encodes them and
trains for a few steps in its own process, whose peak memory is measured. The folder needs about
three times the size of the corpus.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import polars as pl

from huggingtweets import sources
from huggingtweets.sample import sample_path

_POSTS_PER_FILE = 100_000
_AUTHORS = 1_000
_WORDS = 60  # per post, about 350 bytes: ten gigabytes are 30 million posts


def main() -> None:
    """Write the corpus, encode it and train on it; print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument(
        "--folder", type=Path, help="folder for the corpus, which is deleted afterwards"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        corpus = Path(folder) / "corpus"
        posts, size = write_corpus(corpus, chosen.gigabytes * 1e9)
        numbers = {"posts": posts, "gigabytes": size / 1e9} | measure(corpus, Path(folder))
    print(table(numbers))
    if chosen.json:
        chosen.json.write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")


def write_corpus(folder: Path, size: float) -> tuple[int, int]:
    """Write synthetic posts until their text has ``size`` bytes; return posts and bytes."""
    words = " ".join(sources.read_posts([sample_path()])["text"].to_list()).split()
    rng = random.Random(0)
    folder.mkdir()
    posts = written = 0
    while written < size:
        texts = [" ".join(rng.choices(words, k=_WORDS)) for _ in range(_POSTS_PER_FILE)]
        table = pl.DataFrame(
            {"author": [f"someone{i % _AUTHORS}" for i in range(_POSTS_PER_FILE)], "text": texts}
        )
        table.write_parquet(folder / f"{posts // _POSTS_PER_FILE:06}.parquet")
        posts += table.height
        written += int(table["text"].str.len_bytes().sum())
    return posts, written


def measure(corpus: Path, folder: Path) -> dict[str, float]:
    """Return peak memory in bytes while preparing and while training, and seconds to prepare."""
    command = [sys.executable, "-c", "from huggingtweets.cli import main; main()", "pretrain"]
    short = ["--tokens", "40960", "--device-tokens", "1024", "--no-compile"]
    options = [*short, "--out", str(folder / "base")]
    started = time.monotonic()
    process = subprocess.Popen([*command, str(corpus), *options])
    peaks = {"preparing": 0, "training": 0}
    prepared_at = [started]
    data = folder / "base" / "work" / "data" / "data.json"

    def watch() -> None:
        while process.poll() is None:
            part = "training" if data.exists() else "preparing"
            peaks[part] = max(peaks[part], resident(process.pid))
            if part == "preparing":
                prepared_at[0] = time.monotonic()
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait() != 0:
        raise SystemExit("huggingtweets pretrain failed; see above")
    watcher.join()
    record = json.loads((folder / "base" / "pretrain.json").read_text("utf-8"))
    return {
        "tokens": record["sittings"][0]["corpora"][0]["tokens"],
        "preparing_seconds": prepared_at[0] - started,
        "preparing_peak": peaks["preparing"],
        "training_peak": peaks["training"],
    }


def resident(process: int) -> int:
    """Return the resident memory of a process in bytes, without file mappings (Linux).

    Training maps the token file; the system can reclaim those pages at any time.
    """
    try:
        status = Path(f"/proc/{process}/statm").read_text("ascii").split()
    except OSError:  # the process has just ended
        return 0
    return (int(status[1]) - int(status[2])) * os.sysconf("SC_PAGE_SIZE")


def table(numbers: dict[str, float]) -> str:
    """Return the numbers as a Markdown table."""
    speed = numbers["gigabytes"] * 1e3 / numbers["preparing_seconds"]
    return (
        "| corpus | posts | tokens | curate and encode | peak | peak while training |\n"
        "|---|---|---|---|---|---|\n"
        f"| {numbers['gigabytes']:.1f} GB | {numbers['posts']:,} | {numbers['tokens']:,} "
        f"| {numbers['preparing_seconds']:,.0f} s ({speed:.1f} MB/s) "
        f"| {numbers['preparing_peak'] / 1e9:.2f} GB | {numbers['training_peak'] / 1e9:.2f} GB |"
    )


if __name__ == "__main__":
    main()
