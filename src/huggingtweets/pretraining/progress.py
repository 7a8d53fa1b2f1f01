"""Budget, progress and time of pre-training."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.events import Event, EventHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS_BETWEEN_EVENTS = 1.0

_OVERFITTING_RATIO = 1.01
"""Ratio of the final to the lowest held-out loss above which the difference isn't chance."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The end of training, as a number of tokens or minutes.

    Attributes:
        tokens: tokens in total, including sessions that were interrupted.
        minutes: training time in total, including sessions that were interrupted, without encoding
            and measuring.
    """

    tokens: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.minutes is None):
            raise InputError("Give either --tokens or --minutes as the end of training.")
        if not 0 < (self.tokens or self.minutes or 0) < math.inf:
            raise InputError("--tokens and --minutes must be over 0.")

    def progress(self, tokens: int, seconds: float) -> float:
        """Share of the budget that is used up."""
        if self.tokens is not None:
            return tokens / self.tokens
        return seconds / 60 / (self.minutes or math.inf)


@dataclass
class Progress:
    """State of pre-training without the tensors.

    The field names are part of the :mod:`~huggingtweets.storage.checkpoint` format.

    Attributes:
        plan: fingerprint of data and settings.
        step: optimizer steps taken.
        tokens: tokens trained on so far.
        seconds: time spent training, without measuring.
        taken: rows read of each corpus.
        curve: measurements: step, tokens, seconds, train_loss, held_out_bits_per_byte (a number
            for each corpus and for ``all``).
        loss_sum: training loss in nats per token, summed over the steps since the last measurement.
        loss_steps: number of steps in that sum.
        compiling_failed: whether the compiler failed in the last session, which ran without it.
    """

    plan: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    taken: list[int] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0
    compiling_failed: bool = False

    def is_overfitting(self) -> str | None:
        """A warning if the held-out loss rose towards the end, else None."""
        best = min(self.curve, key=lambda point: float(point["held_out_bits_per_byte"]["all"]))
        lowest, last = (p["held_out_bits_per_byte"]["all"] for p in (best, self.curve[-1]))
        if last <= lowest * _OVERFITTING_RATIO:
            return None
        return (
            f"the base is overfitted: held-out loss was lower after {best['tokens']:,} tokens "
            f"({lowest:.3f} bits per byte) than at the end ({last:.3f}); "
            "train a new base with half as many --tokens"
        )


class Clock:
    """Measures training time and reports the speed of this session."""

    def __init__(self, progress: Progress) -> None:
        self.seconds_before, self.tokens_before = progress.seconds, progress.tokens
        self.started = self.reported_at = time.monotonic()
        self.paused_seconds = 0.0

    def seconds(self) -> float:
        """Seconds spent training, over all sessions, without measuring."""
        return self.seconds_before + time.monotonic() - self.started - self.paused_seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Don't count the time spent inside."""
        started = time.monotonic()
        yield
        self.paused_seconds += time.monotonic() - started

    def report(
        self, listen: EventHandler, p: Progress, share: float, held_out: float | None = None
    ) -> None:
        """Send an event, unless the last one is recent and there is no new measurement.

        Args:
            listen: called with the event.
            p: progress to report.
            share: used share of the budget, 0 to 1.
            held_out: new measurement in bits per byte, if there is one.
        """
        now = time.monotonic()
        if held_out is None and now - self.reported_at < _SECONDS_BETWEEN_EVENTS:
            return
        self.reported_at = now
        spent = max(1e-9, self.seconds() - self.seconds_before)
        tokens = p.tokens - self.tokens_before
        total = self.seconds() / share if share > 0 else None
        listen(
            Event(
                stage="train",
                done=min(round(share * 1000), 1000),
                total=1000,
                loss=p.loss_sum / p.loss_steps if p.loss_steps else None,
                tokens_per_second=tokens / spent if tokens else None,
                seconds_left=None if total is None else max(0.0, total - self.seconds()),
                held_out_bits_per_byte=held_out,
            )
        )
