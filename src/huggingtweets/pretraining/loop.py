"""The pre-training loop, in one process or several under Accelerate."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from huggingtweets.errors import BotError, Interrupted, TrainingError
from huggingtweets.events import Event
from huggingtweets.nn import attention, cross_entropy, int8_training
from huggingtweets.pretraining.averaging import held_out_bits
from huggingtweets.pretraining.optimizers import Optimizers
from huggingtweets.pretraining.progress import Clock, Progress
from huggingtweets.pretraining.tokens import CorpusMixture
from huggingtweets.storage import checkpoint
from huggingtweets.training import compiling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from huggingtweets.events import EventHandler
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.pretraining.presets import Preset
    from huggingtweets.pretraining.progress import Budget
    from huggingtweets.pretraining.tokens import Stream
    from huggingtweets.training.interrupt import Interrupt

Value = TypeVar("Value")


@dataclass(frozen=True)
class PretrainTask:
    """The model, data and settings of one pre-training.

    Attributes:
        lm: the model to start from; changed in place.
        streams: encoded corpora.
        held_out: held-out posts of each corpus.
        preset: the recipe.
        budget: the end of training.
        machine: device and precision.
        accelerator: the Accelerate object of this process.
        state_file: file of the checkpoint.
        fingerprint: hash of data and settings; a checkpoint with another one is refused.
        rows_read: rows of each stream that earlier sessions of these weights have read.
        compiled: whether to use ``torch.compile``.
        int8: whether linear layers train in 8 bits.
        device_tokens: tokens that one device processes at once; larger steps accumulate gradients.
        checkpoint_seconds: seconds between checkpoints.
        measure_seconds: seconds between measurements of the held-out posts.
        interrupt: handles Ctrl-C.
    """

    lm: LanguageModel
    streams: list[Stream]
    held_out: dict[str, list[str]]
    preset: Preset
    budget: Budget
    machine: ComputeDevice
    accelerator: Accelerator
    state_file: Path
    fingerprint: str
    rows_read: list[int]
    compiled: bool
    int8: bool
    device_tokens: int
    checkpoint_seconds: float
    measure_seconds: float
    interrupt: Interrupt


def pretrain(task: PretrainTask, listen: EventHandler) -> Progress:
    """Train until the budget is used up.

    Raises:
        TrainingError: the loss is not a finite number.
        Interrupted: the user stopped the training; its state is saved.
        BotError: the checkpoint is damaged or has other data or settings.
        StorageError: a checkpoint can't be written.
    """
    with (
        task.interrupt.watching(),
        int8_training.int8_matmuls(task.lm.model, wanted=task.int8),
        attention.use_causal_attention(task.lm.model, task.machine.device, wanted=task.compiled),
    ):
        return _Loop(task, listen).run()


class _Loop:
    """State of one session; start reading at :meth:`run`."""

    def __init__(self, task: PretrainTask, listen: EventHandler) -> None:
        self.task, self.listen = task, listen
        self.model = task.accelerator.prepare(task.lm.model)
        self.optimizers = Optimizers(
            task.lm.model, task.preset, task.machine, bf16_weights=_has_bf16_weights(task)
        )
        self.progress = Progress(task.fingerprint, taken=task.rows_read)
        self._resume()
        self.progress.compiling_failed = False
        self.mix = CorpusMixture(task.streams, self.progress.taken)
        self.loss = _make_loss(self.model, task, compiled=task.compiled)
        self.batch_rows = _rows_per_step(task)
        self.next_batch = self.mix.batch(self.batch_rows)
        self.clock = Clock(self.progress)
        self.saved_at = self.measured_at = time.monotonic()

    def run(self) -> Progress:
        """Train step by step, with measurements and checkpoints at intervals."""
        p = self.progress
        if not p.curve:
            self._measure()  # the initial weights
        while (share := self._from_main_process(self._used_share())) < 1:
            self._step(self.task.preset.rate(share))
            self.clock.report(self.listen, p, share)
            action = self._from_main_process(self._next_action())
            if action == "stop":
                self._save()
                if self._stop_confirmed():
                    raise Interrupted(f"Stopped after {p.tokens:,} tokens.")
            elif action == "measure":
                self._measure()
            elif action == "save":
                self._save()
        if p.curve[-1]["step"] < p.step:
            self._measure()
            self._save()
        compiling.decompile(self.task.lm.model)
        self.optimizers.load_fp32()
        return p

    def _used_share(self) -> float:
        """Used share of the budget, 0 to 1."""
        return self.task.budget.progress(self.progress.tokens, self.clock.seconds())

    def _next_action(self) -> str:
        """The action after a step: ``stop``, ``measure``, ``save`` or an empty string."""
        now = time.monotonic()
        if self.task.interrupt.requested:
            return "stop"
        if now - self.measured_at >= self.task.measure_seconds:
            return "measure"
        return "save" if now - self.saved_at >= self.task.checkpoint_seconds else ""

    def _stop_confirmed(self) -> bool:
        """Ask in the main process whether to stop."""
        main = self.task.accelerator.is_main_process
        return self._from_main_process(main and self.task.interrupt.confirmed())

    def _from_main_process(self, value: Value) -> Value:
        """The main process' value in all processes, since clocks and signals differ."""
        if self.task.accelerator.num_processes == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values = [value]
        broadcast_object_list(values)
        return values[0]

    def _step(self, rate: float) -> None:
        """Take one optimizer step and load the next batch."""
        p, accelerator = self.progress, self.task.accelerator
        rows = self.next_batch
        p.taken = list(self.mix.rows_read)
        own_rows = rows[accelerator.process_index :: accelerator.num_processes]
        mean_loss = self._gradients(own_rows.to(accelerator.device))
        self.optimizers.step(rate)
        self.next_batch = self.mix.batch(self.batch_rows)  # while a GPU is still computing
        loss = float(mean_loss)
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is no longer a number at step {p.step + 1}; "
                "try again with a lower --learning-rate."
            )
        p.step += 1
        p.tokens += rows[:, 1:].numel()
        p.loss_sum += loss
        p.loss_steps += 1

    def _gradients(self, rows: torch.Tensor) -> torch.Tensor:
        """Compute the gradients, without the compiler if it fails; return the mean loss.

        With several processes a failure ends the training, because the others wait for a sum.
        """
        try:
            return self._backward(rows)
        except Exception as error:
            alone = self.task.accelerator.num_processes == 1
            tried = self.task.compiled and not self.progress.compiling_failed
            if not (alone and tried and compiling.is_compiler_error(error)):
                raise
            self._disable_compiler()
            return self._backward(rows)

    def _disable_compiler(self) -> None:
        compiling.recover(self.task.lm.model)
        self.loss = _make_loss(self.model, self.task, compiled=False)
        self.progress.compiling_failed = True
        self._warn(compiling.FAILED)

    def _backward(self, rows: torch.Tensor) -> torch.Tensor:
        """Accumulate gradients over parts of the rows; return the mean loss of all processes."""
        accelerator = self.task.accelerator
        self.task.lm.model.train()
        parts = torch.split(rows, max(1, self.task.device_tokens // self.task.preset.row))
        total = torch.zeros((), device=accelerator.device)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(self.model):
                loss = self.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(rows))
                accelerator.backward(loss)
            total += loss.detach()
        mean: torch.Tensor = accelerator.reduce(total, "mean")
        return mean

    def _measure(self) -> None:
        """Add a measurement of the held-out posts to the curve."""
        p, lm = self.progress, self.task.lm
        with self.clock.paused(), compiling.eager():
            precision = self.task.machine.precision
            bits = held_out_bits(lm, self.task.held_out, precision=precision)
            lm.model.train()
        loss = p.loss_sum / p.loss_steps if p.loss_steps else None
        p.curve.append(
            {
                "step": p.step,
                "tokens": p.tokens,
                "seconds": round(self.clock.seconds(), 1),
                "train_loss": loss,
                "held_out_bits_per_byte": {k: round(v, 4) for k, v in bits.items()},
            }
        )
        p.loss_sum, p.loss_steps = 0.0, 0
        self.clock.report(self.listen, p, self._used_share(), held_out=bits["all"])
        self.measured_at = time.monotonic()

    def _save(self) -> None:
        """Write a checkpoint from the main process."""
        self.progress.seconds = self.clock.seconds()
        if self.task.accelerator.is_main_process:
            checkpoint.save(self.task.state_file, self.progress, self.optimizers.tensors())
        self.task.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _warn(self, message: str) -> None:
        self.listen(Event("train", message=message))

    def _resume(self) -> None:
        """Restore the state from the checkpoint, if there is one."""
        loaded = checkpoint.load(self.task.state_file, Progress, self._warn)
        if loaded is None:
            return
        progress, tensors = loaded
        if progress.plan != self.task.fingerprint:
            raise BotError(
                f"The checkpoint {self.task.state_file} belongs to other corpora, settings or "
                "another seed; choose another --out."
            )
        self.progress = progress
        self.optimizers.restore(tensors)


def _rows_per_step(task: PretrainTask) -> int:
    """Rows of an optimizer step, a multiple of the number of processes."""
    processes: int = task.accelerator.num_processes
    per_process: int = round(task.preset.batch_tokens / task.preset.row / processes)
    return max(1, per_process) * processes


def _has_bf16_weights(task: PretrainTask) -> bool:
    """Whether the model itself becomes bfloat16, beside fp32 copies of its weights.

    That is faster than autocast, which casts every weight at every step. Muon works on the model's
    own weights, in fp32; several processes add up fp32 gradients.
    """
    alone = task.accelerator.num_processes == 1
    in_bf16 = (task.machine.device, task.machine.precision) == ("cpu", "bf16")
    return task.preset.optimizer == "adamw" and alone and in_bf16


def _make_loss(
    model: PreTrainedModel, task: PretrainTask, *, compiled: bool
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Create the function for a batch's mean cross entropy."""
    bf16, device = task.machine.precision == "bf16", task.machine.device
    if _has_bf16_weights(task) and cross_entropy.has_plain_head(model):
        if compiled:
            compiling.compile_blocks(model)

        def mean(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return cross_entropy.summed_cross_entropy(model, inputs, labels) / labels.numel()

        return mean

    def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())

    return torch.compile(loss) if compiled else loss
