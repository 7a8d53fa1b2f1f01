"""What a card tells, read from the files of a run and from nowhere else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.nn import bases
from huggingtweets.publish.language import languages
from huggingtweets.publish.publication import Publication

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.storage.run_folder import RunFolder, RunRecord

PICTURE = "predictions.png"
_ADDRESS = re.compile(r"(?:[\w& ]+: )?(https://[\w.~:/?#@!&'*+,;=%-]+)", re.ASCII)
"""One that a card can link to as it stands."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a card tells.

    Attributes:
        record: of the run.
        report: how much the bot is like its author.
        languages: ISO 639-1 codes of what the authors write in.
        picture: whether there is one of what the bot writes.
        links: addresses where the run was tracked.
        publication: where the bot is published, None for one that isn't.
    """

    record: RunRecord
    report: LikenessReport
    languages: tuple[str, ...] = ()
    picture: bool = False
    links: tuple[str, ...] = ()
    publication: Publication | None = None

    @classmethod
    def of(cls, run: RunFolder, record: RunRecord | None = None) -> Facts:
        """Read them; ``record`` in the place of the one on disk.

        Raises:
            BotError: a file is missing or damaged.
        """
        record = record or run.record()
        return cls(
            record=record,
            report=read_report(run),
            languages=languages(run.table("kept"), record.authors),
            picture=(run.bot / PICTURE).is_file(),
            links=_links(run),
            publication=Publication.of(run),
        )

    @property
    def title(self) -> str:
        """What the bot is called."""
        return title(self.record.authors)

    @property
    def base(self) -> str:
        """The base's name, which tells nothing of the disk that it came from."""
        name = str(self.record.config["base"])
        known = name in bases.BUILT_IN or self.hub_base
        return name if known else PurePath(name.replace("\\", "/")).name

    @property
    def built_in(self) -> bases.BuiltIn | None:
        """The built-in base it was made from, if it was."""
        return bases.BUILT_IN.get(str(self.record.config["base"]))

    @property
    def hub_base(self) -> str | None:
        """The base's id on the Hub; None for ``pocket``, and for those of a folder or file."""
        name = str(self.record.config["base"])
        if self.built_in:
            return self.built_in.hub
        return name if _HUB_ID.fullmatch(name) else None


def title(authors: Sequence[str]) -> str:
    """What a bot is called: always an AI bot, a cyborg when it has several authors."""
    handles = " & ".join(f"@{author}" for author in authors)
    return f"AI {'bot' if len(authors) == 1 else 'cyborg'} of {handles}"


def read_report(run: RunFolder) -> LikenessReport:
    """The likeness report of a run.

    Raises:
        BotError: it is missing or damaged.
    """
    try:
        return LikenessReport.from_json(json.loads(run.report_json.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BotError(
            f"{run.report_json} is missing or damaged; make it anew with: "
            f"huggingtweets evaluate {run.path}"
        ) from error


def _links(run: RunFolder) -> tuple[str, ...]:
    """Addresses that a tracker has left in ``track.json``, alone or as in ``W&B: https://…``."""
    try:
        tracked = json.loads(run.track_file.read_text("utf-8"))
    except (OSError, ValueError):  # tracking is an extra, and the card does without
        return ()
    told = [tracked.get(name) for name in ("url", "message")] if isinstance(tracked, dict) else []
    found = (_ADDRESS.fullmatch(text) for text in told if isinstance(text, str))
    return tuple(dict.fromkeys(match[1] for match in found if match))
