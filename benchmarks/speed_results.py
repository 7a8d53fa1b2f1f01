"""The claims and results of the speed benchmark, and the file that stores them.

A :class:`Claim` is a row of the table, measured or not; a :class:`Result` is its measurement.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.speed_process import TaskResult

SETTINGS = 1
"""Version of the measurements: increased when they change, so that old results aren't mixed in."""

Form = Literal["times", "percent", "seconds over", "authors"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of the table.

    Attributes:
        name: name of the row in the file.
        family: rows that are measured together; the values of ``--only``.
        what: what is measured, with its unit.
        peer: what it is compared with.
        form: how the comparison is written.
        limit: the goal; None if no goal is set.
        at_least: whether the goal is a minimum, else a maximum.
    """

    name: str
    family: str
    what: str
    peer: str
    form: Form
    limit: float | None
    at_least: bool = True

    @property
    def goal(self) -> str:
        """The goal as written in the table."""
        if self.limit is None:
            return "none set"
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {written(self.limit, self.form)}"

    def reached(self, value: float) -> bool | None:
        """Return whether a comparison reaches the goal."""
        if self.limit is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


_SMALL = "fine-tuning GPT-2 small"
_RECIPE = "original recipe on `transformers.Trainer`"
CLAIMS = (
    Claim(
        "training-classic",
        "training",
        f"{_SMALL}, tokens/s",
        f"{_RECIPE} (fp32, blocks of 1,024, batch 1)",
        "times",
        4,
    ),
    Claim(
        "training-sft",
        "training",
        f"{_SMALL}, tokens/s",
        "TRL `SFTTrainer`, packing, bf16, its defaults (which checkpoint gradients)",
        "times",
        2.5,
    ),
    Claim(
        "training-sft-plain",
        "training",
        f"{_SMALL}, tokens/s",
        "the same without checkpointing gradients",
        "times",
        None,
    ),
    Claim(
        "training-matmul",
        "training",
        f"{_SMALL}, GFLOP/s (6 x parameters x tokens)",
        "matrix products alone, in bf16 or in fp32 where that is faster",
        "percent",
        0.75,
    ),
    Claim(
        "training-memory",
        "training",
        f"{_SMALL}, peak MB",
        f"{_RECIPE}",
        "percent",
        0.5,
        at_least=False,
    ),
    Claim(
        "loss-seconds",
        "loss",
        "embedded base, seconds to the held-out loss that `classic` ends with, median author",
        f"{_RECIPE}",
        "times",
        12,
    ),
    Claim(
        "loss-lowest",
        "loss",
        "embedded base, lowest held-out bits per byte within the same seconds, 15 authors",
        f"{_RECIPE}",
        "authors",
        15,
    ),
    Claim(
        "default-seconds",
        "default",
        "default base, 200 posts, seconds to the held-out loss that `classic` ends with, "
        "median author",
        f"{_RECIPE}",
        "times",
        8,
    ),
    Claim(
        "default-lowest",
        "default",
        "default base, 200 posts, lowest held-out bits per byte within the same seconds, "
        "15 authors",
        f"{_RECIPE}",
        "authors",
        15,
    ),
    Claim(
        "default-memory",
        "default",
        "default base, peak MB",
        f"{_RECIPE}",
        "percent",
        0.6,
        at_least=False,
    ),
    Claim(
        "generation",
        "generation",
        "ten posts of <= 60 tokens from GPT-2 small, tokens/s",
        "`model.generate`, fp32, same distribution",
        "times",
        4,
    ),
    Claim(
        "first-token",
        "first-token",
        "first token of one post from GPT-2 small, ms",
        "`model.generate`, fp32",
        "percent",
        0.5,
        at_least=False,
    ),
    Claim(
        "startup-help",
        "startup",
        "`huggingtweets --help`, s",
        "`python -c pass`",
        "seconds over",
        0.3,
        at_least=False,
    ),
    Claim(
        "startup-runs",
        "startup",
        "`huggingtweets runs`, s",
        "`python -c pass`",
        "seconds over",
        0.3,
        at_least=False,
    ),
    Claim(
        "curation",
        "curation",
        "curating a million posts, s",
        "`datasets.map` and `filter`, batched, two processes",
        "times",
        5,
    ),
    Claim(
        "gpu",
        "gpu",
        f"{_SMALL} on a GPU, s for 100,000 tokens",
        f"{_RECIPE}, same GPU",
        "times",
        5,
    ),
)
FAMILIES = tuple(dict.fromkeys(claim.family for claim in CLAIMS))


def written(value: float, form: Form) -> str:
    """Format a comparison for the table."""
    if form == "times":
        return f"{value:.2g} x" if value < 10 else f"{value:.0f} x"
    if form == "seconds over":
        return f"{value:.2f} s over"
    if form == "authors":
        return f"{value:.0f} of them lower"
    return f"{100 * value:.0f} %"


@dataclass
class Result:
    """The measurement of a claim.

    Attributes:
        name: name of the claim.
        ours: our median.
        theirs: the peer's median.
        value: the comparison of the two, in the claim's form.
        why_not: why there is no number, or empty.
        notes: what a reader must know besides the numbers.
        holds: False if another condition of the claim fails, whatever the number.
        runs: the results of all repetitions.
        sides: the keys of ``runs`` for our side and the peer's.
        date: UTC, ISO 8601.
        commit: commit of this repository, with ``+`` if files had changed.
        busy: the most cores that other processes kept busy before a repetition.
    """

    name: str
    ours: float | None = None
    theirs: float | None = None
    value: float | None = None
    why_not: str = ""
    notes: list[str] = field(default_factory=list)
    holds: bool = True
    runs: dict[str, list[TaskResult]] = field(default_factory=dict)
    sides: tuple[str, str] = ("ours", "theirs")
    date: str = ""
    commit: str = ""
    busy: float | None = None

    @property
    def claim(self) -> Claim:
        """The claim that this measures."""
        return next(claim for claim in CLAIMS if claim.name == self.name)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a number."""
        if self.value is None:
            return None
        reached = self.claim.reached(self.value)
        return reached if reached is None else reached and self.holds

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the first ones explain the row to a reader of the file."""
        claim = self.claim
        explained = {"what": claim.what, "peer": claim.peer, "goal": claim.goal}
        return explained | {"reached": self.reached} | asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Rebuild a result from :meth:`to_json`."""
        names = set(cls.__dataclass_fields__)
        result = cls(**{name: value for name, value in data.items() if name in names})
        result.sides = (data["sides"][0], data["sides"][1])
        return result


@dataclass
class Results:
    """All rows measured with the same settings on the same machine.

    Attributes:
        setup: settings of the measurement.
        machine: description of the machine.
        versions: versions of Python and the packages.
        rows: the rows measured so far.
    """

    setup: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: list[Result] = field(default_factory=list)

    def put(self, new: Sequence[Result]) -> None:
        """Add rows; they replace older ones of the same name."""
        names = {row.name for row in new}
        order = [claim.name for claim in CLAIMS]
        kept = [row for row in self.rows if row.name not in names]
        self.rows = sorted([*kept, *new], key=lambda row: order.index(row.name))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, settings first."""
        head = {"settings": SETTINGS, "machine": self.machine, "versions": self.versions}
        return head | {"setup": self.setup, "rows": [row.to_json() for row in self.rows]}


def load_results(file: Path | None, new: Results) -> Results:
    """Return ``new`` with the rows of ``file``, if machine, versions and settings are the same.

    A file with other ones is renamed to its date, as its numbers took hours too.

    Raises:
        InputError: the file is not from this benchmark.
    """
    if file is None or not file.exists():
        return new
    try:
        data = json.loads(file.read_text("utf-8"))
        rows = [Result.from_json(row) for row in data["rows"]]
        head = [data[name] for name in ("settings", "machine", "versions", "setup")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} doesn't hold results of this benchmark. Name another --json file."
        ) from error
    if head == [SETTINGS, new.machine, new.versions, new.setup]:
        new.rows = rows
        return new
    stamp = re.sub(r"[^\dT]", "", max((row.date[:19] for row in rows), default="")) or "older"
    renamed = file.with_name(f"{file.stem}.{stamp}{file.suffix}")
    file.replace(renamed)
    print(f"{file} had results of another machine, version or setting; it is now {renamed}.")
    return new
