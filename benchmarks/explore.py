"""Time and memory to explore 100,000 posts, and which vectors tell similar posts.

    python benchmarks/explore.py [--posts 100000] [--base pocket] [--quick] [--json]
    python benchmarks/explore.py --vectors [--base pocket] [--quick]
    python benchmarks/explore.py --authors [--quick]

The goal is under two minutes and 2 GB on two cores. Each post joins the first words of one real
post and the last words of another by the same author, so nearly all are distinct, which makes
curation and clustering work as hard as they would on real ones. The page is written as well. A
child process does the work; its seconds are wall-clock, so other work on the machine counts, and
the CPU seconds stand beside them. Peak memory is the child's, without the process that reads the
file, which ends before the models load.

``--vectors`` removes the hashtags from real posts and measures how many of a post's five nearest
neighbours shared one with it: for words, for layers of the base, and for both together.

``--authors`` measures for how many authors of ``bench/`` the nearest half of posts, of all authors'
halves, is the other half of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import pipeline
from huggingtweets.exploration import authors, page, vectors
from huggingtweets.exploration.explore import explore
from huggingtweets.exploration.words import WordCounts
from huggingtweets.nn import language_model
from huggingtweets.training.layers import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

GOAL_SECONDS, GOAL_GB = 120.0, 2.0
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED = 1
HALF = 14  # words taken from each of two posts
NEIGHBOURS = 5
KIB = 1 if sys.platform == "darwin" else 1024  # unit of the peak memory, in bytes


def main() -> int:
    """Measure and print; return 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with demo/ and bench/")
    parser.add_argument("--quick", action="store_true", help="few posts, to see that it works")
    parser.add_argument("--vectors", action="store_true", help="measure vectors instead of speed")
    parser.add_argument("--authors", action="store_true", help="measure the distances instead")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    posts = 600 if arguments.quick else arguments.posts
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.base)))
        return 0
    if arguments.vectors:
        found = compare_vectors(arguments.data, arguments.base, 300 if arguments.quick else 5_000)
        print(json.dumps(found) if arguments.json else table(found))
        return 0
    if arguments.authors:
        sizes = (20,) if arguments.quick else (20, 50, 100, 200, 400, 1000)
        own = compare_authors(arguments.data, sizes)
        print(json.dumps(own) if arguments.json else table(own))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "posts.parquet"
        build(posts, arguments.data).write_parquet(file)
        command = [sys.executable, __file__, "--child", str(file), "--base", arguments.base]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(child.stdout)
    print(json.dumps(result) if arguments.json else report(result))
    return 0 if result["seconds"] < GOAL_SECONDS and result["peak_gb"] < GOAL_GB else 1


def build(posts: int, data: Path) -> pl.DataFrame:
    """Return a table of about ``posts`` posts by up to 17 authors, made of real ones."""
    files = [
        *sorted((data / "demo").glob("*.parquet")),
        *sorted((data / "bench").glob("*.parquet")),
    ]
    each = -(-posts // len(files))
    return pl.concat([_resampled(file, each) for file in files])


def _resampled(file: Path, posts: int) -> pl.DataFrame:
    source = pl.read_parquet(file).filter(~pl.col("text").str.starts_with("RT @"))
    words = source["text"].str.split(" ")
    parts = pl.DataFrame(
        {
            "start": words.sample(posts, with_replacement=True, seed=SEED).list.head(HALF),
            "end": words.sample(posts, with_replacement=True, seed=SEED + 1).list.tail(HALF),
        }
    )
    texts = parts.select(pl.concat_list("start", "end").list.join(" ")).to_series()
    start = 1_400_000_000 * 1000
    return pl.DataFrame(
        {
            "author": [file.stem] * posts,
            "id": [str(number) for number in range(posts)],
            "created_at": pl.int_range(start, start + posts * 999_000, 999_000, eager=True),
            "text": texts,
        }
    ).with_columns(pl.col("created_at").cast(pl.Datetime("ms", "UTC")))


def measure(file: Path, base: str) -> dict[str, Any]:
    """Explore a table and write its page, in this process."""
    started = time.perf_counter()
    stages: dict[str, float] = {}

    def listen(event: Any) -> None:  # noqa: ANN401
        name = event.message if event.stage == "encode" else event.stage
        stages.setdefault(name, round(time.perf_counter() - started, 1))

    found = explore([file], base=base, listen=listen)
    html = page.render(found)
    seconds = time.perf_counter() - started
    use = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "posts": found.posts.height,
        "topics": len(found.topics),
        "read": found.method.read,
        "seconds": seconds,
        "cpu_seconds": use.ru_utime + use.ru_stime,
        "peak_gb": use.ru_maxrss * KIB / 1e9,
        "page_mb": len(html.encode()) / 1e6,
        "stages": stages,
    }


