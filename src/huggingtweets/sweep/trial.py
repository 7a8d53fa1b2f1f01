"""What one worker does: train one recipe on one author, and measure it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import HuggingTweetsError, TrainingError
from huggingtweets.nn import devices, language_model
from huggingtweets.training import Recipe, TrainingTask, fit

if TYPE_CHECKING:
    from huggingtweets.sweep.posts import AuthorPosts


@dataclass(frozen=True, slots=True)
class Job:
    """One recipe on one author.

    Attributes:
        author: whose posts.
        recipe: fields of a :class:`~huggingtweets.training.Recipe`.
        base: a built-in one, a model folder or a Hub id.
        seed: of the training, the same for all trials.
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
        """As plain values, to send to a worker."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went.

    Attributes:
        bits_per_byte: the lowest on the held-out posts; None where training failed.
        history: every measurement: epoch, step, train_loss, held_out_bits_per_byte.
        steps: optimizer steps taken.
        tokens: of real text seen.
        seconds: spent training, measuring included.
        threads: that the worker computed on.
        failure: why training failed: the loss was no number any more.
    """

    bits_per_byte: float | None
    history: list[dict[str, float | None]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    threads: int = 0
    failure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain values, to keep with the trial."""
        return asdict(self)


def train_author(posts: AuthorPosts, job: Job) -> Outcome:
    """Train a recipe on an author's posts; nothing is written.

    Raises:
        BaseModelError: the base can't be loaded.
        InputError: this machine lacks the device.
    """
    recipe = Recipe(**job.recipe)
    where = devices.select_device(job.device, job.precision)
    task = TrainingTask(
        base=language_model.load(job.base, attention=recipe.attention(where.device)),
        train=[posts.train],
        held_out=posts.held_out,
        recipe=recipe,
        machine=where,
        seed=job.seed,
        checkpoint_seconds=float("inf"),
    )
    try:
        trained = fit(task)
    except TrainingError as error:
        return Outcome(None, failure=str(error), threads=where.cores)
    return Outcome(
        bits_per_byte=trained.best,
        history=trained.history,
        steps=trained.steps,
        tokens=trained.tokens,
        seconds=round(trained.seconds, 3),
        threads=where.cores,
    )


def run_job(posts: AuthorPosts, job: Job) -> dict[str, Any]:
    """What a worker tells: ``outcome``, or ``fault``, one that every job would meet."""
    try:
        return {"outcome": train_author(posts, job).as_json()}
    except HuggingTweetsError as error:
        return {"fault": str(error)}
