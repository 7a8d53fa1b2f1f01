"""What a stage says while it works: one plain value, written to disk and shown by whoever watches.

The run folder keeps every event as a line of JSON; the terminal draws the same values. Neither
knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["read", "curate", "encode", "train", "evaluate"]


@dataclass(frozen=True, slots=True)
class Event:
    """A step of progress.

    Attributes:
        stage: which part of the pipeline speaks.
        done: steps done of ``total`` in this stage.
        total: steps of this stage.
        message: one line for people, or empty.
        epoch: while training, from 1.
        loss: mean training loss since the last event, nats a token.
        tokens_per_second: of real text, padding not counted.
        seconds_left: estimate to the end of the stage.
        held_out_bits_per_byte: where it was just measured.
        counts: posts by what curation did with them, after curation.
    """

    stage: Stage
    done: int = 0
    total: int = 0
    message: str = ""
    epoch: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    held_out_bits_per_byte: float | None = None
    counts: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The event without its empty fields."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
    del event
