"""The training loop.

Everything that depends on chance derives from the seed and the epoch, or is in the checkpoint, so
a run that was killed and resumed ends with the loss it would have had.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.errors import BotError, Interrupted, TrainingError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.nn import dropout, likelihood
from huggingtweets.nn.devices import ComputeDevice, tune_allocator
from huggingtweets.storage import checkpoint
from huggingtweets.training import compiling, graphs
from huggingtweets.training.clock import ProgressReporter
from huggingtweets.training.frozen import FrozenOutputs, can_be_kept
from huggingtweets.training.interrupt import Interrupt
from huggingtweets.training.progress import Progress
from huggingtweets.training.samples import Sampler
from huggingtweets.training.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from huggingtweets.data.batching import Batch, Row
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training.recipe import Recipe

_WAYS = (0.85, 0.7, 0.55, 0.4, 0.25)
"""Shares of the way from the base to the end of training that are tried, one after the other."""

_SECONDS_BETWEEN_EVENTS = 0.25

_SHARE_FOR_CHECKPOINTS = 0.05
"""Of the time at most: GPT-2 small's are 1.5 GB, which some disks take seven seconds for."""


@dataclass(frozen=True)
class TrainingTask:
    """What to train, on what, how.

    Attributes:
        base: the model to start from; changed in place, it ends with the best weights.
        train: posts of each author.
        held_out: posts that are only measured.
        recipe: hyper-parameters.
        machine: device and precision.
        seed: decides the order of posts and dropout.
        checkpoint_file: where the resumable state goes, or None for none.
        checkpoint_seconds: at most so much training is lost when the process dies, or twenty times
            what it takes to write a checkpoint where that is more.
        compiled: whether to use ``torch.compile``; None where it pays.
        interrupt: what Ctrl-C does.
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


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How training went.

    Attributes:
        history: measurements, the first before any step: epoch, step, train_loss,
            held_out_bits_per_byte.
        best: lowest held-out bits per byte, that of the weights kept.
        steps: optimizer steps taken.
        tokens: of real text seen.
        seconds: spent training, measuring included.
        stopped_early: the held-out loss rose before the last epoch.
        compiled: the last steps ran compiled.
        way: of the kept weights from the base's to those at the end of training, from 0 to 1; None
            where they are those of an epoch, or the base's.
    """

    history: list[dict[str, float | None]]
    best: float
    steps: int
    tokens: int
    seconds: float
    stopped_early: bool
    compiled: bool = False
    way: float | None = None


def fit(task: TrainingTask, listen: EventHandler = ignore) -> TrainingResult:
    """Train until the recipe ends or the held-out loss no longer falls; keep the best weights.

    Goes on from ``task.checkpoint_file`` where there is one.

    Raises:
        TrainingError: the loss is no longer a number.
        Interrupted: the user stopped it; the state is saved.
        StorageError: a checkpoint can't be written.
        BotError: the checkpoint is damaged or of other data, another recipe or seed.
    """
    import torch

    tune_allocator()
    torch.manual_seed(task.seed)
    loop = _Loop(task, listen)
    try:
        with task.interrupt.watching():
            return loop.run()
    finally:
        compiling.decompile(task.base.model)


