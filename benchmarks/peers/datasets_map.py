"""The same curation with ``datasets.map`` and ``filter``, as their documentation shows.

Batched, in two processes. It drops retweets, posts of fewer than three words and exact duplicates,
decodes entities, removes links and collapses white space. It does not do what ours does beyond that
(near-duplicates, broken encoding, scripts without spaces, reasons for what is dropped).
"""

from __future__ import annotations

import html
import re
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.speed_process import run_task

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult

PROCESSES = 2
LINK = re.compile(r"\s*https?://\S+")
SPACE = re.compile(r"\s+")
NOT_A_WORD = re.compile(r"[@#]\S+")


def measure(task: Task) -> TaskResult:
    """Return the seconds to curate a Parquet file, without reading it."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        posts = Dataset.from_parquet(task["file"], cache_dir=folder)
        started = time.perf_counter()
        own = posts.filter(no_retweets, batched=True, num_proc=PROCESSES)
        cleaned = own.map(clean, batched=True, num_proc=PROCESSES)
        long_enough = cleaned.filter(has_three_words, batched=True, num_proc=PROCESSES)
        seen: set[str] = set()
        kept = long_enough.filter(
            is_new, batched=True, fn_kwargs={"seen": seen}, new_fingerprint="once"
        )
        return {"seconds": time.perf_counter() - started, "kept": len(kept)}


def no_retweets(batch: dict[str, list[str]]) -> list[bool]:
    """Return which posts aren't retweets."""
    return [not text.startswith("RT @") for text in batch["text"]]


def clean(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    """Decode entities; remove links and superfluous white space."""
    return {"text": [clean_one(text) for text in batch["text"]]}


def clean_one(text: str) -> str:
    """Clean one post."""
    return SPACE.sub(" ", LINK.sub("", html.unescape(text))).strip()


def has_three_words(batch: dict[str, list[str]]) -> list[bool]:
    """Return which posts have three words besides mentions and hashtags (the original's rule)."""
    return [len(NOT_A_WORD.sub(" ", text).split()) >= 3 for text in batch["text"]]


def is_new(batch: dict[str, list[str]], seen: set[str]) -> list[bool]:
    """Return which posts are new. Needs a single process, as each would have its own set."""
    new = []
    for text in batch["text"]:
        new.append(text not in seen)
        seen.add(text)
    return new


if __name__ == "__main__":
    run_task(measure)
