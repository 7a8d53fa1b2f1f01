"""Training state saved in checkpoints, and the events that report it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingtweets.events import Event, EventHandler, Sample
from huggingtweets.nn.devices import peak_memory_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.training.recipe import Recipe

_BATCHES_FOR_MEAN = 10
"""Batches of a later epoch whose mean loss is reported; one alone may be half the mean or twice."""
_SECONDS_BETWEEN_EVENTS = 0.25


@dataclass
class Progress:
    """Training state without the tensors.

    The field names are part of the :mod:`~huggingtweets.storage.checkpoint` format.

    Attributes:
        step: optimizer steps taken.
        epoch: current epoch, from 0.
        in_epoch: batches of this epoch that are done.
        tokens: tokens trained on so far, without padding.
        seconds: time spent training so far, over all sessions.
        loss_sum: summed training loss of this epoch, nats.
        loss_tokens: number of tokens in that sum.
        best: lowest held-out bits per byte so far.
        best_weights: name of the stored weights that reached it, ``base`` or ``best``.
        history: one entry per measurement: epoch, step, train_loss, held_out_bits_per_byte.
        plan: fingerprint of data, recipe and seed; a checkpoint with another one is refused.
    """

    plan: str
    step: int = 0
    epoch: int = 0
    in_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    best: float = float("inf")
    best_weights: str = "base"
    history: list[dict[str, float | None]] = field(default_factory=list)


class ProgressReporter:
    """Measures training time and sends events, at most four per second.

    Args:
        state: progress at the start of this session.
        recipe: provides epochs and learning rate.
        steps: steps of the whole training.
        listen: called with each event.
    """

    def __init__(self, state: Progress, recipe: Recipe, steps: int, listen: EventHandler) -> None:
        self.recipe, self.steps, self.listen = recipe, steps, listen
        self.started = self.reported_at = time.monotonic()
        self.excluded = 0.0
        """Seconds that count as training but not for the speed of steps."""
        self.cpu_seconds = time.process_time()
        self.seconds_before, self.steps_before = state.seconds, state.step
        self.tokens_before = state.tokens

    def seconds(self) -> float:
        """Seconds spent training, over all sessions."""
        return self.seconds_before + time.monotonic() - self.started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Don't count the time spent inside as training."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.started += time.monotonic() - since

    @contextmanager
    def excluded_from_speed(self) -> Iterator[None]:
        """Count the time spent inside as training, but not for the speed of steps."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.excluded += time.monotonic() - since

    def report(
        self,
        state: Progress,
        held_out: float | None = None,
        samples: tuple[Sample, ...] | None = None,
    ) -> None:
        """Send an event, unless the last one is recent and there is no new measurement."""
        now = time.monotonic()
        if held_out is None and now - self.reported_at < _SECONDS_BETWEEN_EVENTS:
            return
        cores, self.reported_at = self._busy_cores(now), now
        spent = now - self.started - self.excluded
        steps, tokens = state.step - self.steps_before, state.tokens - self.tokens_before
        self.listen(
            Event(
                stage="train",
                done=state.step,
                total=self.steps,
                epoch=min(state.epoch + 1, self.recipe.epochs),
                loss=_mean_loss(state),
                learning_rate=self.recipe.rate(state.step - 1, self.steps) if state.step else None,
                tokens_per_second=tokens / spent if tokens else None,
                seconds_left=spent / steps * (self.steps - state.step) if steps else None,
                held_out_bits_per_byte=held_out,
                samples=samples,
                cores=cores,
                memory_mb=peak_memory_mb(),
            )
        )

    def _busy_cores(self, now: float) -> float | None:
        """Average number of busy processor cores since the last event."""
        before, self.cpu_seconds = self.cpu_seconds, time.process_time()
        seconds = now - self.reported_at
        return round((self.cpu_seconds - before) / seconds, 2) if seconds > 0 else None


def _mean_loss(state: Progress) -> float | None:
    """Mean training loss of this epoch in nats; None while too few batches of a new epoch count.

    At the measurement after an epoch it is the mean of that epoch.
    """
    if not state.loss_tokens or (state.epoch and 0 < state.in_epoch < _BATCHES_FOR_MEAN):
        return None
    return state.loss_sum / state.loss_tokens
