"""Training progress of runs, read incrementally from their event files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.serving.schemas import HeldOut, Point, SampleAt
from huggingtweets.track.training_logger import JsonlTail

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder

MAX_POINTS = 400
_MAX_SAMPLES = 60
_MAX_RUNS = 200


@dataclass
class TrainingProgress:
    """The progress of one run so far.

    Attributes:
        tail: reads the run's new events.
        key: of the run's log; distinguishes a later run or version of the same name.
        curve: training loss, thinned to at most :data:`MAX_POINTS`.
        held_out: held-out loss.
        samples: the newest posts generated during training.
        last: the last event of training or evaluation.
        step: of the last event with numbers.
        speed: last reported tokens per second.
    """

    tail: JsonlTail
    key: tuple[int, int]
    curve: list[Point] = field(default_factory=list)
    held_out: list[HeldOut] = field(default_factory=list)
    samples: list[SampleAt] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    speed: float | None = None

    def update(self) -> None:
        """Read new events."""
        for event in self.tail.read():
            if event.get("stage") == "train":
                self._add_training_event(event)
            if event.get("stage") in ("train", "evaluate"):
                self.last = event
        while len(self.curve) > MAX_POINTS:
            self.curve = self.curve[::2]

    def _add_training_event(self, event: dict[str, Any]) -> None:
        if "loss" not in event and "held_out_bits_per_byte" not in event:
            return  # only a message
        step, previous = int(event.get("done", 0)), self.step
        self.step = step
        if step < previous or not step:
            # steps are repeated after a crash, and a run may start over
            self.curve = [point for point in self.curve if point.step < step]
            self.held_out = [point for point in self.held_out if point.step < step]
            self.samples = [sample for sample in self.samples if sample.step < step]
        self.speed = event.get("tokens_per_second", self.speed)
        if (loss := event.get("loss")) is not None:
            self.curve.append(Point(step, loss))
        if (bits := event.get("held_out_bits_per_byte")) is not None:
            self.held_out.append(HeldOut(step, bits))
        for sample in event.get("samples") or ():
            self.samples.append(SampleAt(step, sample["prompt"], sample["post"]))
        del self.samples[:-_MAX_SAMPLES]


class ProgressReader:
    """Progress of the runs that were viewed most recently."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, TrainingProgress] = OrderedDict()
        self._lock = threading.Lock()

    def update(self, run: RunFolder, turn: int = 0) -> TrainingProgress:
        """Read a run's new events and return its progress.

        Args:
            run: of the bot, or where its next version is made.
            turn: distinguishes folders that are made anew for each turn of a job.
        """
        with self._lock:
            name, key = str(run.path), (_inode(run), turn)
            progress = self._runs.get(name)
            if progress is None or progress.key != key:
                progress = TrainingProgress(JsonlTail(run.events_file), key)
                self._runs[name] = progress
            self._runs.move_to_end(name)
            while len(self._runs) > _MAX_RUNS:
                self._runs.popitem(last=False)
            progress.update()
            return progress


def _inode(run: RunFolder) -> int:
    """The inode of the run's log, or of its folder while it has none."""
    log = run.events_file
    return (log if log.exists() else run.path).stat().st_ino
