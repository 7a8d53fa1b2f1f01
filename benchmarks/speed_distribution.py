"""Test whether our posts and those of ``model.generate`` have the same distribution.

Both sample many posts from the embedded base: ours with the program's defaults on this machine
(including precision), the peer in fp32. A chi-square test compares the frequencies of first words,
and a Kolmogorov-Smirnov test the lengths of posts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.ours.generate import NO_LIMIT, shortened
from benchmarks.peers import generate
from benchmarks.speed_process import run_task

from huggingtweets.generation import bots
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_process import Task, TaskResult

_BATCH = 64
_MIN_COUNT = 10
"""A first word needs this many posts of both sides together to get its own cell."""


def measure(task: Task) -> TaskResult:
    """Return the p-values of both tests."""
    ours, theirs = _ours(task), _theirs(task)
    return {
        "posts": task["posts"],
        "first_words": first_words(ours, theirs),
        "lengths": lengths(ours, theirs),
    }


def _ours(task: Task) -> list[str]:
    bot = shortened(bots.open_bot(task["base"], "cpu"), task["tokens"])
    writer = Writer(bot.model, Sampling(max_chars=NO_LIMIT, seed=0), allow_loops=True)
    return [post.text for post in writer.write(n=task["posts"])]


def _theirs(task: Task) -> list[str]:
    """Sample as many posts; like ours, drop incomplete characters and empty posts."""
    import torch

    torch.manual_seed(1)
    model, tokenizer = generate.load(task["base"], "cpu")
    start = generate.separator(tokenizer, model)
    posts: list[str] = []
    while len(posts) < task["posts"]:
        ids = generate.sample(model, start, task["tokens"], _BATCH)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        posts += [text for raw in texts if (text := raw.replace("\ufffd", "").strip())]
    return posts[: task["posts"]]


def first_words(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Return the p-value of the chi-square test on the posts' first words."""
    from scipy.stats import chi2_contingency  # type: ignore[import-untyped]

    counts = [Counter(post.split()[0] for post in posts) for posts in (ours, theirs)]
    common = [word for word, n in (counts[0] + counts[1]).items() if n >= _MIN_COUNT]
    table = [[own[word] for word in common] for own in counts]
    rest = [own.total() - sum(line) for own, line in zip(counts, table, strict=True)]
    if sum(rest):
        table = [[*line, left] for line, left in zip(table, rest, strict=True)]
    return 1.0 if len(table[0]) < 2 else float(chi2_contingency(table).pvalue)


def lengths(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Return the p-value of the Kolmogorov-Smirnov test on lengths in characters."""
    from scipy.stats import ks_2samp

    return float(ks_2samp([len(post) for post in ours], [len(post) for post in theirs]).pvalue)


if __name__ == "__main__":
    run_task(measure)
