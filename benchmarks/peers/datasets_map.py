"""The same curation as ``datasets.map`` and ``filter`` of a user who read their documentation.

Batched, in two processes. Retweets out, entities undone, links out, white space collapsed, posts of
fewer than three words out, exact duplicates out. What ours does beyond that (near-duplicates,
broken encoding, scripts without spaces, reasons for what is dropped) is not asked of it.
"""

from __future__ import annotations

import html
import re
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.speed_process import answer

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task

PROCESSES = 2
LINK = re.compile(r"\s*https?://\S+")
SPACE = re.compile(r"\s+")
NOT_A_WORD = re.compile(r"[@#]\S+")


def measure(task: Task) -> Answer:
    """Seconds to curate a Parquet file, once it is read."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        posts = Dataset.from_parquet(task["file"], cache_dir=folder)
        started = time.perf_counter()
        own = posts.filter(no_retweets, batched=True, num_proc=PROCESSES)
        cleaned = own.map(clean, batched=True, num_proc=PROCESSES)
        said = cleaned.filter(not_boring, batched=True, num_proc=PROCESSES)
        seen: set[str] = set()
        kept = said.filter(unseen, batched=True, fn_kwargs={"seen": seen}, new_fingerprint="once")
        return {"seconds": time.perf_counter() - started, "kept": len(kept)}


def no_retweets(batch: dict[str, list[str]]) -> list[bool]:
    """Which posts aren't somebody else's."""
    return [not text.startswith("RT @") for text in batch["text"]]


def clean(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    """The posts without entities, links and superfluous space."""
    return {"text": [clean_one(text) for text in batch["text"]]}


def clean_one(text: str) -> str:
    """One post without them."""
    return SPACE.sub(" ", LINK.sub("", html.unescape(text))).strip()


def not_boring(batch: dict[str, list[str]]) -> list[bool]:
    """Which posts have three words besides mentions and hashtags, as in the original notebook."""
    return [len(NOT_A_WORD.sub(" ", text).split()) >= 3 for text in batch["text"]]


def unseen(batch: dict[str, list[str]], seen: set[str]) -> list[bool]:
    """Which posts come for the first time; one process, as each would have a set of its own."""
    new = []
    for text in batch["text"]:
        new.append(text not in seen)
        seen.add(text)
    return new


if __name__ == "__main__":
    answer(measure)
