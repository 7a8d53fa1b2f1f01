"""Choosing layers, posts and epochs so that a run ends within the minutes it may take.

A few real steps tell what a token costs on this machine: in a whole training step, and in reading
alone. Then the first of these that fits is taken: all weights on all posts; all weights on the
newest posts; the top third of the layers, or the top sixth, on as many posts. All weights on a few
hundred posts beat the top layers on all of them (``docs/performance.md``, "Minutes").
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.nn import likelihood
from huggingtweets.nn.devices import tune_allocator
from huggingtweets.training.layers import blocks
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from huggingtweets.data.batching import Row
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training.recipe import Recipe

ENOUGH_TOKENS = 12_000
"""Training tokens from which on all weights are worth more than more posts."""

FEWEST_POSTS = 250
"""Newest posts of each author that are read however little time there is: with 250 of NASA's, all
weights go from 2.30 to 1.68 bits per byte; with fewer a bot hardly sounds like anybody."""

_STEPS = 3
"""Real steps that are timed, after one that is not."""

_SPARE = 0.9
"""Share of the minutes that is planned for: machines slow down when something else runs."""

_HEAD = 0.15
"""Part of a step of all weights that the frozen part costs in each step: the head's products."""

_TOP_RATE = 2.25
"""Times the learning rate for the top layers alone: 4e-4 suits those of SmolLM2, 1.78e-4 all."""

_OTHER_SECONDS = 10.0
"""For what doesn't depend on the base: compressor, Markov chain, classifier, plots, picture."""

_GENERATED_TOKENS = 200 * 35
"""Tokens of the posts that the likeness report judges."""

_GENERATION = 5
"""Times the cost of reading a token that writing one takes, in a batch of 200 posts."""

_MEASUREMENTS = 6
"""Times that held-out posts are read: before and after training, twice on the way back to the base,
and for the report by the bot and by its base."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a token costs here, in seconds.

    Attributes:
        training: in a step of all weights.
        reading: in a forward pass.
    """

    training: float
    reading: float


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do.

    Attributes:
        depth: layers of the base.
        sizes: tokens of each training post of each author, oldest first.
        held_out: tokens of the posts that are only measured.
    """

    depth: int
    sizes: Sequence[Sequence[int]]
    held_out: int

    def tokens(self, posts: int | None) -> int:
        """Tokens of an epoch on the newest posts of each author, who all count alike."""
        newest = [sizes if posts is None else sizes[-posts:] for sizes in self.sizes]
        return max(map(sum, newest)) * len(newest)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was chosen.

    Attributes:
        recipe: with its layers and epochs settled.
        posts: newest posts of each author to train on; None for all.
        seconds: that the rest of the run should take.
        message: one line for people.
    """

    recipe: Recipe
    posts: int | None
    seconds: float
    message: str


