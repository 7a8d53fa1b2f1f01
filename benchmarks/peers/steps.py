"""The time of the steps that a ``Trainer`` takes, and the held-out loss on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import Answer
    from transformers import TrainerCallback


def step_times(
    loss: Callable[[], float], points: int, most_seconds: float | None
) -> TrainerCallback:
    """A callback that keeps the time of every step.

    Args:
        loss: measures the held-out loss; the time it takes is not counted.
        points: how often to measure it, the last time at the end; 0 for never.
        most_seconds: training is cut off after so many, None for never.
    """
    from transformers import TrainerCallback

    class StepTimes(TrainerCallback):
        def __init__(self) -> None:
            self.started = time.perf_counter()
            self.spent = 0.0
            self.ends: list[tuple[float, int]] = []
            self.curve: list[tuple[float, float]] = []
            self.cut = False

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            now = time.perf_counter() - self.started - self.spent
            self.ends.append((now, state.num_input_tokens_seen))
            # two steps at least, as the first one warms up
            if most_seconds is not None and now > most_seconds and len(self.ends) > 1:
                self.cut = control.should_training_stop = True
            last = self.cut or state.global_step == state.max_steps
            due = state.global_step * points >= state.max_steps * (len(self.curve) + 1)
            if points and (due or last):
                before = time.perf_counter()
                self.curve.append((now, loss()))
                self.spent += time.perf_counter() - before

    return StepTimes()


def answer_of(times: Any, *, curve: bool = False) -> Answer:  # noqa: ANN401 - made above
    """Seconds from the call on, and the rate after the first step; tokens as the trainer counts.

    Its settings must say ``include_num_input_tokens_seen="all"``, and its rows be without padding.
    """
    (begun, before), (ended, after) = times.ends[0], times.ends[-1]
    if len(times.ends) == 1:
        begun = before = 0
    found = {
        "warm_up_seconds": times.ends[0][0],
        "seconds": ended,
        "steps": len(times.ends),
        "tokens": after,
        "tokens_per_second": (after - before) / (ended - begun),
    }
    return found | {"curve": times.curve} if curve else found
