"""Time and memory to curate a million short posts.

    python benchmarks/curation.py [--posts 1000000] [--corpus FOLDER] [--json]

The goal is under 20 s and 2 GB on two cores. Each post joins the first words of one text and the
last words of another, so nearly all are distinct. The texts are real posts if ``--corpus`` has
Parquet files with a ``text`` column, else synthetic sentences. The noise of raw posts is added:
links, entities, 1 % broken encoding, retweets, exact and near-duplicates.

A child process reads a Parquet file and curates it. The benchmark measures the time of the call and
the peak resident memory of the process, including interpreter and libraries. A second child
profiles the stages.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TypedDict

import polars as pl

from huggingtweets.curation import curate
from huggingtweets.data.posts import SCHEMA

GOAL_SECONDS = 20.0
GOAL_GB = 2.0
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpus"
STAGES = {
    "clean": "clean",
    "are_short": "count words",
    "find_duplicates": "find duplicates",
    "candidates": "… of which candidates",
}
SEED = 1
MICROSECONDS = 1_000_000


class Measurement(TypedDict):
    """Report of a child process."""

    seconds: float
    peak_gb: float
    counts: dict[str, int]
    stages: dict[str, float]


def main() -> int:
    """Build the posts, measure and print; return 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of Parquet files")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child, profile=arguments.profile)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "posts.parquet"
        # In a separate process: Linux starts a child's peak memory at its parent's.
        builder = multiprocessing.get_context("spawn").Process(
            target=write_posts, args=(file, arguments.posts, arguments.corpus)
        )
        builder.start()
        builder.join()
        result = run_child(file)
        result["stages"] = run_child(file, "--profile")["stages"]
    report(result, as_json=arguments.json)
    return 0 if result["seconds"] < GOAL_SECONDS and result["peak_gb"] < GOAL_GB else 1


def run_child(file: Path, *options: str) -> Measurement:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--child", str(file), *options]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: Measurement = json.loads(child.stdout)
    return result


def measure(file: Path, *, profile: bool) -> Measurement:
    """Read and curate a file in this process."""
    started = time.perf_counter()
    posts = pl.read_parquet(file)
    stages = {"read": time.perf_counter() - started}
    profiler = cProfile.Profile()
    started = time.perf_counter()
    curated = profiler.runcall(curate, posts) if profile else curate(posts)
    seconds = time.perf_counter() - started
    if profile:
        functions = pstats.Stats(profiler).get_stats_profile().func_profiles
        stages |= {label: functions[name].cumtime for name, label in STAGES.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    return {
        "seconds": seconds,
        "peak_gb": peak_bytes / 1e9,
        "counts": curated.counts,
        "stages": stages,
    }


def report(result: Measurement, *, as_json: bool) -> None:
    """Print the measurement and the goal."""
    if as_json:
        print(json.dumps(result))
        return
    counts = " · ".join(f"{number:,} {name}" for name, number in result["counts"].items())
    print(counts)
    print(f"{'stage':<28}{'seconds':>8}")
    for stage, seconds in result["stages"].items():
        print(f"{stage:<28}{seconds:>8.2f}")
    print(f"{'curate, not profiled':<28}{result['seconds']:>8.2f}  goal {GOAL_SECONDS:.0f}")
    print(f"{'peak memory, GB':<28}{result['peak_gb']:>8.2f}  goal {GOAL_GB:.0f}")


def write_posts(file: Path, posts: int, corpus: Path) -> None:
    """Write a table of raw posts."""
    build(posts, corpus).write_parquet(file)


def build(posts: int, corpus: Path) -> pl.DataFrame:
    """Return a table of raw posts; curation drops about a fifth of them."""
    real = any(corpus.glob("*.parquet"))
    source = real_texts(corpus) if real else synthetic_texts(min(posts, 200_000))
    words = source.str.split(" ")
    parts = pl.DataFrame(
        {
            "start": words.sample(posts, with_replacement=True, seed=SEED).list.head(14),
            "end": words.sample(posts, with_replacement=True, seed=SEED + 1).list.tail(14),
        }
    )
    texts = parts.select(pl.concat_list("start", "end").list.join(" ")).to_series()
    rng = random.Random(SEED)
    raw: list[str] = []
    for number, text in enumerate(texts.to_list()):
        raw.append(add_noise(text, raw, rng))
        if number % 2:
            raw[-1] += f" https://t.co/{rng.getrandbits(50):010x}"
    start = 1_300_000_000 * 1000
    return pl.DataFrame(
        {
            "author": [f"author{number % 3}" for number in range(posts)],
            "id": [str(number) for number in range(posts)],
            "created_at": pl.int_range(start, start + posts * 1000, 1000, eager=True),
            "text": raw,
            "kind": ["original"] * posts,
            "lang": ["en"] * posts,
            "source": ["benchmark"] * posts,
        }
    ).cast(pl.Schema(SCHEMA))


def add_noise(text: str, earlier: list[str], rng: random.Random) -> str:
    """Turn some texts into retweets, duplicates, broken encoding and short posts."""
    chance = rng.random()
    if chance < 0.12:
        return f"RT @someone: {text}"
    if chance < 0.15:
        return rng.choice(earlier) if earlier else text
    if chance < 0.17:
        return f"{rng.choice(earlier)} indeed" if earlier else text
    if chance < 0.18:
        return text.encode().decode("cp1252", errors="ignore")
    if chance < 0.20:
        return " ".join(text.split()[:2])
    return text.replace("&", "&amp;")


def real_texts(corpus: Path) -> pl.Series:
    """Read the texts of all Parquet files in a folder and remove links."""
    texts = pl.scan_parquet(corpus / "*.parquet").select("text").collect().to_series()
    return texts.str.replace_all(r"\s*https?://\S+", "")


def synthetic_texts(count: int) -> pl.Series:
    """Return sentences of invented words, with the word frequencies of real language."""
    rng = random.Random(SEED)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "é")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(20_000)]
    words[:3] = ["&", "@someone", "#something"]
    # Zipf's law: the frequency of a word is inverse to its rank.
    weights = [1 / rank for rank in range(10, len(words) + 10)]
    return pl.Series([" ".join(rng.choices(words, weights, k=30)) for _ in range(count)])


if __name__ == "__main__":
    sys.exit(main())
