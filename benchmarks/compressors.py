"""The anchor of bits per byte beside PPMd, which earlier versions used.

    pip install 'huggingtweets[bench]'
    python benchmarks/compressors.py [SOURCE ...] [--data ../shared/data] [--posts 50]

Both have the training posts as history and meet the same held-out posts: each alone, and all in one
stream. A ratio under 1 means that the anchor in the reports (PPM, order 12, our own) is stricter
than PPMd. PPMd (Shkarin 2002, variant I, order 8) is pyppmd's; it is LGPL, so users don't get it.

Each post alone costs PPMd ``size(history + post) - size(history)``. Sizes are whole bytes, so the
rounding error of ``size(history)`` is part of every difference. Posts are therefore spread over 16
histories that lack the 0 to 15 oldest posts; their errors average to about 0.3 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.likeness import DATA, default_sources

from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.evaluation import ppm

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLDOUT = 0.2
_HISTORIES = 16
_HEAD = "author            posts alone: PPMd   ours  ratio   stream: PPMd   ours  ratio   seconds"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line an author and the medians; 2 when something can't be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path, help="default: all authors under --data")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with bench/ and demo/")
    parser.add_argument("--posts", type=int, default=50, help="posts measured alone (%(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        print(_HEAD)
        lines = [
            compare(source, chosen.posts)
            for source in chosen.sources or default_sources(chosen.data)
        ]
    except (InputError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    ratios = [statistics.median(ratio) for ratio in zip(*lines, strict=True)]
    print(f"median ratio: each post alone {ratios[0]:.3f}, one stream {ratios[1]:.3f}")
    return 0


def compare(source: Path, posts: int) -> tuple[float, float]:
    """Print an author's line and return the two ratios."""
    curated = pipeline.curate([source]).kept
    kept = batching.split(curated, holdout=HOLDOUT)
    train, held_out = (kept.filter(split=part)["text"].to_list() for part in ("train", "held_out"))
    some = ppm.evenly_spaced(held_out, posts)
    started = time.perf_counter()
    ours = ppm.compressor_bits_per_byte(train, some)
    seconds = time.perf_counter() - started
    ours_stream = ppm.compressor_stream_bits_per_byte(train, held_out)
    if not ours or not ours_stream:
        raise InputError(f"{source} has too few posts.")
    theirs, theirs_stream = alone(train, some), stream(train, held_out)
    ratios = ours / theirs, ours_stream / theirs_stream
    print(
        f"{source.stem:16} {len(kept):6,} {theirs:11.3f} {ours:6.3f} {ratios[0]:6.3f} "
        f"{theirs_stream:14.3f} {ours_stream:6.3f} {ratios[1]:6.3f} {seconds:9.1f}",
        flush=True,
    )
    return ratios


def alone(history: Sequence[str], posts: Sequence[str]) -> float:
    """PPMd's bits per byte of each post alone, after the newest of the history."""
    lines = ppm.newest([ppm.line(post) for post in history], ppm.MAX_HISTORY_BYTES)
    joined = b"".join(lines)
    offsets = list(accumulate(map(len, lines[: _HISTORIES - 1]), initial=0))
    sizes = [compressed_size(joined[offset:]) for offset in offsets]
    targets = [ppm.line(post) for post in posts]
    cost = 0
    for number, target in enumerate(targets):
        at = number % len(offsets)
        cost += compressed_size(joined[offsets[at] :] + target) - sizes[at]
    return cost * 8 / sum(map(len, targets))


def stream(history: Sequence[str], posts: Sequence[str]) -> float:
    """PPMd's bits per byte of all posts in one stream after the history."""
    old, new = (b"".join(map(ppm.line, texts)) for texts in (history, posts))
    return (compressed_size(old + new) - compressed_size(old)) * 8 / len(new)


def compressed_size(data: bytes) -> int:
    """Bytes that PPMd makes of ``data``, without an end mark."""
    import pyppmd

    encoder = pyppmd.Ppmd8Encoder(8, 32 << 20, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
    return len(encoder.encode(data)) + len(encoder.flush(endmark=False))


if __name__ == "__main__":
    sys.exit(main())