class _Loop:
    """State of one fit; ``run`` is the order of things."""

    def __init__(self, task: TrainingTask, listen: EventHandler) -> None:
        recipe = task.recipe.for_base(task.base.width)
        self.task, self.data = task, _Data(task, recipe)
        self.recipe = recipe.for_steps(len(self.data.epoch(0)))
        self.steps = sum(len(self.data.epoch(e)) for e in range(self.recipe.epochs))
        file = task.checkpoint_file
        self.weights = Weights(
            task.base.model, task.machine, self.recipe, file.parent if file else None
        )
        self.state = Progress(plan=self._plan())
        self.listen = listen
        self._resume()
        self.clock = ProgressReporter(self.state, self.recipe, self.steps, listen)
        self.sampler = Sampler(task.base, task.train, task.seed)
        self.compiled = self._pick()
        self.replay = self._replay()
        self.frozen = self._frozen()
        self.saved_at, self.saving_takes = time.monotonic(), 0.0

    def run(self) -> TrainingResult:
        """Measure, train an epoch, measure, until there is no more to gain."""
        state = self.state
        if self.frozen:
            self._compute_frozen(self.frozen)
        if not state.history:
            self._measure(train_loss=None)
        while state.epoch < self.recipe.epochs and not self._no_longer_falls():
            self._epoch()
            state.epoch, state.in_epoch = state.epoch + 1, 0
            self._measure(train_loss=state.loss_sum / max(1, state.loss_tokens))
            state.loss_sum, state.loss_tokens = 0.0, 0
        way = self._interpolate_to_base() if self.recipe.way_back else None
        self.weights.load_best()
        return TrainingResult(
            history=state.history,
            best=state.best,
            steps=state.step,
            tokens=state.tokens,
            seconds=self.clock.seconds(),
            stopped_early=state.epoch < self.recipe.epochs,
            compiled=self.compiled,
            way=way,
        )

    def _pick(self) -> bool:
        """Choose whether to compile, and say in a line what this machine is used for."""
        task = self.task
        tokens = sum(map(sum, self.data.sizes)) * self.recipe.epochs
        wanted, why_not = compiling.should_compile(
            task.compiled,
            task.machine,
            sum(weight.numel() for weight in self.weights.masters.values()),
            tokens,
            drops=dropout.is_in(task.base.model),
        )
        compiled = wanted and compiling.compile_blocks(task.base.model)
        if not compiled:  # what is compiled draws its own
            dropout.replace_dropout(task.base.model)
        how = "compiled, so the first steps take longer" if compiled else why_not
        layers = self.weights.layers
        some = f"the top {len(layers.trained)} of {len(layers.blocks)} layers"
        parts = (task.machine.describe(), some if layers.partly else "", how)
        picked = ", ".join(part for part in parts if part)
        self._say(f"training on {picked}")
        return compiled

    def _replay(self) -> graphs.CudaGraphStepper | None:
        """What replays steps as CUDA graphs, where that can be."""
        base, epochs, budget = self.task.base, self.recipe.epochs, self.recipe.batch_tokens
        if not graphs.usable(self.task.machine, self.recipe, base.model, compiled=self.compiled):
            return None
        batches = (rows for epoch in range(epochs) for rows in self.data.epoch(epoch))
        return graphs.CudaGraphStepper(self.weights, budget, base.context, batches, self._say)

    def _frozen(self) -> FrozenOutputs | None:
        """Where outputs of frozen layers are kept; None where there are none, or they can't be."""
        folder = self.task.checkpoint_file.parent if self.task.checkpoint_file else None
        layers, rows = self.weights.layers, [*self.data.held_out, *self.data.rows]
        if self.recipe.rows != "posts" or self.replay or not can_be_kept(layers, rows[0]):
            return None
        return FrozenOutputs(layers, rows, folder)

    def _compute_frozen(self, frozen: FrozenOutputs) -> None:
        """Run the frozen layers over all rows, and tell how far that is."""
        told_at = 0.0
        message = f"posts with the {self.weights.layers.first} frozen layers"

        def tell(done: int, total: int) -> None:
            nonlocal told_at
            if done < total and time.monotonic() - told_at < _SECONDS_BETWEEN_EVENTS:
                return
            told_at = time.monotonic()
            self.listen(Event("encode", done, total, message))
            if self.task.interrupt.requested:
                self._stop_if_confirmed()

        with self.clock.preparing(), self._uncompiled():
            frozen.compute(tell)

    def _say(self, message: str) -> None:
        self.listen(Event("train", self.state.step, self.steps, message))

    def _epoch(self) -> None:
        state = self.state
        batches = self.data.epoch(state.epoch)
        while state.in_epoch < len(batches):
            self._step(batches[state.in_epoch])
            state.in_epoch += 1
            self.clock.tell(state)
            if self.task.interrupt.requested:
                self._stop_if_confirmed()
            elif time.monotonic() - self.saved_at >= self._seconds_between_checkpoints():
                self._save()

    def _seconds_between_checkpoints(self) -> float:
        return max(self.task.checkpoint_seconds, self.saving_takes / _SHARE_FOR_CHECKPOINTS)

    def _step(self, rows: list[Row]) -> None:
        state, batch = self.state, batching.to_batch(rows)
        rate = self.recipe.rate(state.step, self.steps)
        step = self.replay.step if self.replay else self._launch
        with self.frozen.skipping(rows) if self.frozen else nullcontext():
            value = step(batch, rate)
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is no longer a number at step {state.step + 1}; "
                "try again with a lower --learning-rate."
            )
        state.step += 1
        state.tokens += batch.tokens
        state.loss_sum += value * batch.tokens
        state.loss_tokens += batch.tokens

    def _launch(self, batch: Batch, rate: float) -> float:
        """Update the weights; returns the mean loss of the batch before that, in nats."""
        self.weights.layers.train()
        value = self._loss_and_gradients(batch)
        self.weights.update(rate)
        return value

    def _loss_and_gradients(self, batch: Batch) -> float:
        """Mean loss of a batch in nats, its gradients in the model; uncompiled if need be."""
        try:
            loss = likelihood.negative_log_likelihood(self.weights.model, batch) / batch.tokens
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            if not (self.compiled and compiling.is_of_the_compiler(error)):
                raise
            self._go_on_uncompiled()
            return self._loss_and_gradients(batch)
        return loss.item()

    def _go_on_uncompiled(self) -> None:
        compiling.decompile(self.weights.model)
        compiling.forget_cache()
        self.weights.model.zero_grad()
        self.compiled = False
        self._say("compiling failed, so training goes on without it")

    def _measure(self, train_loss: float | None) -> None:
        """Held-out bits per byte now; the weights are kept if it is the lowest so far."""
        value, state = self._held_out(), self.state
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
            if state.step:  # the base's are kept already
                self.weights.keep_best()
        with self.clock.stopped(), self._uncompiled():
            samples = self.sampler.draw(state.step, self.clock.seconds())
        self.clock.tell(state, held_out=value, samples=samples)

    def _held_out(self) -> float:
        """Held-out bits per byte of the weights as they are."""
        rows = self.data.held_out
        with self._uncompiled():
            nats = (
                self.frozen.summed_nats(rows)
                if self.frozen
                else likelihood.summed_nats(self.weights.model, rows)
            )
        return likelihood.nats_to_bits_per_byte(nats, self.task.held_out)

    def _interpolate_to_base(self) -> float | None:
        """Keep weights between the base and these where they are better; returns their share.

        One rate is too high for one author and right for the next. Between a base and what was
        made of it the loss has a valley (Wortsman et al. 2022, arXiv:2109.01903), so what was too
        much is taken back.
        """
        state, kept = self.state, None
        end, before, lowest = self.weights.snapshot(), math.inf, state.best
        for share in _WAYS:
            self.weights.go(share, end)
            value = self._held_out()
            if self.task.interrupt.requested:
                self.weights.go(1.0, end)
                self._stop_if_confirmed()
            if value < lowest:
                lowest, kept = value, share
            if value > before:
                break
            before = value
        if kept:
            state.best = lowest
            self.weights.go(kept, end)
            self.weights.keep_best()
            self._say(
                f"keeping {kept:.0%} of the way from the base: held-out posts are likelier so"
            )
        return kept

    def _uncompiled(self) -> AbstractContextManager[None]:
        """While measuring and sampling, for which nothing should be compiled anew."""
        return compiling.paused() if self.compiled else nullcontext()

    def _no_longer_falls(self) -> bool:
        values = [entry["held_out_bits_per_byte"] or 0.0 for entry in self.state.history]
        # the base is no reason to stop where the way back to it follows
        return values[-1] > min(values[1:] or values if self.recipe.way_back else values)

    def _stop_if_confirmed(self) -> None:
        self._save()
        if self.task.interrupt.confirmed():
            raise Interrupted(f"Stopped at step {self.state.step} of {self.steps}.")

    def _plan(self) -> str:
        """Fingerprint of all that decides the course of training."""
        weights = [(name, list(w.shape)) for name, w in self.weights.computing.items()]
        recipe = asdict(self.recipe)
        for newer in ("way_back", "base_width", "batch_width", "enough_steps", "layers"):
            if not recipe[newer]:
                del recipe[newer]  # runs from before there was one can be resumed
        how = [recipe, self.task.seed, self.task.machine.precision]
        parts = [self.data.rows, self.data.held_out, weights, how]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _save(self) -> None:
        started = time.monotonic()
        if self.task.checkpoint_file is not None:
            self.state.seconds = self.clock.seconds()
            self.state.best_weights = self.weights.best
            checkpoint.save(self.task.checkpoint_file, self.state, self.weights.tensors())
        self.saved_at = time.monotonic()
        self.saving_takes = self.saved_at - started

    def _resume(self) -> None:
        file = self.task.checkpoint_file
        found = checkpoint.load(file, Progress) if file else None
        if found is None:
            return
        progress, tensors = found
        if progress.plan != self.state.plan:
            raise BotError(
                f"{file} belongs to other posts, another base, recipe or seed; "
                "train the bot anew under another --name."
            )
        self.state = progress
        self.weights.restore(tensors, progress.best_weights)


