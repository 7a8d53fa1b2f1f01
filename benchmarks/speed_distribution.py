"""Test whether our posts and those of ``model.generate`` have the same distribution.

Both sample many posts from the embedded base, we with the program's defaults on this machine
(including precision), the peer in fp32. Compared are the frequencies of first words, with a
chi-square test, and the lengths of posts, with a Kolmogorov-Smirnov test.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.ours.generate import NO_LIMIT, shortened
from benchmarks.peers import generate
from benchmarks.speed_process import answer

from huggingtweets.generation import bots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_process import Answer, Task

_AT_ONCE = 64
_FEWEST = 10
"""Times that both sides together must have begun with a word for it to have a cell of its own."""


def measure(task: Task) -> Answer:
    """The chance of differences like those seen, were both distributions the same."""
    ours, theirs = _ours(task), _theirs(task)
    return {
        "posts": task["posts"],
        "first_words": first_words(ours, theirs),
        "lengths": lengths(ours, theirs),
    }


def _ours(task: Task) -> list[str]:
    bot = shortened(bots.open_bot(task["base"], "cpu"), task["tokens"])
    return [post.text for post in bot.generate(n=task["posts"], max_chars=NO_LIMIT, seed=0)]


def _theirs(task: Task) -> list[str]:
    """As many posts, with the same put right as in ours: half characters and empty posts out."""
    import torch

    torch.manual_seed(1)
    model, tokenizer = generate.load(task["base"], "cpu")
    start = generate.separator(tokenizer, model)
    found: list[str] = []
    while len(found) < task["posts"]:
        ids = generate.draw(model, start, task["tokens"], _AT_ONCE)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        found += [text for raw in texts if (text := raw.replace("\ufffd", "").strip())]
    return found[: task["posts"]]


def first_words(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The chance by which the words that posts begin with differ as much as here."""
    from scipy.stats import chi2_contingency  # type: ignore[import-untyped]

    counts = [Counter(post.split()[0] for post in posts) for posts in (ours, theirs)]
    common = [word for word, n in (counts[0] + counts[1]).items() if n >= _FEWEST]
    table = [[own[word] for word in common] for own in counts]
    rest = [own.total() - sum(line) for own, line in zip(counts, table, strict=True)]
    if sum(rest):
        table = [[*line, left] for line, left in zip(table, rest, strict=True)]
    return 1.0 if len(table[0]) < 2 else float(chi2_contingency(table).pvalue)


def lengths(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The chance by which the lengths in characters differ as much as here."""
    from scipy.stats import ks_2samp

    return float(ks_2samp([len(post) for post in ours], [len(post) for post in theirs]).pvalue)


if __name__ == "__main__":
    answer(measure)
