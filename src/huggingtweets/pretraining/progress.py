"""How long pre-training lasts, where it stands, and the clock."""

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

_RISEN = 1.01
"""Times the lowest held-out loss from which on it isn't chance that the last one is higher."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When training ends: after so many tokens or minutes, whichever is given.

    Attributes:
        tokens: in all, those of earlier sittings included.
        minutes: of training, earlier sittings included; encoding and measuring don't count.
    """

    tokens: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.minutes is None):
            raise InputError("Give either --tokens or --minutes, so that training knows its end.")
        if not 0 < (self.tokens or self.minutes or 0) < math.inf:
            raise InputError("--tokens and --minutes must be over 0.")

    def progress(self, tokens: int, seconds: float) -> float:
        """Share of the budget that is used up."""
        if self.tokens is not None:
            return tokens / self.tokens
        return seconds / 60 / (self.minutes or math.inf)


@dataclass
class Progress:
    """Where pre-training stands, apart from the tensors.

    Attributes:
        plan: fingerprint of data and shape.
        step: optimizer steps taken.
        tokens: read so far.
        seconds: spent training, measuring excluded.
        taken: rows read of each corpus.
        curve: measurements: step, tokens, seconds, train_loss, held_out_bits_per_byte (a number
            for each corpus and ``all``).
        loss_sum: since the last measurement, nats a token, summed over steps.
        loss_steps: that sum is over.
    """

    plan: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    taken: list[int] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0

    def is_overfitting(self) -> str | None:
        """A sentence where held-out posts got less likely towards the end, else None."""
        best = min(self.curve, key=lambda point: float(point["held_out_bits_per_byte"]["all"]))
        lowest, last = (p["held_out_bits_per_byte"]["all"] for p in (best, self.curve[-1]))
        if last <= lowest * _RISEN:
            return None
        return (
            f"held-out posts were likelier after {best['tokens']:,} tokens ({lowest:.3f} bits per "
            f"byte) than at the end ({last:.3f}): the corpora were read too often, and a base of "
            "half as many --tokens should be better"
        )


class Clock:
    """Seconds spent training, and the speed of this sitting."""

    def __init__(self, progress: Progress) -> None:
        self.before, self.tokens_before = progress.seconds, progress.tokens
        self.started = self.told_at = time.monotonic()
        self.out = 0.0

    def seconds(self) -> float:
        """Spent training over all sittings, measuring excluded."""
        return self.before + time.monotonic() - self.started - self.out

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A time that doesn't count."""
        started = time.monotonic()
        yield
        self.out += time.monotonic() - started

    def tell(
        self, listen: EventHandler, p: Progress, share: float, held_out: float | None = None
    ) -> None:
        """Send an event, unless the last one is too recent and nothing was measured."""
        now = time.monotonic()
        if held_out is None and now - self.told_at < _SECONDS_BETWEEN_EVENTS:
            return
        self.told_at = now
        spent = max(1e-9, self.seconds() - self.before)
        whole = self.seconds() / share if share > 0 else None
        listen(
            Event(
                stage="train",
                done=min(round(share * 1000), 1000),
                total=1000,
                loss=p.loss_sum / p.loss_steps if p.loss_steps else None,
                tokens_per_second=(p.tokens - self.tokens_before) / spent,
                seconds_left=None if whole is None else max(0.0, whole - self.seconds()),
                held_out_bits_per_byte=held_out,
            )
        )
