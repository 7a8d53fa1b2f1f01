"""The training loop.

All randomness derives from the seed and the epoch or is stored in the checkpoint. A run that is
killed and resumed therefore ends with the same loss as an uninterrupted run.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from huggingtweets.data import batching
from huggingtweets.errors import BotError, Interrupted, TrainingError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.nn import dropout, likelihood
from huggingtweets.nn.devices import ComputeDevice, trim_heap, tune_allocator
from huggingtweets.storage import checkpoint
from huggingtweets.training import compiling, graphs
from huggingtweets.training.frozen import FrozenOutputs, can_cache_outputs
from huggingtweets.training.interrupt import Interrupt
from huggingtweets.training.perturbation import EmbeddingPerturbation
from huggingtweets.training.progress import Progress, ProgressReporter
from huggingtweets.training.samples import Sampler
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from huggingtweets.data.batching import Batch, Row
    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training.recipe import Recipe

_INTERPOLATION_WEIGHTS = (0.85, 0.7, 0.55, 0.4, 0.25)
"""Weights of the trained parameters, against those of the base, in the order they are tried."""

_SECONDS_BETWEEN_EVENTS = 0.25

_MAX_CHECKPOINT_SHARE = 0.05
"""Largest share of the training time spent writing checkpoints. A checkpoint of GPT-2 small has
1.5 GB, and some disks need seven seconds to write it."""


@dataclass(frozen=True)
class TrainingTask:
    """The model, data and settings of one training.

    Attributes:
        base: the model to start from; changed in place, it ends with the best weights.
        train: training posts of each author; with ``recipe.augment`` = ``paraphrase`` followed by
            the posts that the base rewrote.
        held_out: posts that are only measured.
        recipe: hyper-parameters.
        machine: device and precision.
        seed: determines the order of posts and dropout.
        checkpoint_file: where checkpoints are written; None writes none.
        checkpoint_seconds: seconds between checkpoints. Twenty times the duration of writing one
            if that is longer.
        compiled: whether to use ``torch.compile``; None decides by the expected gain.
        interrupt: handles Ctrl-C.
        start: pairs of a small bot to train further, for a recipe with LoRA; ``base`` is its base.
    """

    base: LanguageModel
    train: Sequence[Sequence[str]]
    held_out: Sequence[str]
    recipe: Recipe
    machine: ComputeDevice
    seed: int = 0
    checkpoint_file: Path | None = None
    checkpoint_seconds: float = 30.0
    compiled: bool | None = None
    interrupt: Interrupt = field(default_factory=Interrupt)
    start: Adapter | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The outcome of one training; run.json holds :meth:`record`.

    Attributes:
        history: measurements, the first before any step: epoch, step, train_loss,
            held_out_bits_per_byte.
        best: lowest held-out bits per byte, that of the final weights.
        steps: optimizer steps taken.
        tokens: tokens trained on, without padding, over all epochs.
        seconds: time spent training, including measurements.
        stopped_early: whether the held-out loss rose before the last epoch.
        compiled: whether the last steps ran compiled.
        way: interpolation weight of the trained parameters, 0 to 1, where the final weights were
            interpolated with the base. None where they are those of an epoch or the base.
        adapter: the difference to the base, if the recipe makes an adapter; without the base's name
            and digest, which the training doesn't know.
    """

    history: list[dict[str, float | None]]
    best: float
    steps: int
    tokens: int
    seconds: float
    stopped_early: bool
    compiled: bool = False
    way: float | None = None
    adapter: Adapter | None = None

    def record(self) -> dict[str, Any]:
        """Return all fields but the adapter."""
        values = asdict(replace(self, adapter=None))
        del values["adapter"]
        return values


def fit(task: TrainingTask, listen: EventHandler = ignore) -> TrainingResult:
    """Train until the recipe ends or the held-out loss rises, and load the best weights.

    Resumes from ``task.checkpoint_file`` if it exists.

    Raises:
        TrainingError: the loss is not a finite number.
        Interrupted: the user stopped the training; its state is saved.
        StorageError: a checkpoint can't be written.
        BotError: the checkpoint is damaged or has other data, another recipe or another seed.
    """
    tune_allocator()
    torch.manual_seed(task.seed)
    loop = _Loop(task, listen)
    try:
        with task.interrupt.watching():
            return loop.run()
    finally:
        compiling.decompile(task.base.model)


