"""Our side of training: the ``fast`` recipe with :func:`huggingtweets.training.fit`.

Everything else is as ``huggingtweets train`` chooses on this machine: precision, attention, a
checkpoint every half minute, samples during training.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import run_task

from huggingtweets.data import batching
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES, TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_process import Task, TaskResult

    from huggingtweets.events import Event
    from huggingtweets.nn.language_model import LanguageModel


def measure(task: Task) -> TaskResult:
    """Train on ``task["posts"]``; measure the held-out loss ``task["points"]`` times meanwhile."""
    posts = json.loads(Path(task["posts"]).read_text("utf-8"))
    recipe = RECIPES["fast"].changed(epochs=task.get("epochs"))
    device = devices.select_device(task["device"], recipe.precision)
    base = language_model.load(task["base"], attention=recipe.attention(device.device))
    recorder = Recorder(base, posts["held_out"], task.get("points", 0))
    with tempfile.TemporaryDirectory() as folder:
        training_task = TrainingTask(
            base=base,
            train=[posts["train"]],
            held_out=posts["held_out"],
            recipe=recipe,
            machine=device,
            checkpoint_file=RunFolder(Path(folder)).checkpoint_file,
        )
        recorder.start()
        trained = fit(training_task, recorder)
        recorder.finish(trained.best)
    return recorder.summary() | {
        "tokens": trained.tokens,
        "steps": trained.steps,
        "tokens_per_second": recorder.tokens_per_second(trained.tokens),
        "parameters": base.parameters,
        "precision": device.precision,
        "threads": device.cores,
    }


@dataclass
class Recorder:
    """Handles the events of a training; records the times of steps and held-out losses.

    Attributes:
        base: the model being trained.
        held_out: posts to measure the loss on.
        points: number of additional loss measurements; their time is not counted.
        started: clock time of the training call.
        measuring_seconds: time spent on the additional measurements.
        first_loss_at: seconds until the loss before the first step was measured.
        steps: seconds and tokens so far, after each reported step.
        kept: seconds and losses that the training itself measured, and of its final weights.
        curve: ``kept`` and the additional measurements.
    """

    base: LanguageModel
    held_out: Sequence[str]
    points: int
    started: float = 0.0
    measuring_seconds: float = 0.0
    first_loss_at: float = 0.0
    steps: list[tuple[float, int | None]] = field(default_factory=list)
    kept: list[tuple[float, float]] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)

    def start(self) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if event.stage != "train":
            return
        now = time.perf_counter() - self.started - self.measuring_seconds
        if event.held_out_bits_per_byte is not None:
            self.first_loss_at = self.first_loss_at or now
            self.kept.append((now, event.held_out_bits_per_byte))
            self.curve.append((now, event.held_out_bits_per_byte))
        else:
            self.steps.append((now, tokens_by(event)))
            self._measure_loss(now, event)

    def _measure_loss(self, now: float, event: Event) -> None:
        """Measure the held-out loss if one of the additional measurements is due."""
        done = len(self.curve) - len(self.kept)
        if not self.points or event.done * (self.points + 1) < event.total * (done + 1):
            return
        before = time.perf_counter()
        lm = self.base
        rows = batching.make_rows(lm.encode_all(self.held_out), lm.separator, lm.context)
        devices.trim_heap()  # as the training's own measurements do, so memory is that of training
        # disables dropout; the next step enables it again
        nats = likelihood.summed_nats(lm.model, rows)
        devices.trim_heap()
        self.curve.append((now, likelihood.nats_to_bits_per_byte(nats, self.held_out)))
        self.measuring_seconds += time.perf_counter() - before

    def finish(self, best: float) -> None:
        """Record the final loss; base interpolation may have lowered it after the last event."""
        now = time.perf_counter() - self.started - self.measuring_seconds
        self.kept.append((now, best))
        self.curve.append((now, best))

    def tokens_per_second(self, tokens: int) -> float:
        """Return the rate from the end of the first reported step to the end of the last."""
        if len(self.steps) < 2:  # training was shorter than the interval between two events
            return tokens / (self.kept[-2][0] - self.first_loss_at)
        (start, before), (end, after) = self.steps[0], self.steps[-1]
        return ((after or tokens) - (before or 0)) / (end - start)

    def summary(self) -> dict[str, Any]:
        """Return the seconds to the end of the first and of the last step, and the losses."""
        first = self.steps[0][0] if self.steps else self.kept[-2][0]
        last = self.steps[-1][0] if self.steps else self.kept[-2][0]
        return {
            "warm_up_seconds": first,
            "seconds": last,
            "kept": self.kept,
            "curve": self.curve,
        }


def tokens_by(event: Event) -> int | None:
    """Return the tokens trained on up to an event; None at the last step.

    Steps differ in tokens, so steps can't be counted. An event's seconds left give the seconds so
    far, and with its tokens per second, the tokens.
    """
    if not event.seconds_left or event.tokens_per_second is None:
        return None
    seconds = event.seconds_left * event.done / (event.total - event.done)
    return round(event.tokens_per_second * seconds)


if __name__ == "__main__":
    run_task(measure)
