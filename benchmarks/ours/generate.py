"""Our side of the generation benchmark: open a bot and generate posts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.speed_process import run_task

from huggingtweets.generation import bots
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult

    from huggingtweets.generation.bots import Bot

NO_LIMIT = 100_000
"""Characters; here, only the number of tokens limits a post."""


def measure(task: Task) -> TaskResult:
    """Generate posts of ``task["tokens"]`` tokens; the first round is a warm-up.

    The weights are random, so all 50,257 tokens are about equally likely and almost no post ends
    early. Many of these posts are loops, which a bot would write again.
    """
    bot = shortened(bots.open_bot(task["base"], task["device"]), task["tokens"])
    seconds = []
    for number in range(task["rounds"] + 1):
        started = time.perf_counter()
        writer = Writer(bot.model, Sampling(max_chars=NO_LIMIT, seed=number), allow_loops=True)
        written = list(writer.write(n=task["posts"]))
        seconds.append(time.perf_counter() - started)
        if len(written) != task["posts"]:
            raise RuntimeError(f"{len(written)} posts instead of {task['posts']}")
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


def shortened(bot: Bot, tokens: int) -> Bot:
    """Return the bot with a shorter context, so that a post has at most ``tokens`` tokens."""
    return replace(bot, model=replace(bot.model, context=tokens + 1))


if __name__ == "__main__":
    run_task(measure)
