"""Progress events of the pipeline.

The run folder stores each event as a line of JSON; the terminal and the web app display them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal[
    "read", "forget", "curate", "encode", "rewrite", "train", "merge", "evaluate", "export", "track"
]


@dataclass(frozen=True, slots=True)
class Sample:
    """A post that the model wrote during training.

    Attributes:
        prompt: the prompt.
        post: the text, prompt included.
        novelty: share of its words outside the longest run it shares with a training post.
    """

    prompt: str
    post: str
    novelty: float


@dataclass(frozen=True, slots=True)
class Event:
    """One progress event.

    Attributes:
        stage: the stage of the pipeline.
        done: steps done of ``total`` in this stage.
        total: steps of this stage; a pre-training has 1,000, each a thousandth of its budget.
        message: one line for users, or empty.
        epoch: current epoch, from 1; only while fine-tuning.
        loss: mean training loss since the last event, in nats per token.
        learning_rate: of the last step.
        tokens_per_second: without padding.
        seconds_left: estimated time to the end of the stage.
        held_out_bits_per_byte: if it was just measured.
        samples: posts written at that measurement.
        cores: mean number of busy processor cores since the last event.
        memory_mb: peak memory of the process so far.
        counts: after curation, number of posts kept and dropped, by reason.
        people: number of messages of each in an export of chats, if one has to be chosen.
        columns: names of a table's columns, if the one with the posts has to be chosen.
        left_out: after a source was read, number of records that are no posts, by reason.
        masked: after curation, pieces of private data masked in the posts kept, by kind.
        handles: after a source was read, those of its authors whose handle it gave.
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
    left_out: dict[str, int] | None = None
    people: dict[str, int] | None = None
    masked: dict[str, int] | None = None
    handles: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None

    @property
    def is_warning(self) -> bool:
        """Whether the message is a warning about the posts."""
        return self.stage == "curate" and bool(self.message) and not self.done

    def as_dict(self) -> dict[str, Any]:
        """Return the event as a dict, without empty fields."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


EventHandler = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore an event."""
    del event


def counted(number: int, noun: str) -> str:
    """Return a number with its noun for a message, such as ``1 epoch`` or ``2,400 posts``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"
