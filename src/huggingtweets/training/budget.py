"""Choose layers, posts and epochs so that a run fits into a time limit.

A few real steps measure the cost of a token on this machine, for a training step and for a forward
pass. The first option that fits is chosen: all weights on all posts, as often as the recipe says;
the same once; the MLPs of all layers on the newest posts; the top third of the layers, then the top
sixth, on the newest posts. In the same time, the MLPs read more posts than all weights, and that
is better; training either on a few hundred posts is better than the top layers on all posts
(``docs/performance.md``, "Minutes"). A base without MLPs trains all weights on the newest posts.
"""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.events import counted
from huggingtweets.generation import rewriting
from huggingtweets.nn import likelihood
from huggingtweets.nn.devices import trim_heap, tune_allocator
from huggingtweets.training.layers import blocks, has_part
from huggingtweets.training.recipe import describe_layers, split_layers
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from huggingtweets.data.batching import Row
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training.recipe import LayerChoice, Recipe

MIN_TOKENS = 12_000
"""Number of training tokens above which training more layers is better than training more posts."""

MIN_POSTS = 250
"""Newest posts of each author used at any time limit. With 250 of NASA's, training all weights
lowers bits per byte from 2.30 to 1.68; with fewer, a bot hardly resembles its author."""

_WARM_UP_STEPS, _TIMED_STEPS = 2, 3
"""Number of untimed training steps, which take longer, and of the timed ones after them."""

_PLANNED_SHARE = 0.9
"""Share of the time limit that is planned for; the rest is a reserve for a busy machine."""

_HEAD_COST = 0.15
"""Cost of the frozen part of a step, mainly the head's matrix products, relative to a step of all
weights."""

_PASSED_COST = 2 / 3
"""Cost of a frozen layer above trained weights, relative to a trained one: it has no gradients of
weights, which are a third of the operations (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""

_UNCACHED_COST = {"noise": 1 / 3, "adversarial": _PASSED_COST}
"""The same of a frozen layer below all trained weights, where the embeddings are varied."""

_PART_COSTS = {"embeddings": _PASSED_COST, "attention": 7 / 9, "mlp": 0.8}
"""Cost of a step that trains this part of every layer, relative to a step of all weights. The
attention is taken for a third of a layer's weights, as in GPT-2 and Llama. For the MLPs, 0.75 was
measured with SmolLM2 in bfloat16. The rest is a reserve, because the optimizer's share differs
between machines."""

_MOST_MLP_COST = 0.9
"""Highest cost of a step of the MLPs. Of SmolLM2's operations they need 0.86: the gradients of the
other weights, 41 % of all, are a third of the operations for those. An optimizer lowers it."""

_TOP_LAYERS_RATE_FACTOR = 2.25
"""Factor on the learning rate if only the top layers are trained: the best rate for SmolLM2 is 4e-4
for its top layers and 1.78e-4 for all weights."""

_MLP_RATE_FACTOR = 1.69
"""The same for the MLPs alone, whose rate is 3e-4 for SmolLM2 (docs/lab/speed.md)."""

_FIXED_SECONDS = 10.0
"""Time that doesn't depend on the base: compressor, Markov chain, classifier, plots, picture."""

_GENERATED_TOKENS = (200 + 60) * 35
"""Tokens of the posts generated for the likeness report, of which 60 measure sense."""

_JUDGED_TOKENS = 4 * 60 * 35
"""Tokens that SmolLM2 reads to measure sense; a smaller base plans too little for them."""

_GENERATION_COST = 2.5
"""Cost of generating a token relative to a forward pass, in a batch of 200 posts."""

_CANARY_TOKENS = 2 * 12 * 32 * 11
"""Tokens that bot and base read to measure how strongly strings are memorised."""

_MEASUREMENTS = 4
"""Number of passes over the held-out posts in training: before and after it, and two while
interpolating to the base. The report needs another one by the bot, and one by the base if there are
several authors."""

_TIMED_READS = 2
"""Number of timed forward passes over one batch."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds per token on this machine.

    Attributes:
        training: in a training step of all weights, or of pairs beside them all.
        reading: in a forward pass.
        mlp: in a training step of the MLPs of all layers; None takes a share of ``training``.
    """

    training: float
    reading: float
    mlp: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """Size of the base and the posts.

    Attributes:
        depth: number of layers of the base.
        sizes: tokens of each training post of each author, oldest first.
        held_out: tokens of the held-out posts.
        has_mlp: whether the MLPs of the base can be trained alone.
    """

    depth: int
    sizes: Sequence[Sequence[int]]
    held_out: int
    has_mlp: bool = False

    def tokens(self, posts: int | None) -> int:
        """Tokens of an epoch on the newest ``posts`` of each author; None means all posts.

        Authors with less text are repeated, so all of them count equally.
        """
        newest = [sizes if posts is None else sizes[-posts:] for sizes in self.sizes]
        return max(map(sum, newest)) * len(newest)


