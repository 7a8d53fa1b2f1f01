"""One bot of one base, in a process of its own: what benchmarks/models.py measures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import speed_process, studies
from huggingtweets.errors import BaseModelError
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from benchmarks.speed_process import Task, TaskResult


def measure(task: Task) -> TaskResult:
    """Train a base and measure its bot.

    Args:
        task: ``model`` (a built-in base, folder or Hub id), ``source``, ``posts``, ``held_out``,
            ``generated``, ``shown`` and ``seed``.

    Returns:
        The measures of a study, seconds and posts; or why the base can't be loaded (``missing``).
    """
    recipe = RECIPES["fast"]
    machine = devices.select_device(None, recipe.precision)
    try:
        lm = language_model.load(task["model"], attention=recipe.attention(machine.device))
    except BaseModelError as error:
        return {"missing": str(error)}
    author = studies.read_author(Path(task["source"]), task["held_out"])
    posts = author.train[-task["posts"] :]
    untouched = likelihood.bits_per_byte(lm.to(machine), author.test)
    seed = task["seed"]
    result = studies.train(lm, posts, author, recipe.for_base(lm.width), machine, seed=seed)
    measured = studies.measure(lm, posts, author, machine, seed=seed, generated=task["generated"])
    started = time.monotonic()
    written = [post.text for post in Writer(lm, Sampling(seed=seed)).write(n=task["shown"])]
    return {
        "parameters": lm.parameters,
        "untouched": untouched,
        "seconds": round(result.seconds, 1),
        "write_seconds": round(time.monotonic() - started, 1),
        "shown": written,
        **measured,
    }


if __name__ == "__main__":
    speed_process.run_task(measure)
