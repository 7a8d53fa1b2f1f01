"""The options of an update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REPLAY, KEEP = 0.0, 3
_MOST_KEPT, _MOST_REPLAY = 1000, 100.0


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """Options of :func:`update`.

    Attributes:
        sources: files or accounts with new posts, for this update only; none for the run's own.
        replay: number of posts that the bot knows for each new one.
        keep: number of older versions that are kept.
        author: name of the one author of all sources, one of the bot's; None for the run's option.
        speaker: person whose messages are the posts, for chat exports; None for the run's option.
        text_column: column with the text; None for the run's option.

    Raises:
        InputError: one sentence that names every invalid value.
    """

    sources: Sequence[str | Path] = ()
    replay: float = REPLAY
    keep: int = KEEP
    author: str | None = None
    speaker: str | None = None
    text_column: str | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.replay <= _MOST_REPLAY:
            faults.append(f"--replay must be from 0 to {_MOST_REPLAY:g}, not {self.replay}")
        if not 1 <= self.keep <= _MOST_KEPT:
            faults.append(f"--keep must be from 1 to {_MOST_KEPT:,}, not {self.keep}")
        if faults:
            raise InputError("; ".join(faults) + ".")
