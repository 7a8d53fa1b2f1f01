"""Our side of generation: a bot of the program, opened and asked for posts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.speed_process import answer

from huggingtweets.generation import bots

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task

    from huggingtweets.generation.bots import Bot

NO_LIMIT = 100_000
"""Characters: posts end by their tokens here."""


def measure(task: Task) -> Answer:
    """Posts of ``task["tokens"]`` tokens, so many rounds after one that warms up.

    The weights are random, so all 50,257 tokens are about as likely and next to no post ends
    before its last token; every one is taken for whole.
    """
    bot = shortened(bots.open_bot(task["base"], task["device"]), task["tokens"])
    seconds = []
    for number in range(task["rounds"] + 1):
        started = time.perf_counter()
        written = list(bot.generate(n=task["posts"], max_chars=NO_LIMIT, seed=number))
        seconds.append(time.perf_counter() - started)
        if len(written) != task["posts"]:
            raise RuntimeError(f"{len(written)} posts instead of {task['posts']}")
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


def shortened(bot: Bot, tokens: int) -> Bot:
    """The same bot whose posts have so many tokens at most: it has room for no more."""
    return replace(bot, model=replace(bot.model, context=tokens + 1))


if __name__ == "__main__":
    answer(measure)
