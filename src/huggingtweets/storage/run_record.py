"""The contents of ``run.json``, and the check of a file that may be damaged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from huggingtweets.errors import BotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = 1
_TABLES = (".csv", ".json", ".jsonl", ".parquet", ".txt")
State = Literal["prepared", "training", "trained", "done", "failed"]


@dataclass
class RunRecord:
    """The contents of ``run.json``; enough to repeat the run.

    Attributes:
        name: name of the folder.
        authors: handles, in the order given.
        config: every option of the run, as plain values.
        counts: posts downloaded, retweets, short, duplicates, kept; the last four add up to the
            first.
        counts_by_author: the same for each author.
        left_out: records of the sources that are no posts of the authors, by reason.
        handles: the authors whose handle a source gave; the others have only a name. None in runs
            of earlier versions.
        chats: the kinds of the sources that are private chats, such as ``whatsapp``.
        masked: pieces of private data masked in the posts kept, by kind; None for a run from before
            they were masked by default.
        merged: of a bot that was merged from others: ``method``, ``weights``, ``scale``,
            ``density``, and for each of ``bots`` its ``name``, ``path``, ``created_at`` and
            ``authors`` as people read them; empty for a bot that was trained.
        version: number of the bot's current version; an update makes the next one.
        update: of a bot that was updated: ``from_version``, when (``at``), the numbers of
            ``new_posts``, ``edited`` and ``replayed`` posts, and the bits per byte of both bots
            (``old``, ``new``) on ``judged_on`` held-out posts; empty for another.
        shrunk: of a bot that was made small after its training: the ``rank``, and the bits per byte
            of its held-out posts ``before`` and ``after``; empty for another.
        tried: fingerprint of the new posts that the bot gains nothing from; None if there are none.
        state: how far the run got.
        created_at: UTC, ISO 8601.
        versions: of Python and of the packages that affect the numbers.
        machine: processor, cores, device, precision.
        seconds: wall-clock time of each stage.
        result: held-out bits per byte before and after, steps and epochs, tokens per second.
        error: message of a failed run.
        forgotten: number of training or held-out posts that their author deleted since.
        forgotten_at: when the last of them was removed, UTC, ISO 8601.
        format: version of the file format.
    """

    name: str
    authors: list[str]
    config: dict[str, Any]
    counts: dict[str, int]
    counts_by_author: dict[str, dict[str, int]]
    state: State = "prepared"
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    forgotten: int = 0
    forgotten_at: str | None = None
    masked: dict[str, int] | None = None
    format: int = FORMAT
    left_out: dict[str, int] = field(default_factory=dict)
    chats: list[str] = field(default_factory=list)
    handles: list[str] | None = None
    merged: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    update: dict[str, Any] = field(default_factory=dict)
    tried: str | None = None
    shrunk: dict[str, Any] = field(default_factory=dict)

    def shown(self, author: str) -> str:
        """Return an author as people read it: ``@handle``, or the name if no handle is known.

        In runs of earlier versions an author with the name of a table is taken for its name.
        """
        known = self.handles
        if known is None:
            tables = (PurePath(str(source)) for source in self.config.get("sources") or ())
            files_of = {table.stem for table in tables if table.suffix.lower() in _TABLES}
            known = [name for name in self.authors if name not in files_of]
        return f"@{author.lstrip()}" if author in known else author.lstrip("@\uff20") or author

    @property
    def names(self) -> list[str]:
        """The authors as people read them, see :meth:`shown`."""
        return [self.shown(author) for author in self.authors]


class _Recipe(TypedDict, total=False):
    """The settings of ``config["recipe"]`` that are read without a further check."""

    name: str
    epochs: int
    learning_rate: float


class _Config(TypedDict, total=False):
    """The types of the settings in ``config``; earlier versions lack some of them."""

    base: str
    sources: list[str]
    seed: int
    out: str
    minutes: float | None
    holdout: float
    split: str
    recipe: _Recipe
    curation: dict[str, Any]
    device: str | None
    precision: str | None
    checkpoint_seconds: float
    compiled: bool | None
    track: str | None
    raw_artifacts: bool | None
    train_posts: int | None
    plan: str | None


class _Measurement(TypedDict, total=False):
    epoch: int
    step: int
    train_loss: float | None
    held_out_bits_per_byte: float


class _Result(TypedDict, total=False):
    """The types of the numbers in ``result``."""

    best: float | None
    steps: int
    tokens: int
    way: float | None
    history: list[_Measurement]


class _MergedBot(TypedDict):
    name: str
    path: str
    created_at: str
    authors: list[str]


class _Merged(TypedDict):
    """The types of what is in ``merged`` of a bot that was merged."""

    method: str
    weights: list[float]
    bots: list[_MergedBot]


class _Update(TypedDict):
    """The types of what is in ``update`` of a bot that was updated."""

    from_version: int
    at: str
    new_posts: int
    edited: int
    replayed: int
    judged_on: int
    old: float
    new: float


class _Shrunk(TypedDict):
    """The types of what is in ``shrunk`` of a bot that was made small after its training."""

    rank: int
    before: float
    after: float


class _Settings(dict[str, Any]):
    """Settings of a run; one that is missing is an error for users, not a ``KeyError``."""

    def __init__(self, values: Iterable[tuple[str, Any]] = (), where: str = "run.json") -> None:
        super().__init__(values)  # dataclasses.asdict makes a copy from pairs
        self._where = where

    def __missing__(self, name: str) -> Any:  # noqa: ANN401
        raise BotError(
            f"{self._where} is damaged or incomplete: it has no {name!r}. Train the bot again."
        )


def checked_record(values: Any, where: str) -> RunRecord:  # noqa: ANN401 - JSON
    """Return the record in a JSON document, whose path is ``where``.

    Raises:
        ValueError: a value is missing, of a wrong type, or not a finite number.
    """
    from huggingtweets.decoding import convert  # msgspec takes 20 ms to import

    if not all(map(math.isfinite, _fractions(values))):
        raise ValueError("a number is infinite or not a number")
    record = convert(values, RunRecord)
    convert(record.config, _Config)
    convert(record.result, _Result)
    if record.merged:
        merged = convert(record.merged, _Merged)
        if len(merged["weights"]) != len(merged["bots"]):
            raise ValueError("a merged bot needs as many weights as bots")
    if record.update:
        convert(record.update, _Update)
    if record.shrunk:
        convert(record.shrunk, _Shrunk)
    if not record.authors:
        raise ValueError("it names no author")
    record.config = _Settings(record.config.items(), where)
    if isinstance(recipe := record.config.get("recipe"), dict):
        record.config["recipe"] = _Settings(recipe.items(), where)
    record.machine = _Settings(record.machine.items(), where)
    return record


def _fractions(values: Any) -> Iterator[float]:  # noqa: ANN401 - JSON
    todo = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, float):
            yield value
        elif isinstance(value, dict | list):
            todo += value.values() if isinstance(value, dict) else value