class _Data:
    """Rows of a fit and the batches of its epochs."""

    def __init__(self, task: TrainingTask, recipe: Recipe) -> None:
        lm = task.base
        self.recipe, self.seed, self.lm = recipe, task.seed, lm
        # blocks are cut after shuffling, so there a long post stays in one piece until then
        longest = lm.context if self.recipe.rows == "posts" else sys.maxsize
        by_author = [
            batching.make_rows(lm.encode_all(posts), lm.separator, longest) for posts in task.train
        ]
        self.sizes = [[len(row) - 1 for row in rows] for rows in by_author]
        self.rows = [row for rows in by_author for row in rows]
        held_out = lm.encode_all(task.held_out)
        self.held_out = batching.make_rows(held_out, lm.separator, lm.context)

    def epoch(self, number: int) -> list[list[Row]]:
        """The batches of an epoch, each a list of rows; the same for the same seed."""
        order = batching.epoch_order(self.sizes, self.seed, number)
        if self.recipe.rows == "blocks":
            blocks = batching.pack_blocks(self.rows, order, self.lm.separator, self.lm.context)
            return [[block] for block in blocks]
        budget = self.recipe.batch_tokens
        groups = batching.batches_by_length(self.rows, order, budget, self.seed, number)
        return [[self.rows[i] for i in group] for group in groups]
