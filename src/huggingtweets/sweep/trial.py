"""The job of a worker: train one recipe on one author and measure it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import HuggingTweetsError, TrainingError
from huggingtweets.nn import devices, language_model
from huggingtweets.sweep.posts import load_authors
from huggingtweets.training import Recipe, TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.sweep.posts import AuthorPosts


@dataclass(frozen=True, slots=True)
class Job:
    """One recipe on one author.

    Attributes:
        author: handle.
        recipe: fields of a :class:`~huggingtweets.training.Recipe`.
        base: a built-in base, a model folder or a Hub id.
        seed: seed of the training, the same for all trials.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` or ``fp32``.
    """

    author: str
    recipe: dict[str, Any]
    base: str
    seed: int
    device: str
    precision: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values, to send to a worker."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        bits_per_byte: lowest held-out bits per byte; None if training failed.
        history: all measurements: epoch, step, train_loss, held_out_bits_per_byte.
        steps: number of optimizer steps.
        tokens: number of training tokens, without padding.
        seconds: duration, measurements included.
        threads: number of threads of the worker.
        failure: why training failed, or None.
    """

    bits_per_byte: float | None
    history: list[dict[str, float | None]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    threads: int = 0
    failure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, to store with the trial."""
        return asdict(self)


def train_author(posts: AuthorPosts, job: Job) -> Outcome:
    """Train a recipe on an author's posts; nothing is written to disk.

    Raises:
        BaseModelError: the base can't be loaded.
        InputError: this machine doesn't have the device.
    """
    recipe = Recipe(**job.recipe)
    device = devices.select_device(job.device, job.precision)
    task = TrainingTask(
        base=language_model.load(job.base, attention=recipe.attention(device.device)),
        train=[posts.train],
        held_out=posts.held_out,
        recipe=recipe,
        machine=device,
        seed=job.seed,
        checkpoint_seconds=float("inf"),
    )
    try:
        result = fit(task)
    except TrainingError as error:
        return Outcome(None, failure=str(error), threads=device.cores)
    return Outcome(
        bits_per_byte=result.best,
        history=result.history,
        steps=result.steps,
        tokens=result.tokens,
        seconds=round(result.seconds, 3),
        threads=device.cores,
    )


def run_job(posts: AuthorPosts, job: Job) -> dict[str, Any]:
    """Run a job; return ``outcome``, or ``fault``: an error that every job would have."""
    try:
        return {"outcome": train_author(posts, job).as_json()}
    except HuggingTweetsError as error:
        return {"fault": str(error)}


def runner(authors: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that runs the jobs of a worker process.

    Args:
        authors: path of the sweep's Parquet file of posts.
    """
    posts = load_authors(Path(authors))

    def run(values: dict[str, Any]) -> dict[str, Any]:
        job = Job(**values)
        return run_job(posts[job.author], job)

    return run
