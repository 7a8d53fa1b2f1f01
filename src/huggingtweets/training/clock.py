"""Speed, time left and what the machine is busy with, told while training."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets.events import Event, EventHandler, Sample
from huggingtweets.nn.devices import peak_memory_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.training.progress import Progress
    from huggingtweets.training.recipe import Recipe

_SECONDS_BETWEEN_EVENTS = 0.25


class ProgressReporter:
    """Tells events, at most four times a second.

    Args:
        state: how far earlier sittings got.
        recipe: tells epochs and learning rate.
        steps: of the whole training.
        listen: is told.
    """

    def __init__(self, state: Progress, recipe: Recipe, steps: int, listen: EventHandler) -> None:
        self.recipe, self.steps, self.listen = recipe, steps, listen
        self.started = self.told_at = time.monotonic()
        self.prepared = 0.0
        self.busy = time.process_time()
        self.before = (state.seconds, state.step, state.tokens)

    def seconds(self) -> float:
        """Spent training, over all sittings."""
        return self.before[0] + time.monotonic() - self.started

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out the time spent inside, which is not training."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.started += time.monotonic() - since

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Count the time spent inside as training, but not for the speed of its steps."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.prepared += time.monotonic() - since

    def tell(
        self,
        state: Progress,
        held_out: float | None = None,
        samples: tuple[Sample, ...] | None = None,
    ) -> None:
        """Send an event, unless the last one is too recent and nothing was measured."""
        now = time.monotonic()
        if held_out is None and now - self.told_at < _SECONDS_BETWEEN_EVENTS:
            return
        cores, self.told_at = self._cores(now), now
        spent = now - self.started - self.prepared
        steps_done, tokens_done = state.step - self.before[1], state.tokens - self.before[2]
        self.listen(
            Event(
                stage="train",
                done=state.step,
                total=self.steps,
                epoch=min(state.epoch + 1, self.recipe.epochs),
                loss=state.loss_sum / state.loss_tokens if state.loss_tokens else None,
                learning_rate=self.recipe.rate(state.step - 1, self.steps) if state.step else None,
                tokens_per_second=tokens_done / spent if tokens_done else None,
                seconds_left=spent / steps_done * (self.steps - state.step) if steps_done else None,
                held_out_bits_per_byte=held_out,
                samples=samples,
                cores=cores,
                memory_mb=peak_memory_mb(),
            )
        )

    def _cores(self, now: float) -> float | None:
        """Cores kept busy since the last event."""
        before, self.busy = self.busy, time.process_time()
        seconds = now - self.told_at
        return round((self.busy - before) / seconds, 2) if seconds > 0 else None
