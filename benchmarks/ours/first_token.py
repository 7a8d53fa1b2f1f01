"""Our side of the first-token benchmark: seconds to the first token of a post.

The program returns whole posts, so this limits a post to one token after the prompt.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.ours.generate import NO_LIMIT, shortened
from benchmarks.speed_process import run_task

from huggingtweets.generation import bots

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Time the first token after ``task["prompt"]``; the first round is a warm-up."""
    bot = bots.open_bot(task["base"], task["device"])
    bot = shortened(bot, len(bot.model.encode(task["prompt"])) + 1)
    seconds = []
    for number in range(task["rounds"] + 1):
        started = time.perf_counter()
        next(bot.generate(task["prompt"], 1, max_chars=NO_LIMIT, seed=number))
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


if __name__ == "__main__":
    run_task(measure)
