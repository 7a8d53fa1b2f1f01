"""How far runs are, read from their folders: only what was added since the last look."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.serving.schemas import HeldOut, Point, SampleAt
from huggingtweets.track.training_logger import JsonlTail

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder

MOST_POINTS = 400
_MOST_SAMPLES = 60
_MOST_RUNS = 200  # that are remembered


@dataclass
class TrainingProgress:
    """The course of one run so far.

    Attributes:
        curve: training loss, thinned out to at most :data:`MOST_POINTS`.
        held_out: measurements.
        samples: posts written at measurements, the newest of them.
        last: the newest event of training or judging.
        step: of the newest numbers.
        speed: tokens a second, the newest that was told.
    """

    tail: JsonlTail
    born: float
    curve: list[Point] = field(default_factory=list)
    held_out: list[HeldOut] = field(default_factory=list)
    samples: list[SampleAt] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    speed: float | None = None

    def read(self) -> None:
        """Take in what is new."""
        for event in self.tail.read():
            if event.get("stage") == "train":
                self._train(event)
            if event.get("stage") in ("train", "evaluate"):
                self.last = event
        while len(self.curve) > MOST_POINTS:
            self.curve = self.curve[::2]

    def _train(self, event: dict[str, Any]) -> None:
        if "loss" not in event and "held_out_bits_per_byte" not in event:
            return  # only words
        step, before = int(event.get("done", 0)), self.step
        self.step = step
        if step < before or not step:
            # after a crash some steps come again, and a run may start over
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
        del self.samples[:-_MOST_SAMPLES]


class ProgressReader:
    """The courses of runs somebody has looked at lately."""

    def __init__(self) -> None:
        self._courses: OrderedDict[str, TrainingProgress] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, run: RunFolder) -> TrainingProgress:
        """The course of a run up to now."""
        with self._lock:
            key, born = str(run.path), run.path.stat().st_ino
            course = self._courses.get(key)
            if course is None or course.born != born:  # another run of the same name
                course = TrainingProgress(JsonlTail(run.events_file), born)
                self._courses[key] = course
            self._courses.move_to_end(key)
            while len(self._courses) > _MOST_RUNS:
                self._courses.popitem(last=False)
            course.read()
            return course
