"""The pre-training loop: one process, or several under Accelerate."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.errors import BotError, Interrupted, TrainingError
from huggingtweets.nn import attention, int8_training
from huggingtweets.pretraining.averaging import held_out_bits
from huggingtweets.pretraining.optimizers import Optimizers
from huggingtweets.pretraining.progress import Clock, Progress
from huggingtweets.pretraining.tokens import CorpusMixture
from huggingtweets.storage import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from huggingtweets.events import EventHandler
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.pretraining.presets import Preset
    from huggingtweets.pretraining.progress import Budget
    from huggingtweets.pretraining.tokens import Stream
    from huggingtweets.training.interrupt import Interrupt

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Pretrain:
    """What to train, on what, how long.

    Attributes:
        lm: the model to start from; changed in place.
        streams: encoded corpora.
        held_out: posts of each corpus that are only measured.
        preset: the recipe.
        budget: when to stop.
        machine: device and precision.
        accelerator: of this process.
        state_file: where the resumable state goes.
        plan: fingerprint of data and shape; a checkpoint of another isn't used.
        taken: rows of each stream that an earlier training of these weights has read.
        compiled: whether to use ``torch.compile``.
        eight_bit: whether linear layers train in 8 bits.
        device_tokens: tokens that one device computes at once; a larger step goes through in
            several parts whose gradients are added up.
        checkpoint_seconds: at most so much training is lost when the process dies.
        measure_seconds: between two measurements of the held-out posts.
        interrupt: what Ctrl-C does.
    """

    lm: LanguageModel
    streams: list[Stream]
    held_out: dict[str, list[str]]
    preset: Preset
    budget: Budget
    machine: ComputeDevice
    accelerator: Accelerator
    state_file: Path
    plan: str
    taken: list[int]
    compiled: bool
    eight_bit: bool
    device_tokens: int
    checkpoint_seconds: float
    measure_seconds: float
    interrupt: Interrupt


def pretrain(task: Pretrain, listen: EventHandler) -> Progress:
    """Train until the budget is used up.

    Raises:
        TrainingError: the loss is no longer a number.
        Interrupted: the user stopped it; the state is saved.
        BotError: the state is damaged or of other data or another shape.
        StorageError: a checkpoint can't be written.
    """
    with (
        task.interrupt.watching(),
        int8_training.int8_matmuls(task.lm.model, wanted=task.eight_bit),
        attention.use_causal_attention(task.lm.model, task.machine.device, wanted=task.compiled),
    ):
        return _Loop(task, listen).run()


class _Loop:
    """State of one sitting; ``run`` is the order of things."""

    def __init__(self, task: Pretrain, listen: EventHandler) -> None:
        self.task, self.listen = task, listen
        self.model = task.accelerator.prepare(task.lm.model)
        self.optimizers = Optimizers(task.lm.model, task.preset, task.machine)
        self.progress = Progress(task.plan, taken=task.taken)
        self._resume()
        self.mix = CorpusMixture(task.streams, self.progress.taken)
        self.loss = _loss_of(self.model, task)
        self.rows = _rows_of_a_step(task)
        self.ahead = self.mix.batch(self.rows)
        self.clock = Clock(self.progress)
        self.saved_at = self.measured_at = time.monotonic()

    def run(self) -> Progress:
        """Step after step, with a measurement and a checkpoint now and then."""
        p = self.progress
        if not p.curve:
            self._measure()  # what the weights know before the first step
        while (share := self._agreed(self._share())) < 1:
            self._step(self.task.preset.rate(share))
            self.clock.tell(self.listen, p, share)
            due = self._agreed(self._due())
            if due == "stop":
                self._save()
                if self._agreed(self.task.accelerator.is_main_process and self._confirmed()):
                    raise Interrupted(f"Stopped after {p.tokens:,} tokens.")
            elif due == "measure":
                self._measure()
            elif due == "save":
                self._save()
        if p.curve[-1]["step"] < p.step:
            self._measure()
            self._save()
        return p

    def _share(self) -> float:
        """Share of the budget that is used up."""
        return self.task.budget.progress(self.progress.tokens, self.clock.seconds())

    def _due(self) -> str:
        """What is to be done after a step: stop, measure, save or nothing."""
        now = time.monotonic()
        if self.task.interrupt.requested:
            return "stop"
        if now - self.measured_at >= self.task.measure_seconds:
            return "measure"
        return "save" if now - self.saved_at >= self.task.checkpoint_seconds else ""

    def _confirmed(self) -> bool:
        return self.task.interrupt.confirmed()

    def _agreed(self, mine: Answer) -> Answer:
        """The first process' answer in all: clocks and keyboards differ between them."""
        if self.task.accelerator.num_processes == 1:
            return mine
        from accelerate.utils import broadcast_object_list

        box = [mine]
        broadcast_object_list(box)
        return box[0]

    def _step(self, rate: float) -> None:
        p, accelerator = self.progress, self.task.accelerator
        rows = self.ahead
        p.taken = list(self.mix.taken)
        mine = rows[accelerator.process_index :: accelerator.num_processes]
        loss = self._gradients(mine.to(accelerator.device))
        self.optimizers.step(rate)
        self.ahead = self.mix.batch(self.rows)  # a GPU is still at work on all the above
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is no longer a number at step {p.step + 1}; "
                "try again with a lower --learning-rate."
            )
        p.step += 1
        p.tokens += rows[:, 1:].numel()
        p.loss_sum += value
        p.loss_steps += 1

    def _gradients(self, rows: torch.Tensor) -> torch.Tensor:
        """Forward and backward, part by part; returns the mean loss over all processes."""
        import torch

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
        """Held-out bits per byte of each corpus' posts and of all, each post alone."""
        p, lm = self.progress, self.task.lm
        with self.clock.paused():
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
        self.clock.tell(self.listen, p, self._share(), held_out=bits["all"])
        self.measured_at = time.monotonic()

    def _save(self) -> None:
        self.progress.seconds = self.clock.seconds()
        if self.task.accelerator.is_main_process:
            tensors = _weights(self.task.lm.model) | self.optimizers.tensors()
            checkpoint.save(self.task.state_file, self.progress, tensors)
        self.task.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        import torch

        found = checkpoint.load(self.task.state_file, Progress)
        if found is None:
            return
        progress, tensors = found
        if progress.plan != self.task.plan:
            raise BotError(
                f"{self.task.state_file} belongs to other corpora, another shape or seed; "
                "name another --out."
            )
        self.progress = progress
        with torch.no_grad():
            for name, weight in self.task.lm.model.named_parameters():
                weight.copy_(tensors[f"weight.{name}"])
        self.optimizers.restore(tensors)


def _rows_of_a_step(task: Pretrain) -> int:
    """As many as make the step's tokens, and the same number for each process."""
    each: int = round(task.preset.batch_tokens / task.preset.row / task.accelerator.num_processes)
    processes: int = task.accelerator.num_processes
    return max(1, each) * processes


def _loss_of(model: PreTrainedModel, task: Pretrain) -> Any:  # noqa: ANN401 - torch.compile's type
    """Mean cross entropy of a batch, compiled where that is wanted."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - its usual name

    halved, device = task.machine.precision == "bf16", task.machine.device

    def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=halved):
            logits = model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())

    return torch.compile(loss) if task.compiled else loss


def _weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {f"weight.{name}": weight.detach() for name, weight in model.named_parameters()}
