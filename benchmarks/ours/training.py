"""Our side of training: the ``fast`` recipe by :func:`huggingtweets.training.fit`.

Everything else is what ``huggingtweets train`` does by itself on this machine: precision,
attention, a checkpoint every half minute, samples while it trains.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed_process import answer

from huggingtweets.data import batching
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES, TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed_process import Answer, Task

    from huggingtweets.events import Event
    from huggingtweets.nn.language_model import LanguageModel


def measure(task: Task) -> Answer:
    """Train on ``task["posts"]``; with ``points``, note the held-out loss on the way."""
    posts = json.loads(Path(task["posts"]).read_text("utf-8"))
    recipe = RECIPES["fast"].changed(epochs=task.get("epochs"))
    where = devices.select_device(task["device"], recipe.precision)
    base = language_model.load(task["base"], attention=recipe.attention(where.device))
    watch = Watch(base, posts["held_out"], task.get("points", 0))
    with tempfile.TemporaryDirectory() as folder:
        todo = TrainingTask(
            base=base,
            train=[posts["train"]],
            held_out=posts["held_out"],
            recipe=recipe,
            machine=where,
            checkpoint_file=RunFolder(Path(folder)).checkpoint_file,
        )
        watch.start()
        trained = fit(todo, watch)
        watch.finish(trained.best)
    return watch.answer() | {
        "tokens": trained.tokens,
        "steps": trained.steps,
        "tokens_per_second": watch.tokens_per_second(trained.tokens),
        "parameters": base.parameters,
        "precision": where.precision,
        "threads": where.cores,
    }


@dataclass
class Watch:
    """Listens to a training and keeps the time of its steps and measurements.

    Attributes:
        base: the model under training.
        held_out: posts to note the loss on.
        points: how often to note it on the way; what that takes is not counted.
    """

    base: LanguageModel
    held_out: Sequence[str]
    points: int
    started: float = 0.0
    spent: float = 0.0
    begun: float = 0.0
    steps: list[tuple[float, int | None]] = field(default_factory=list)
    kept: list[tuple[float, float]] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)

    def start(self) -> None:
        """From now on it is training."""
        self.started = time.perf_counter()

    def __call__(self, event: Event) -> None:
        """Take the time of an event."""
        if event.stage != "train":
            return
        now = time.perf_counter() - self.started - self.spent
        if event.held_out_bits_per_byte is not None:
            self.begun = self.begun or now
            self.kept.append((now, event.held_out_bits_per_byte))
            self.curve.append((now, event.held_out_bits_per_byte))
        else:
            self.steps.append((now, tokens_by(event)))
            self._note(now, event)

    def _note(self, now: float, event: Event) -> None:
        """The loss between two measurements of the training itself."""
        noted = len(self.curve) - len(self.kept)
        if not self.points or event.done * (self.points + 1) < event.total * (noted + 1):
            return
        before = time.perf_counter()
        lm = self.base
        rows = batching.make_rows(lm.encode_all(self.held_out), lm.separator, lm.context)
        nats = likelihood.summed_nats(lm.model, rows)  # the next step puts dropout back
        self.curve.append((now, likelihood.nats_to_bits_per_byte(nats, self.held_out)))
        self.spent += time.perf_counter() - before

    def finish(self, best: float) -> None:
        """It is over; going back towards the base may have found lower ones than all it told of."""
        now = time.perf_counter() - self.started - self.spent
        self.kept.append((now, best))
        self.curve.append((now, best))

    def tokens_per_second(self, tokens: int) -> float:
        """From the end of the first step that was told to that of the last one, of ``tokens``."""
        if len(self.steps) < 2:  # over in less time than lies between two events
            return tokens / (self.kept[-2][0] - self.begun)
        (begun, before), (ended, after) = self.steps[0], self.steps[-1]
        return ((after or tokens) - (before or 0)) / (ended - begun)

    def answer(self) -> dict[str, Any]:
        """Seconds from the call on: to the first step's end, to the last one's."""
        first = self.steps[0][0] if self.steps else self.kept[-2][0]
        last = self.steps[-1][0] if self.steps else self.kept[-2][0]
        return {
            "warm_up_seconds": first,
            "seconds": last,
            "kept": self.kept,
            "curve": self.curve,
        }


def tokens_by(event: Event) -> int | None:
    """Tokens trained on up to an event; None at the last step, which is after all of them.

    Steps differ in tokens, so counting steps would not do. Speed and time left are told of the same
    seconds, which gives those seconds, and with them the tokens.
    """
    if not event.seconds_left or event.tokens_per_second is None:
        return None
    seconds = event.seconds_left * event.done / (event.total - event.done)
    return round(event.tokens_per_second * seconds)


if __name__ == "__main__":
    answer(measure)