def report(result: dict[str, Any]) -> str:
    """Return the measurement as text."""
    stages = " · ".join(f"{name} at {second} s" for name, second in result["stages"].items())
    return (
        f"{result['posts']:,} posts after curation, {result['topics']} topics from "
        f"{result['read']:,} posts\n{stages}\n"
        f"{result['seconds']:.0f} s (goal {GOAL_SECONDS:.0f}), {result['cpu_seconds']:.0f} CPU s, "
        f"{result['peak_gb']:.2f} GB (goal {GOAL_GB:.0f}), page {result['page_mb']:.1f} MB"
    )


def compare_vectors(data: Path, base: str, posts: int) -> dict[str, float]:
    """Return the share of nearest neighbours with a common hashtag, by kind of vector."""
    import numpy as np

    files = [data / "demo" / "NASA.parquet", data / "demo" / "WhiteHouse.parquet"]
    kept = pipeline.curate(files).kept
    kept = kept.sample(min(posts, kept.height), seed=SEED, shuffle=True)
    tags = [set(re.findall(r"#\w+", text.lower())) for text in kept["text"]]
    texts = [re.sub(r"[#@]\w+", "", text) for text in kept["text"]]
    words = WordCounts(texts).vectors()
    found = {"words": _shared(words, tags)}
    model = language_model.load(base)
    depth = len(blocks(model.model))
    for layer in sorted({1, 2, (depth + 1) // 2, depth}):
        read = vectors.without_top(vectors.hidden_states(model, texts, layer))
        read /= np.maximum(np.linalg.norm(read, axis=1, keepdims=True), 1e-9)
        found[f"layer {layer} of {depth}"] = _shared(read, tags)
        found[f"layer {layer} of {depth}, and words"] = _shared(np.hstack([read, words]), tags)
    return found


def compare_authors(data: Path, sizes: Sequence[int]) -> dict[str, float]:
    """Return the share of authors whose own halves are nearest, by number of posts."""
    kept = {file.stem: pipeline.curate(file).kept for file in sorted((data / "bench").glob("*"))}
    found = {}
    for size in sizes:
        texts = {
            name: posts["text"].sample(min(size, len(posts)), seed=SEED, shuffle=True).to_list()
            for name, posts in kept.items()
        }
        measured = authors.distances(texts, {}, SEED)
        own = [row[at] == min(row) for at, row in enumerate(measured.matrix)]
        found[f"of {len(own)} authors with {size} posts"] = sum(own) / len(own)
    return found


def _shared(matrix: Any, tags: list[set[str]]) -> float:  # noqa: ANN401 - an array
    """Return the mean share of the nearest neighbours with a common tag, of posts with one."""
    import numpy as np

    tagged = [row for row, own in enumerate(tags) if own]
    alike = matrix[tagged] @ matrix[tagged].T
    np.fill_diagonal(alike, -np.inf)
    near = np.argsort(-alike, axis=1)[:, :NEIGHBOURS]
    hits = [
        bool(tags[tagged[row]] & tags[tagged[other]])
        for row, others in enumerate(near)
        for other in others
    ]
    return float(np.mean(hits))


def table(found: dict[str, float]) -> str:
    """Return the shares as lines."""
    return "\n".join(f"{share:.3f}  {name}" for name, share in found.items())


if __name__ == "__main__":
    sys.exit(main())
