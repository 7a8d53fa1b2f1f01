"""Our side of curation: :func:`huggingtweets.curation.curate`, near-duplicates included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl
from benchmarks.speed_process import run_task

from huggingtweets.curation import curate

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Return the seconds to curate a Parquet file, without reading it."""
    posts = pl.read_parquet(task["file"])
    started = time.perf_counter()
    curated = curate(posts)
    return {"seconds": time.perf_counter() - started, "kept": curated.kept.height}


if __name__ == "__main__":
    run_task(measure)