@dataclass(frozen=True, slots=True)
class Plan:
    """The chosen settings.

    Attributes:
        recipe: recipe with its final layers and epochs.
        posts: newest posts of each author to train on; None for all.
        seconds: estimated seconds for the rest of the run.
        message: one line for the user.
    """

    recipe: Recipe
    posts: int | None
    seconds: float
    message: str


def measure(
    lm: LanguageModel,
    machine: ComputeDevice,
    recipe: Recipe,
    rows: Sequence[Row],
    layers: LayerChoice = 0,
) -> Rates:
    """Time a few training steps and a forward pass; this changes the model's weights.

    Args:
        lm: model, which is moved to the machine's device and precision.
        machine: where the training will run.
        recipe: recipe adjusted to the base's width.
        rows: rows of the training posts.
        layers: what the timed steps train: all weights, or ``mlp``. Steps of the MLPs need almost a
            gigabyte less memory, and the cost of all weights is then estimated from theirs.
    """
    order = range(len(rows))
    size = recipe.batch_tokens or lm.context
    multiple = batching.WIDTH_MULTIPLE
    groups = batching.batches_by_length(rows, order, size, seed=0, epoch=0, multiple=multiple)
    groups = sorted(groups, key=len)[len(groups) // 4 :] or groups
    chosen = [groups[n % len(groups)] for n in range(_WARM_UP_STEPS + _TIMED_STEPS)]
    padded = machine.keeps_kernels
    batches = [
        batching.training_batch([rows[i] for i in group], lm.context, padded=padded)
        for group in chosen
    ]
    adapter = recipe.adapter if recipe.rank else "none"
    weights = Weights(lm.model, machine, replace(recipe, layers=layers, adapter=adapter))
    lm.model.train()
    seconds = 0.0
    for number, batch in enumerate(batches):
        started = time.perf_counter()
        loss = likelihood.negative_log_likelihood(lm.model, batch) / batch.tokens
        loss.backward()  # type: ignore[no-untyped-call]
        _ = loss.item()  # waits for the device
        weights.update(0.0)
        seconds += time.perf_counter() - started if number >= _WARM_UP_STEPS else 0.0
    training = seconds / sum(batch.tokens for batch in batches[_WARM_UP_STEPS:])
    reading = _time_reading(lm, rows)
    weights.layers.thaw()
    del weights
    gc.collect()
    trim_heap()  # gigabytes of optimizer state, which the training would find in fragments
    reading = min(reading, training)
    if layers == "mlp":
        return Rates(training / _PART_COSTS["mlp"], reading, mlp=training)
    return Rates(training, reading)


def _time_reading(lm: LanguageModel, rows: Sequence[Row]) -> float:
    """Seconds of a token in a forward pass over a batch of rows of middle length."""
    size = batching.positions_to_read(lm.device.type)
    groups = batching.batches_by_length(rows, range(len(rows)), size, seed=0, epoch=0)
    group = sorted(groups, key=len)[len(groups) // 2]
    batch = [rows[i] for i in group]
    likelihood.summed_nats(lm.model, batch)  # the first pass takes longer
    started = time.perf_counter()
    for _ in range(_TIMED_READS):
        likelihood.summed_nats(lm.model, batch)
    return (time.perf_counter() - started) / _TIMED_READS / sum(len(row) - 1 for row in batch)


def plan_run(
    base: LanguageModel,
    kept: pl.DataFrame,
    recipe: Recipe,
    where: ComputeDevice,
    seconds: float,
    *,
    free_rate: bool,
) -> Plan:
    """Measure this machine and choose layers, posts and epochs for the remaining seconds.

    Timing real steps changes the weights of ``base``. Steps of the MLPs come first. Steps of all
    weights need almost a gigabyte more memory. They are timed only if all weights could read all
    posts at the lowest cost that steps of the MLPs allow.
    """
    authors = kept["author"].unique(maintain_order=True).to_list()
    train = batching.texts_by_author(kept, "train", authors).values()
    held_out = batching.texts_by_author(kept, "held_out", authors).values()
    rows = [batching.make_rows(base.encode_all(t), base.separator, base.context) for t in train]
    tune_allocator()
    work = Work(
        depth=depth_of(base),
        sizes=[[len(row) - 1 for row in of_author] for of_author in rows],
        held_out=sum(len(ids) + 1 for texts in held_out for ids in base.encode_all(texts)),
        has_mlp=has_part(base.model, "mlp"),
    )
    time_steps = partial(measure, base, where, recipe, [row for part in rows for row in part])
    started, mlp_rate = time.monotonic(), None
    if "mlp" in _choices(recipe, work)[1:]:
        rates = time_steps("mlp")
        seconds -= time.monotonic() - started
        mlp_rate = rates.training * _PART_COSTS["mlp"]
        least = replace(rates, training=mlp_rate / _MOST_MLP_COST)
        if plan(recipe, least, work, seconds).recipe.layers != 0:
            return plan(recipe, rates, work, seconds, free_rate=free_rate)
    started = time.monotonic()
    rates = replace(time_steps(), mlp=mlp_rate)
    seconds -= time.monotonic() - started
    return plan(recipe, rates, work, seconds, free_rate=free_rate)


def plan(
    recipe: Recipe, rates: Rates, work: Work, seconds: float, *, free_rate: bool = True
) -> Plan:
    """Choose layers, posts and epochs.

    Args:
        recipe: recipe adjusted to the base's width; explicit layers and epochs don't change.
        rates: cost of a token on this machine.
        work: size of the base and the posts.
        seconds: time limit for the rest of the run.
        free_rate: whether training only the top layers or the MLPs raises the learning rate.
    """
    fixed = _report_seconds(rates, work)
    available = max(0.0, seconds * _PLANNED_SHARE - fixed)
    choices = _choices(recipe, work)
    chosen, posts = recipe, None
    for layers in choices:
        chosen, posts = _fitting(recipe, layers, rates, work, available)
        fits = _training_seconds(chosen, rates, work, posts) <= available
        mlp_is_better = layers == 0 and "mlp" in choices  # it reads more posts in the same time
        enough = not mlp_is_better and work.tokens(posts) >= MIN_TOKENS
        if fits and (posts is None or enough):
            break
    if free_rate and not chosen.rank:
        chosen = replace(chosen, learning_rate=chosen.learning_rate * _rate_factor(chosen.layers))
    estimate = fixed + _training_seconds(chosen, rates, work, posts)
    message = _message(chosen, work, posts, estimate)
    whole = _with_layers(recipe, choices[0], work)
    if estimate > seconds:
        message += f"; this is the minimum and exceeds the {_time(max(0.0, seconds))} left"
    elif chosen.layers != choices[0] or posts is not None:
        once = _once(whole) if recipe.enough_steps else whole
        message += (
            f"; --minutes {_minutes(once, rates, work, fixed)} would train "
            f"{describe_layers(choices[0])} on all posts"
        )
    elif chosen.epochs < whole.epochs:
        message += f"; --minutes {_minutes(whole, rates, work, fixed)} would train on them twice"
    return Plan(chosen, posts, estimate, message)


def _report_seconds(rates: Rates, work: Work) -> float:
    """Estimated seconds of the likeness report."""
    passes = 1 if len(work.sizes) == 1 else 2
    generating = _GENERATED_TOKENS * _GENERATION_COST
    read = work.held_out * passes + _JUDGED_TOKENS + _CANARY_TOKENS + generating
    return _FIXED_SECONDS + rates.reading * read


def _choices(recipe: Recipe, work: Work) -> list[LayerChoice]:
    """The layers to try, the most expensive first; an explicit choice alone."""
    if recipe.layers is not None:
        return [recipe.layers]
    mlp: list[LayerChoice] = ["mlp"] if work.has_mlp and not recipe.rank else []
    top = [depth for depth in (work.depth // 3, work.depth // 6) if depth]
    return [0, *mlp, *top]


def _rate_factor(layers: LayerChoice | None) -> float:
    """Factor on the learning rate for these layers."""
    if layers == "mlp":
        return _MLP_RATE_FACTOR
    return _TOP_LAYERS_RATE_FACTOR if isinstance(layers, int) and layers else 1.0


def depth_of(lm: LanguageModel) -> int:
    """Number of layers of a model."""
    return len(blocks(lm.model))


def _fitting(
    recipe: Recipe, layers: LayerChoice, rates: Rates, work: Work, seconds: float
) -> tuple[Recipe, int | None]:
    """The recipe with these layers, and the newest posts of each author that fit; None for all.

    Without an explicit number of epochs, a second one gives way to more posts: reading 600 posts
    once takes as long as 300 twice and gives a better bot (docs/lab/recipe.md). So few posts that
    they don't fit once either are read as often as the recipe says.
    """

    def fits(recipe: Recipe) -> bool:
        return _training_seconds(recipe, rates, work, None) <= seconds

    chosen = _with_layers(recipe, layers, work)
    if recipe.enough_steps and not fits(chosen):
        once = _once(chosen)
        newest = _posts_that_fit(once, rates, work, seconds)
        if newest is not None or fits(once):
            return once, newest
    return chosen, _posts_that_fit(chosen, rates, work, seconds)


def _once(recipe: Recipe) -> Recipe:
    return replace(recipe, epochs=1)


def _minutes(recipe: Recipe, rates: Rates, work: Work, fixed: float) -> int:
    """Minutes for a run with this recipe on all posts, where ``fixed`` seconds aren't training."""
    needed = (fixed + _training_seconds(recipe, rates, work, None)) / _PLANNED_SHARE
    return math.ceil(needed / 60)


def _with_layers(recipe: Recipe, layers: LayerChoice, work: Work) -> Recipe:
    """The recipe with trained layers and the final number of epochs."""
    tokens = work.tokens(None)
    return replace(recipe, layers=layers).for_steps(tokens // (recipe.batch_tokens or tokens or 1))


def _training_seconds(recipe: Recipe, rates: Rates, work: Work, posts: int | None) -> float:
    """Estimated seconds of training on the newest posts, with its measurements."""
    below, cost = _cost_of_layers(recipe.layers or 0, work.depth)
    varied = recipe.augment in _UNCACHED_COST
    frozen = 0.0 if varied else below  # the share of layers that runs once
    # The head's products don't become fewer.
    measured = work.held_out * (frozen + _MEASUREMENTS * (1 - frozen * (1 - _HEAD_COST)))
    if recipe.layers == "mlp" and rates.mlp is not None:
        cost = rates.mlp / rates.training
    cost += below * _HEAD_COST
    if varied:
        cost += below * _UNCACHED_COST[recipe.augment]
    step = rates.training * cost * (2 if recipe.augment == "adversarial" else 1)
    seconds = work.tokens(posts) * (frozen * rates.reading + step * recipe.epochs)
    if recipe.augment == "paraphrase":  # at most one for each post
        seconds = 2 * seconds + work.tokens(posts) * rates.reading * (1 + rewriting.ATTEMPTS)
    return seconds + measured * rates.reading


def _cost_of_layers(choice: LayerChoice, depth: int) -> tuple[float, float]:
    """Return the share of layers below all trained weights, and the cost of those above.

    The cost is relative to a step of all weights.
    """
    kind, number = split_layers(choice)
    if kind == "all":
        return 0.0, 1.0
    if kind == "top":
        trained = number / depth
        return 1 - trained, trained
    if kind in _PART_COSTS:
        return 0.0, _PART_COSTS[kind]
    below = (depth - number) // 2 if kind == "middle" else 0
    return below / depth, (number + (depth - number - below) * _PASSED_COST) / depth


def _posts_that_fit(recipe: Recipe, rates: Rates, work: Work, seconds: float) -> int | None:
    """The largest number of newest posts of each author that fits; None for all posts."""
    largest = max(map(len, work.sizes))
    low, high = min(MIN_POSTS, largest), largest
    while low < high:
        middle = (low + high + 1) // 2
        fits = _training_seconds(recipe, rates, work, middle) <= seconds
        low, high = (middle, high) if fits else (low, middle - 1)
    return None if low == largest else low


def _message(recipe: Recipe, work: Work, posts: int | None, seconds: float) -> str:
    """Describe the plan in one line."""
    total = sum(map(len, work.sizes))
    used = sum(len(sizes) if posts is None else min(posts, len(sizes)) for sizes in work.sizes)
    which = (
        f"all {counted(total, 'post')}"
        if used == total
        else f"the newest {used:,} of {total:,} posts"
    )
    times = {1: "once", 2: "twice"}.get(recipe.epochs, f"{recipe.epochs} times")
    layers = describe_layers(recipe.layers or 0)
    if recipe.rank:
        layers = f"LoRA of rank {recipe.rank} in {layers}"
    return f"planned: {layers} on {which}, {times}, about {_time(seconds)} with the report"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
