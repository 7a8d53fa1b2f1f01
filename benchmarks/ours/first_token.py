"""Our side of the first token: how long one stream of text takes to begin.

The program hands over whole posts, so a post is asked for that ends with its first token.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.ours.generate import NO_LIMIT, shortened
from benchmarks.speed_process import answer

from huggingtweets.generation import bots

if TYPE_CHECKING:
    from benchmarks.speed_process import Answer, Task


def measure(task: Task) -> Answer:
    """Seconds to the first token after ``task["prompt"]``, so many rounds after a first one."""
    bot = bots.open_bot(task["base"], task["device"])
    bot = shortened(bot, len(bot.model.encode(task["prompt"])) + 1)
    seconds = []
    for number in range(task["rounds"] + 1):
        started = time.perf_counter()
        next(bot.generate(task["prompt"], 1, max_chars=NO_LIMIT, seed=number))
        seconds.append(time.perf_counter() - started)
    return {"warm_up_seconds": seconds[0], "seconds": seconds[1:]}


if __name__ == "__main__":
    answer(measure)