class _Loop:
    """State of one :func:`fit`; start reading at :meth:`run`."""

    def __init__(self, task: TrainingTask, listen: EventHandler) -> None:
        recipe = task.recipe.for_base(task.base.width)
        self.task, self.data = task, _TrainingData(task, recipe)
        self.recipe = recipe.for_steps(len(self.data.epoch(0)))
        self.steps = sum(len(self.data.epoch(e)) for e in range(self.recipe.epochs))
        self.folder = task.checkpoint_file.parent if task.checkpoint_file else None
        self.weights = Weights(task.base.model, task.machine, self.recipe, self.folder, task.start)
        self.state = Progress(plan=self._fingerprint())
        self.listen = listen
        self._resume()
        self.reporter = ProgressReporter(self.state, self.recipe, self.steps, listen)
        self.sampler = Sampler(task.base, task.train, task.seed)
        self.compiled = self._compile_if_faster()
        self._announce_settings()
        self.perturbation = (
            EmbeddingPerturbation(task.base.model, self.recipe, task.seed)
            if self.recipe.augment in ("noise", "adversarial")
            else None
        )
        self.graph_stepper = self._make_graph_stepper()
        self.frozen_outputs = self._make_frozen_outputs()
        self.saved_at, self.save_seconds = time.monotonic(), 0.0

    def run(self) -> TrainingResult:
        """Measure, then alternate an epoch and a measurement; finally load the best weights."""
        state = self.state
        if self.frozen_outputs:
            self._compute_frozen_outputs(self.frozen_outputs)
        if not state.history:
            self._measure(train_loss=None)
        while state.epoch < self.recipe.epochs and not self._held_out_loss_rose():
            self._train_epoch()
            state.epoch, state.in_epoch = state.epoch + 1, 0
            self._measure(train_loss=state.loss_sum / max(1, state.loss_tokens))
            state.loss_sum, state.loss_tokens = 0.0, 0
        weight = self._interpolate_to_base() if self.recipe.way_back else None
        adapter = self.weights.load_best()
        return TrainingResult(
            history=state.history,
            best=state.best,
            steps=state.step,
            tokens=state.tokens,
            seconds=self.reporter.seconds(),
            stopped_early=state.epoch < self.recipe.epochs,
            compiled=self.compiled,
            way=weight,
            adapter=adapter,
        )

    def _train_epoch(self) -> None:
        """Train the remaining batches of the current epoch and write checkpoints."""
        state = self.state
        batches = self.data.epoch(state.epoch)
        while state.in_epoch < len(batches):
            self._step(batches[state.in_epoch])
            state.in_epoch += 1
            self.reporter.report(state)
            if self.task.interrupt.requested:
                self._stop_if_confirmed()
            elif time.monotonic() - self.saved_at >= self._checkpoint_interval():
                self._save()

    def _step(self, rows: list[Row]) -> None:
        """Take one optimizer step on a batch of rows."""
        state, batch = self.state, self.data.batch(rows)
        width = batch.inputs.shape[1]
        rate = self.recipe.rate(state.step, self.steps)
        step = self.graph_stepper.step if self.graph_stepper else self._update_weights
        frozen = self.frozen_outputs
        with frozen.skip_frozen(rows, width) if frozen else nullcontext():
            loss = step(batch, rate)
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is no longer a number at step {state.step + 1}; "
                "try again with a lower --learning-rate."
            )
        state.step += 1
        state.tokens += batch.tokens
        state.loss_sum += loss * batch.tokens
        state.loss_tokens += batch.tokens

    def _update_weights(self, batch: Batch, rate: float) -> float:
        """Update the weights and return the batch's mean loss before the update, in nats."""
        self.weights.layers.train()
        if self.perturbation:
            backward = partial(self._backward, batch)
            loss = self.perturbation.backward(batch, self.state.step, backward)
        else:
            loss = self._backward(batch)
        self.weights.update(rate)
        return loss

    def _backward(self, batch: Batch, weight: float = 1.0) -> float:
        """Add the gradients of the mean loss times ``weight``; return that loss in nats.

        Falls back to eager mode if compiling fails.
        """
        try:
            loss = likelihood.negative_log_likelihood(self.weights.model, batch) / batch.tokens
            (loss if weight == 1.0 else loss * weight).backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            if not (self.compiled and compiling.is_compiler_error(error)):
                raise
            self._disable_compiler()
            return self._backward(batch, weight)
        return loss.item()

    def _measure(self, train_loss: float | None) -> None:
        """Record the held-out bits per byte, and save the weights if they are the best so far."""
        value, state = self._held_out_bits(), self.state
        state.history.append(
            {
                "epoch": state.epoch,
                "step": state.step,
                "train_loss": train_loss,
                "held_out_bits_per_byte": value,
            }
        )
        if value < state.best:
            state.best = value
            if state.step:  # those of the base are already stored
                self.weights.save_best()
        with self.reporter.paused(), self._eager():
            samples = self.sampler.sample(state.step, self.reporter.seconds())
        self.reporter.report(state, held_out=value, samples=samples)

    def _held_out_bits(self) -> float:
        """Held-out bits per byte of the current weights."""
        rows = self.data.held_out
        trim_heap()  # steps and measurements can't use each other's fragments
        with self._eager():
            nats = (
                self.frozen_outputs.summed_nats(rows)
                if self.frozen_outputs
                else likelihood.summed_nats(self.weights.model, rows)
            )
        trim_heap()
        return likelihood.nats_to_bits_per_byte(nats, self.task.held_out)

    def _held_out_loss_rose(self) -> bool:
        """Whether the last measurement is higher than an earlier one."""
        values = [entry["held_out_bits_per_byte"] or 0.0 for entry in self.state.history]
        # A loss above the base's doesn't stop a training that ends with interpolation to the base.
        return values[-1] > min(values[1:] or values if self.recipe.way_back else values)

    def _interpolate_to_base(self) -> float | None:
        """Interpolate towards the base weights to minimise held-out loss.

        No learning rate suits every author. Between the base and its fine-tuned weights the loss
        often has a minimum (Wortsman et al. 2022, arXiv:2109.01903), so interpolation corrects a
        rate that was too high.

        Returns:
            The weight of the trained parameters, or None if no interpolation is better.
        """
        state, best_weight = self.state, None
        trained, lowest = self.weights.snapshot(), state.best
        previous = state.history[-1]["held_out_bits_per_byte"] or math.inf
        for weight in _INTERPOLATION_WEIGHTS:
            self.weights.set_interpolated(weight, trained)
            value = self._held_out_bits()
            if self.task.interrupt.requested:
                self.weights.set_interpolated(1.0, trained)
                self._stop_if_confirmed()
            if value < lowest:
                lowest, best_weight = value, weight
            if value > previous:
                break
            previous = value
        if best_weight:
            state.best = lowest
            self.weights.set_interpolated(best_weight, trained)
            self.weights.save_best()
            self._say(
                f"interpolated towards the base: {best_weight:.0%} of the weight change kept, "
                f"held-out {lowest:.3f} bits per byte"
            )
        return best_weight

    def _compile_if_faster(self) -> bool:
        """Compile the model's blocks if that is requested or pays; return whether it was done."""
        task, model = self.task, self.task.base.model
        tokens = sum(map(sum, self.data.sizes)) * self.recipe.epochs
        wanted, self.compile_note = compiling.should_compile(
            task.compiled,
            task.machine,
            self.weights.computed,
            tokens,
            drops=dropout.has_dropout(model),
        )
        compiled = wanted and compiling.compile_blocks(model)
        if compiled:
            self.compile_note = "compiled, so the first steps take longer"
        else:  # compiled code generates its own dropout masks
            dropout.replace_dropout(model)
        return compiled

    def _announce_settings(self) -> None:
        """Report device, trained layers and compilation in one line."""
        layers = self.weights.layers
        trained = layers.describe() if layers.partly else ""
        if self.recipe.rank:
            trained = f"LoRA of rank {self.recipe.rank} in {layers.describe()}"
        parts = (self.task.machine.describe(), trained, self.compile_note)
        self._say(f"training on {', '.join(part for part in parts if part)}")

    def _make_graph_stepper(self) -> graphs.CudaGraphStepper | None:
        """Create the CUDA graph stepper, or None where graphs can't be used."""
        base, epochs, budget = self.task.base, self.recipe.epochs, self.recipe.batch_tokens
        if self.perturbation or not graphs.usable(
            self.task.machine, self.recipe, base.model, compiled=self.compiled
        ):
            return None
        batches = (rows for epoch in range(epochs) for rows in self.data.epoch(epoch))
        return graphs.CudaGraphStepper(self.weights, budget, base.context, batches, self._say)

    def _make_frozen_outputs(self) -> FrozenOutputs | None:
        """Create the cache of frozen layers' outputs, or None where it can't be used."""
        layers, rows = self.weights.layers, [*self.data.held_out, *self.data.rows]
        if self.recipe.rows != "posts" or self.graph_stepper or self.perturbation:
            return None
        if not can_cache_outputs(layers, rows[0]):
            return None
        return FrozenOutputs(layers, rows, self.folder)

    def _compute_frozen_outputs(self, frozen: FrozenOutputs) -> None:
        """Run the frozen layers over all rows and report progress."""
        reported_at = 0.0
        message = f"posts with the {self.weights.layers.first} frozen layers"

        def report(done: int, total: int) -> None:
            nonlocal reported_at
            if done < total and time.monotonic() - reported_at < _SECONDS_BETWEEN_EVENTS:
                return
            reported_at = time.monotonic()
            self.listen(Event("encode", done, total, message))
            if self.task.interrupt.requested:
                self._stop_if_confirmed()

        with self.reporter.excluded_from_speed(), self._eager():
            frozen.compute(report)

    def _eager(self) -> AbstractContextManager[None]:
        """Run uncompiled inside, so that measuring and sampling compile nothing."""
        return compiling.eager() if self.compiled else nullcontext()

    def _disable_compiler(self) -> None:
        compiling.recover(self.weights.model)
        self.compiled = False
        self._say(compiling.FAILED)

    def _say(self, message: str) -> None:
        self.listen(Event("train", self.state.step, self.steps, message))

    def _stop_if_confirmed(self) -> None:
        self._save()
        if self.task.interrupt.confirmed():
            raise Interrupted(f"Stopped at step {self.state.step} of {self.steps}.")

    def _checkpoint_interval(self) -> float:
        """Seconds between checkpoints; longer where the disk is slow."""
        return max(self.task.checkpoint_seconds, self.save_seconds / _MAX_CHECKPOINT_SHARE)

    def _save(self) -> None:
        """Write a checkpoint."""
        started = time.monotonic()
        if self.task.checkpoint_file is not None:
            self.state.seconds = self.reporter.seconds()
            self.state.best_weights = self.weights.best
            checkpoint.save(self.task.checkpoint_file, self.state, self.weights.tensors())
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def _resume(self) -> None:
        """Restore the state from the checkpoint, if there is one.

        Raises:
            BotError: the checkpoint is damaged or doesn't match this training.
        """
        file = self.task.checkpoint_file
        loaded = checkpoint.load(file, Progress, self._say) if file else None
        if loaded is None:
            return
        progress, tensors = loaded
        if progress.plan != self.state.plan:
            raise BotError(
                f"The checkpoint {file} belongs to other posts, another base, recipe or seed; "
                "start a new training under another --name."
            )
        try:
            self.weights.check_best(progress.best_weights)
        except BotError as error:  # they were made before both checkpoints
            self._say(f"{error} Training starts from the beginning, with the same result.")
            return
        self.state = progress
        self.weights.restore(tensors, progress.best_weights)

    def _fingerprint(self) -> str:
        """Hash of everything that determines the result of training."""
        weights = [(name, list(w.shape)) for name, w in self.weights.model_params.items()]
        recipe = asdict(self.recipe)
        for added_later in ("way_back", "base_width", "batch_width", "enough_steps", "layers"):
            if not recipe[added_later]:
                del recipe[added_later]  # so checkpoints from before the field can be resumed
        if recipe["augment"] == "none":
            del recipe["augment"], recipe["augment_strength"]
        if recipe["adapter"] == "none":
            del recipe["adapter"]
        settings = [recipe, self.task.seed, self.task.machine.precision]
        parts = [self.data.rows, self.data.held_out, weights, settings]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class _TrainingData:
    """Encoded rows and the batches of each epoch."""

    def __init__(self, task: TrainingTask, recipe: Recipe) -> None:
        lm = task.base
        self.recipe, self.seed, self.lm = recipe, task.seed, lm
        self.padded = recipe.rows == "posts" and task.machine.keeps_kernels
        # blocks are cut after shuffling, so a long post stays whole until then
        max_length = lm.context if self.recipe.rows == "posts" else sys.maxsize
        by_author = [
            batching.make_rows(lm.encode_all(posts), lm.separator, max_length)
            for posts in task.train
        ]
        self.sizes = [[len(row) - 1 for row in rows] for rows in by_author]
        self.rows = [row for rows in by_author for row in rows]
        held_out = lm.encode_all(task.held_out)
        self.held_out = batching.make_rows(held_out, lm.separator, lm.context)

    def epoch(self, number: int) -> list[list[Row]]:
        """Batches of an epoch, each a list of rows; the same seed gives the same batches."""
        order = batching.epoch_order(self.sizes, self.seed, number)
        if self.recipe.rows == "blocks":
            blocks = batching.pack_blocks(self.rows, order, self.lm.separator, self.lm.context)
            return [[block] for block in blocks]
        budget = self.recipe.batch_tokens
        multiple = batching.WIDTH_MULTIPLE
        groups = batching.batches_by_length(
            self.rows, order, budget, self.seed, number, multiple=multiple
        )
        return [[self.rows[i] for i in group] for group in groups]

    def batch(self, rows: list[Row]) -> Batch:
        """Stack rows of :meth:`epoch`; posts are padded to a few widths where that saves memory."""
        return batching.training_batch(rows, self.lm.context, padded=self.padded)
