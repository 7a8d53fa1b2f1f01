"""What a stage says while it works: one plain value, written to disk and shown by whoever watches.

The run folder keeps every event as a line of JSON; the terminal draws the same values. Neither
knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["read", "forget", "curate", "encode", "train", "evaluate", "track"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A post that the bot wrote while it was trained.

    Attributes:
        prompt: what it was to begin with.
        post: prompt included.
        novelty: share of its words outside the longest run it shares with a training post.
    """

    prompt: str
    post: str
    novelty: float


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
        learning_rate: of the last step.
        tokens_per_second: of real text, padding not counted.
        seconds_left: estimate to the end of the stage.
        held_out_bits_per_byte: where it was just measured.
        samples: posts written at that measurement.
        cores: processor cores kept busy since the last event, on average.
        memory_mb: the most memory the process has held so far.
        counts: posts by what curation did with them, after curation.
    """

    stage: Stage
    done: int = 0
    total: int = 0
    message: str = ""
    epoch: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    held_out_bits_per_byte: float | None = None
    samples: tuple[Sample, ...] | None = None
    cores: float | None = None
    memory_mb: float | None = None
    counts: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The event without its empty fields."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


EventHandler = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
    del event
