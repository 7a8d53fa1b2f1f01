"""A synthetic loss for recipes, for sweeps that need hundreds of trainings.

It stands where workers stand: a job goes in, an outcome comes out, by a formula instead of a
training. So everything else of a sweep is the real thing, and what pruned trials would have come to
is known, too.
"""

from __future__ import annotations

import math
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.sweep import study as sweep_study
from huggingtweets.sweep.folder import Settings, SweepFolder, load_optuna
from huggingtweets.sweep.loop import Limit, Loop
from huggingtweets.sweep.search_space import space_of
from huggingtweets.sweep.trial import Outcome
from huggingtweets.training import RECIPES, Interrupt
from huggingtweets.workers import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from huggingtweets.sweep.trial import Job

AUTHORS = ["ann", "bob", "cleo", "dan", "eve"]
LEVELS = dict(zip(AUTHORS, (1.2, 1.5, 1.9, 1.4, 1.6), strict=True))
DEFAULT = RECIPES["fast"]
BEST = 4 * DEFAULT.learning_rate
SPACE: dict[str, Any] = {
    "learning_rate": {"low": BEST / 30, "high": BEST * 3, "log": True},
    "epochs": {"low": 1, "high": 4},
    "warmup": {"low": 0.0, "high": 0.3},
}


POSTS = pl.DataFrame({"author": ["ann"], "split": ["train"], "text": ["A SECRET"], "id": ["1"]})
"""The posts in the sweep folder."""


def settings_of(**changed: Any) -> Settings:  # noqa: ANN401
    """Settings of a sweep over the synthetic loss."""
    values: dict[str, Any] = {
        "name": "sweep",
        "sources": [f"{name}.csv" for name in AUTHORS],
        "authors": AUTHORS,
        "fingerprint": "0",
        "space": SPACE,
        "objective": "robust",
        "base": "pocket",
        "holdout": 0.2,
        "posts": None,
        "seed": 0,
        "device": "cpu",
        "precision": "fp32",
        "owner": "here",
    }
    return Settings(**(values | changed))


def bits_per_byte(recipe: Mapping[str, Any], author: str) -> float:
    """Best around a learning rate of BEST, a little better with more epochs; warm-up is nothing.

    Nothing is more than 1.5 % under the default recipe, so nothing beats what pruning assumes.
    """
    off = math.log10(recipe["learning_rate"] / BEST) ** 2
    own = 0.01 * math.sin(len(author) * recipe["learning_rate"] * 1e3)  # a little of their own
    worse = 0.25 * max(0.0, off + own) + 0.004 * (4 - recipe["epochs"])
    default = 0.25 * math.log10(DEFAULT.learning_rate / BEST) ** 2 + 0.004 * (4 - DEFAULT.epochs)
    return float(LEVELS[author] * max(1 + worse - default, 0.985))


class Landscape:
    """Workers that answer immediately.

    Args:
        count: how many jobs at once.
        fail: says of a job and how often it was given out whether its training or worker fails.
    """

    def __init__(
        self, count: int = 1, fail: Callable[[Job, int], BaseException | str | None] | None = None
    ) -> None:
        self.count = count
        self.jobs: list[Job] = []
        self._fail = fail or (lambda _job, _time: None)

    def submit(self, job: Job) -> Future[Outcome]:
        """Return the outcome of a job."""
        self.jobs.append(job)
        future: Future[Outcome] = Future()
        failure = self._fail(job, self.jobs.count(job))
        if isinstance(failure, BaseException):
            future.set_exception(failure)
        elif failure:
            future.set_result(Outcome(None, failure=failure))
        else:
            future.set_result(self._outcome(job))
        return future

    def close(self) -> None:
        """Do nothing."""

    def _outcome(self, job: Job) -> Outcome:
        epochs, value = job.recipe["epochs"], bits_per_byte(job.recipe, job.author)
        history: list[dict[str, float | None]] = [
            {
                "epoch": epoch,
                "step": 10 * epoch,
                "train_loss": None,
                "held_out_bits_per_byte": value * (1 + 0.3 * (epochs - epoch) / epochs),
            }
            for epoch in range(epochs + 1)
        ]
        return Outcome(value, history, 10 * epochs, 1000 * epochs, float(epochs), 1)


def died(job: Job) -> WorkerDied:
    """Return the message of a killed worker."""
    return WorkerDied(f"a worker ended with exit code -9 while training {job.author}")


def swept(folder: Path, trials: int, **changed: Any) -> SweepFolder:  # noqa: ANN401
    """A sweep over the synthetic loss."""
    load_optuna()
    made, settings = SweepFolder(folder), settings_of(**changed)
    made.create(settings, POSTS)
    study = sweep_study.open_study(made.storage(settings), settings, space_of(settings.space))
    if trials:
        Loop(study, settings, Landscape(), lambda _: None, Interrupt()).run(Limit(trials, None))
    return made