def measure(
    lm: LanguageModel, machine: ComputeDevice, recipe: Recipe, rows: Sequence[Row]
) -> Rates:
    """Time a few steps on rows as long as the posts to come; the model's weights change.

    Args:
        lm: moved to the machine's device and precision.
        machine: where the training is to run.
        recipe: settled for the base's width.
        rows: of posts; a few hundred are enough.
    """
    order = range(len(rows))
    size = recipe.batch_tokens or lm.context
    groups = batching.batches_by_length(rows, order, size, seed=0, epoch=0)
    groups = sorted(groups, key=len)[len(groups) // 4 :] or groups
    batches = [
        batching.to_batch([rows[i] for i in groups[n % len(groups)]]) for n in range(1 + _STEPS)
    ]
    weights = Weights(lm.model, machine, replace(recipe, layers=0))
    lm.model.train()
    seconds = 0.0
    for number, batch in enumerate(batches):
        started = time.perf_counter()
        loss = likelihood.negative_log_likelihood(lm.model, batch) / batch.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        _ = loss.item()  # waits for the device
        weights.update(0.0)
        seconds += time.perf_counter() - started if number else 0.0
    training = seconds / sum(batch.tokens for batch in batches[1:])
    some = list(rows[: max(8, 2048 // max(map(len, rows)))])
    started = time.perf_counter()
    likelihood.summed_nats(lm.model, some)
    reading = (time.perf_counter() - started) / sum(len(row) - 1 for row in some)
    return Rates(training, min(reading, training))


def plan_run(
    base: LanguageModel,
    kept: pl.DataFrame,
    recipe: Recipe,
    where: ComputeDevice,
    seconds: float,
    *,
    free_rate: bool,
) -> Plan:
    """Choose layers, posts and epochs that fit into the seconds left.

    The weights of ``base`` change, as real steps are timed.
    """
    authors = kept["author"].unique(maintain_order=True).to_list()
    train = batching.texts_by_author(kept, "train", authors).values()
    held_out = batching.texts_by_author(kept, "held_out", authors).values()
    rows = [batching.make_rows(base.encode_all(t), base.separator, base.context) for t in train]
    tune_allocator()
    rates = measure(base, where, recipe, [row for some in rows for row in some])
    work = Work(
        depth=depth_of(base),
        sizes=[[len(row) - 1 for row in some] for some in rows],
        held_out=sum(len(ids) + 1 for texts in held_out for ids in base.encode_all(texts)),
    )
    return plan(recipe, rates, work, seconds, free_rate=free_rate)


def plan(
    recipe: Recipe, rates: Rates, work: Work, seconds: float, *, free_rate: bool = True
) -> Plan:
    """Choose layers, posts and epochs.

    Args:
        recipe: settled for the base's width; explicit layers and epochs stay as they are.
        rates: of this machine.
        work: to do.
        seconds: that the rest of the run may take.
        free_rate: False keeps the learning rate where only the top layers are trained.
    """
    fixed = _OTHER_SECONDS + rates.reading * (
        work.held_out * _MEASUREMENTS + _GENERATED_TOKENS * _GENERATION
    )
    left = max(0.0, seconds * _SPARE - fixed)
    depths = [0, work.depth // 3, work.depth // 6] if recipe.layers is None else [recipe.layers]
    choices = [depth for i, depth in enumerate(depths) if depth or not i]
    settled, posts = recipe, None
    for layers in choices:
        settled = _settled(recipe, layers, work)
        posts = _posts_that_fit(settled, rates, work, left)
        if work.tokens(posts) >= min(work.tokens(None), ENOUGH_TOKENS):
            break
    if settled.layers and free_rate:
        settled = replace(settled, learning_rate=settled.learning_rate * _TOP_RATE)
    took = fixed + _seconds(settled, rates, work, posts)
    need = (fixed + _seconds(_settled(recipe, choices[0], work), rates, work, None)) / _SPARE
    message = _message(settled, work, posts, took)
    if took > seconds:
        message += f"; that is the least, and more than the {_time(seconds)} left"
    elif settled.layers != choices[0] or posts is not None:
        message += (
            f"; --minutes {-(-need // 60):.0f} would train {_layers(choices[0])} on all posts"
        )
    return Plan(settled, posts, took, message)


def depth_of(lm: LanguageModel) -> int:
    """How many layers a model has."""
    return len(blocks(lm.model))


def _settled(recipe: Recipe, layers: int, work: Work) -> Recipe:
    """The recipe with its layers and its epochs."""
    tokens = work.tokens(None)
    return replace(recipe, layers=layers).for_steps(tokens // (recipe.batch_tokens or tokens or 1))


def _seconds(recipe: Recipe, rates: Rates, work: Work, posts: int | None) -> float:
    """How long training on the newest posts takes."""
    share = recipe.layers / work.depth if recipe.layers else 1.0
    once = (1 - share) * rates.reading
    each = rates.training * (share + (1 - share) * _HEAD)
    return work.tokens(posts) * (once + each * recipe.epochs)


def _posts_that_fit(recipe: Recipe, rates: Rates, work: Work, seconds: float) -> int | None:
    """The most newest posts of each author whose training ends in time; None for all."""
    most = max(map(len, work.sizes))
    low, high = min(FEWEST_POSTS, most), most
    while low < high:
        middle = (low + high + 1) // 2
        fits = _seconds(recipe, rates, work, middle) <= seconds
        low, high = (middle, high) if fits else (low, middle - 1)
    return None if low == most else low


def _message(recipe: Recipe, work: Work, posts: int | None, seconds: float) -> str:
    """What was chosen, as one line."""
    total = sum(map(len, work.sizes))
    read = sum(len(sizes) if posts is None else min(posts, len(sizes)) for sizes in work.sizes)
    which = f"all {total:,} posts" if read == total else f"the newest {read:,} of {total:,} posts"
    times = "once" if recipe.epochs == 1 else f"{recipe.epochs} times"
    layers = _layers(recipe.layers or 0)
    return f"planned: {layers} on {which}, {times}, about {_time(seconds)} with the report"


def _layers(layers: int) -> str:
    return f"the top {layers} layers" if layers else "all layers"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
