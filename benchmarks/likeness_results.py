"""The results of the likeness benchmark, in memory and as a file.

A :class:`Results` is one JSON file: all authors with one base and one set of settings. Tables, plot
and samples are made from it alone, without training.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.evaluation import LikenessReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SETTINGS = 2
"""Raised when what is measured changes, so that older results are not mixed with newer ones."""

TEST_ONLY = frozenset(
    {"ChrisVanHollen", "PattyMurray", "RepMarkGreen", "SenatorCollins", "SenSanders"}
)
"""Never used to choose a setting: no recipe, base or sampling may be picked by what these give.

Their median is the honest one: settings were chosen on NASA, RepJeffries and SenJohnThune, and the
other authors are free to be looked at.
"""

DEMO = frozenset({"NASA", "WhiteHouse"})
"""Authors beside the 15 members of Congress of ``bench``; their register is another."""


@dataclass(frozen=True, slots=True)
class Result:
    """One author's bot.

    Attributes:
        report: its likeness report.
        seconds: spent training, measuring each epoch included.
        tokens_per_second: of real text, over those seconds.
        compressor_stream: bits per byte of the compressor that goes on learning through the
            held-out posts; of PPMd where the report says so.
        source: name and, of a file, SHA-256 of what the posts were read from.
        samples: unpicked posts, ``bot`` and ``markov``.
    """

    report: LikenessReport
    seconds: float
    tokens_per_second: float
    compressor_stream: float | None
    source: Mapping[str, str | None]
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def test_only(self) -> bool:
        """Whether one of the authors is kept from choosing settings."""
        return not TEST_ONLY.isdisjoint(self.report.authors)

    @property
    def name(self) -> str:
        """The author as the tables call it."""
        return " & ".join(self.report.authors) + ("*" if self.test_only else "")

    def to_json(self) -> dict[str, Any]:
        """The report's own keys, and ours beside them."""
        ours = {
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "compressor_stream": self.compressor_stream,
            "test_only": self.test_only,
            "source": dict(self.source),
            "samples": {who: list(posts) for who, posts in self.samples.items()},
        }
        return self.report.to_json() | ours

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Rebuild what :meth:`to_json` gave, also with the names of older files."""
        samples = {
            "markov" if who == "markovify" else who: posts for who, posts in data["samples"].items()
        }
        return cls(
            LikenessReport.from_json(data),
            data["seconds"],
            data["tokens_per_second"],
            data["ppmd_stream"] if "ppmd_stream" in data else data["compressor_stream"],
            data["source"],
            samples,
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """All that decides the numbers beside the posts; results of one setup share a file.

    Attributes:
        base: name and SHA-256 of the weights (None where they are not one file).
        recipe: its hyper-parameters.
        holdout: share of the posts that is only measured.
        posts: how many posts of each source are read, None for all.
        minutes: that each bot may take, None for as many as it needs.
        settings: the version of this benchmark, see :data:`SETTINGS`.
    """

    base: Mapping[str, str | None]
    recipe: Mapping[str, Any]
    holdout: float
    posts: int | None = None
    minutes: float | None = None
    settings: int = SETTINGS

    def key(self) -> list[Any]:
        """What must be equal for results to be comparable; the weights count, not their name."""
        base = self.base["sha256"] or self.base["name"]
        return [base, dict(self.recipe), self.holdout, self.posts, self.minutes, self.settings]


@dataclass
class Results:
    """The results of one setup, in the order of the command line.

    Attributes:
        setup: what decides the numbers.
        date: of the last measurement, UTC, ISO 8601.
        machine: what it ran on.
        versions: of Python and the packages.
        reports: one an author.
    """

    setup: Setup
    date: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    reports: list[Result] = field(default_factory=list)

    def find(self, source: Mapping[str, str | None]) -> Result | None:
        """The result of the same posts, if there is one already."""
        return next((result for result in self.reports if dict(result.source) == source), None)

    def only(self, sources: Sequence[Mapping[str, str | None]]) -> Results:
        """The same with the results of ``sources`` alone, in that order."""
        found = [result for source in sources if (result := self.find(source))]
        return Results(self.setup, self.date, self.machine, self.versions, found)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the head of the file first."""
        head = {"date": self.date, "machine": self.machine, "versions": self.versions}
        return head | asdict(self.setup) | {"reports": [r.to_json() for r in self.reports]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Results:
        """Rebuild what :meth:`to_json` gave."""
        names = ("base", "recipe", "holdout", "posts", "settings")
        return cls(
            Setup(**{name: data[name] for name in names}, minutes=data.get("minutes")),
            data["date"],
            data["machine"],
            data["versions"],
            [Result.from_json(report) for report in data["reports"]],
        )


def read_results(file: Path) -> Results:
    """What ``file`` holds, whatever its setup.

    Raises:
        InputError: the file is not one of this benchmark.
    """
    try:
        return Results.from_json(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} doesn't hold results of this benchmark; name another file."
        ) from error


def load_results(file: Path | None, setup: Setup) -> Results:
    """What ``file`` holds of the same setup; nothing where there is no file.

    Results of another setup took hours as well: their file is set aside under its own date.

    Raises:
        InputError: the file is not one of this benchmark.
    """
    if file is None or not file.exists():
        return Results(setup)
    found = read_results(file)
    if found.setup.key() == setup.key():
        return found
    stamp = re.sub(r"[^\dT]", "", found.date[:19])
    aside = file.with_name(f"{file.stem}.{stamp}{file.suffix}")
    file.replace(aside)
    print(f"{file} holds results of another base or other settings; it is now {aside}.")
    return Results(setup)
