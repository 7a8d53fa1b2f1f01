"""Fuzz the parsers with damaged archives and files: the result must be posts or one clear error.

Usage: python benchmarks/fuzz_archives.py [--examples 10000 | --minutes 10] [--seed 0]

Half of the examples are X archives (with and without long posts, or only the table of an old
archive), a quarter are Mastodon and Telegram exports and JSON files, and the rest are csv, jsonl,
parquet and txt files. The same seed gives the same examples. On a failure, the seed is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/ is not installed

from tests.sources.mangle import mangled_archive, mangled_file
from tests.sources.mangle_exports import mangled_export

from huggingtweets.errors import SourceError
from huggingtweets.sources import read_posts


def outcome(seed: int, folder: Path) -> str:
    """Read one example and name the outcome.

    Raises:
        AssertionError: neither posts nor a one-sentence error resulted.
    """
    random = Random(seed)
    makers = (mangled_archive, mangled_export, mangled_archive, mangled_file)
    name, content = makers[seed % 4](random)
    path = folder / name
    path.write_bytes(content)
    try:
        table = read_posts([path])
    except SourceError as error:
        sentence = str(error)
        if "\n" in sentence or not sentence.endswith("."):
            raise AssertionError(f"not a sentence: {sentence!r}") from error
        return f"{path.suffix}: error"
    if table.is_empty():
        raise AssertionError("no posts, but no error")
    return f"{path.suffix}: posts"


def main() -> None:
    """Run the examples and print the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--examples", type=int, default=10_000)
    length.add_argument("--minutes", type=float, help="run for this long instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest = 0.0
    start = time.perf_counter()
    end = None if options.minutes is None else start + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.examples) if end is None else count():
            if end is not None and time.perf_counter() > end:
                break
            seed = options.seed * 1_000_003 + number
            begin = time.perf_counter()
            try:
                counts[outcome(seed, Path(folder))] += 1
            except BaseException:
                print(f"failed: seed {seed}")
                raise
            slowest = max(slowest, time.perf_counter() - begin)
    total = counts.total()
    posts = sum(count for name, count in counts.items() if name.endswith("posts"))
    for name in sorted(counts):
        print(f"{name:16} {counts[name]:6,}")
    print(
        f"{total:,} examples: {posts:,} gave posts, {total - posts:,} one clear error, "
        f"0 anything else; {time.perf_counter() - start:.1f} s, "
        f"slowest {slowest * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
