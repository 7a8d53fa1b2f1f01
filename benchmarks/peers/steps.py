"""Record a ``Trainer``'s step times, and the held-out loss during training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed_process import TaskResult
    from transformers import TrainerCallback


def step_times(
    loss: Callable[[], float], points: int, max_seconds: float | None
) -> TrainerCallback:
    """Return a callback that records the time of every step.

    Args:
        loss: measures the held-out loss; its time is not counted.
        points: number of measurements, the last one at the end.
        max_seconds: stop training after this time; None for no limit.
    """
    from transformers import TrainerCallback

    class StepTimes(TrainerCallback):
        def __init__(self) -> None:
            self.started = time.perf_counter()
            self.measuring_seconds = 0.0
            self.ends: list[tuple[float, int]] = []
            self.curve: list[tuple[float, float]] = []
            self.stopped = False

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            now = time.perf_counter() - self.started - self.measuring_seconds
            self.ends.append((now, state.num_input_tokens_seen))
            # at least two steps, as the first one is a warm-up
            if max_seconds is not None and now > max_seconds and len(self.ends) > 1:
                self.stopped = control.should_training_stop = True
            last = self.stopped or state.global_step == state.max_steps
            due = state.global_step * points >= state.max_steps * (len(self.curve) + 1)
            if points and (due or last):
                before = time.perf_counter()
                self.curve.append((now, loss()))
                self.measuring_seconds += time.perf_counter() - before

    return StepTimes()


def summarize(times: Any, *, curve: bool = False) -> TaskResult:  # noqa: ANN401 - made above
    """Return the seconds, the tokens by the trainer's count, and the rate after the first step.

    The trainer needs ``include_num_input_tokens_seen="all"`` and rows without padding.
    """
    (start, before), (end, after) = times.ends[0], times.ends[-1]
    if len(times.ends) == 1:
        start = before = 0
    summary = {
        "warm_up_seconds": times.ends[0][0],
        "seconds": end,
        "steps": len(times.ends),
        "tokens": after,
        "tokens_per_second": (after - before) / (end - start),
    }
    return summary | {"curve": times.curve} if curve else summary
