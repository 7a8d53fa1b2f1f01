"""The facts on a card, read from the files of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.errors import BotError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.nn import bases
from huggingtweets.privacy import masking
from huggingtweets.publish.publication import Publication
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from huggingtweets.storage.run_folder import RunFolder, RunRecord

PICTURE = "predictions.png"
_ADDRESS = re.compile(r"(?:[\w& ]+: )?(https://[\w.~:/?#@!&'*+,;=%-]+)", re.ASCII)
"""An address that a card can link to without escaping."""

_OLD_CODES = {"in": "id", "iw": "he", "ji": "yi"}  # X still uses some of them
_MAX_CHARACTERS = 100_000  # for the language detector; more take a second and change nothing
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """The small bot beside a card.

    Attributes:
        rank: of its pairs of matrices; 0 for whole weights of some layers.
        bytes: size of its weights' file.
        posts: number of held-out posts that were measured to make it small; 0 if it was trained so.
        bits_per_byte: of these posts; None if it was trained so.
        bits_per_byte_full: of these posts, with the full bot; likewise.
    """

    rank: int
    bytes: int
    posts: int = 0
    bits_per_byte: float | None = None
    bits_per_byte_full: float | None = None

    @classmethod
    def of(cls, folder: Path) -> AdapterFacts:
        """Read the facts of a small bot's folder.

        Raises:
            BotError: it is damaged.
        """
        from huggingtweets.nn import adapters
        from huggingtweets.nn.model_folder import UnusableModelError

        try:
            adapter = adapters.read(folder)
        except UnusableModelError as error:
            raise BotError(f"The bot folder {folder} is damaged ({error}).") from error
        return cls(adapter.rank, (folder / adapters.WEIGHTS).stat().st_size)


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts on a card.

    Attributes:
        record: contents of ``run.json``.
        report: the likeness report.
        languages: ISO 639-1 codes of the authors' languages.
        picture: whether the bot folder has a picture.
        links: addresses where the run is tracked.
        publication: where the bot is published, or None.
        adapter: of a small bot; None for a whole model.
    """

    record: RunRecord
    report: LikenessReport
    languages: tuple[str, ...] = ()
    picture: bool = False
    links: tuple[str, ...] = ()
    publication: Publication | None = None
    adapter: AdapterFacts | None = None

    @classmethod
    def of(cls, run: RunFolder, record: RunRecord | None = None) -> Facts:
        """Read the facts; ``record`` is used instead of ``run.json``.

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
            adapter=AdapterFacts.of(run.bot) if run.is_small else None,
        )

    @property
    def title(self) -> str:
        """Title of the bot."""
        return title(self.record.names)

    @property
    def masking(self) -> str:
        """What was masked in the posts, and how often."""
        curation, masked = self.record.config["curation"], self.record.masked
        if masked is None:  # a run from before 0.2
            scrubbed = "E-mail addresses, phone numbers and mentions of others were masked first."
            return scrubbed if curation.get("scrub") else "Private data in them was kept."
        kinds = ["keys", "passwords", "card numbers", "IBANs"]
        if curation["mask"] != "secrets":
            kinds += ["e-mail addresses", "phone numbers", "street addresses"]
        if curation["mask"] == "mentions":
            kinds += ["mentions of others"]
        counted = masking.counted(masked)
        found = f" ({', '.join(counted)})" if counted else " (none was found)"
        kept = " Personal data (e-mail addresses, phone numbers, street addresses) was kept."
        return (
            f"What looked like {', '.join(kinds[:-1])} or {kinds[-1]} was masked first{found}."
            + (kept if curation["mask"] == "secrets" else "")
        )

    @property
    def base(self) -> str:
        """Name of the base, without the path of a local folder."""
        name = str(self.record.config["base"])
        is_public = name in bases.BUILT_IN or self.hub_base
        return name if is_public else PurePath(name.replace("\\", "/")).name

    @property
    def built_in(self) -> bases.BuiltIn | None:
        """The built-in base that the bot was trained from, if any."""
        return bases.BUILT_IN.get(str(self.record.config["base"]))

    @property
    def hub_base(self) -> str | None:
        """Hub id of the base; None for ``pocket`` and for a local folder or file."""
        name = str(self.record.config["base"])
        if self.built_in:
            return self.built_in.hub
        return name if _HUB_ID.fullmatch(name) else None


def title(names: Sequence[str]) -> str:
    """Return the title of a bot; a bot of several authors is called a cyborg.

    Args:
        names: the authors as people read them, such as ``@name`` for a handle.
    """
    return f"AI {'bot' if len(names) == 1 else 'cyborg'} of {' & '.join(names)}"


def read_report(run: RunFolder) -> LikenessReport:
    """Read the likeness report of a run.

    Raises:
        BotError: it is missing or damaged.
    """
    try:
        return LikenessReport.from_json(files.read_json(run.report_json))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BotError(
            f"{run.report_json} is missing or damaged. Recreate it with: "
            f"huggingtweets evaluate {run.path}"
        ) from error


def _links(run: RunFolder) -> tuple[str, ...]:
    """Return the addresses in ``track.json``, bare or as in ``W&B: https://…``."""
    try:
        tracked = files.read_json(run.track_file)
    except (OSError, ValueError):  # the card works without it
        return ()
    texts = [tracked.get(name) for name in ("url", "message")] if isinstance(tracked, dict) else []
    matches = (_ADDRESS.fullmatch(text) for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(match[1] for match in matches if match))


def languages(posts: pl.DataFrame, authors: Iterable[str]) -> tuple[str, ...]:
    """Return the authors' languages without duplicates, in the authors' order.

    Language tags are used if most posts have one. Otherwise all posts of an author are detected
    together, because a single post is too short for a detector.

    Args:
        posts: a table of kept posts.
        authors: handles as in the table.
    """
    codes = (_language(posts.filter(pl.col("author") == author)) for author in authors)
    return tuple(dict.fromkeys(code for code in codes if code))


def _language(posts: pl.DataFrame) -> str | None:
    tagged = [code for tag in posts["lang"].drop_nulls() if (code := iso_code(tag))]
    if 2 * len(tagged) > len(posts):
        return max(sorted(set(tagged)), key=tagged.count)
    text = "\n".join(posts["text"].tail(2_000))[-_MAX_CHARACTERS:]
    return _detect(text) if text else None


def iso_code(tag: str) -> str | None:
    """Return the ISO 639-1 code of a tag such as ``en-GB``; None for X's ``und`` and ``zxx``."""
    code = re.split(r"[-_]", tag.strip().lower())[0]
    return _OLD_CODES.get(code, code) if re.fullmatch("[a-z]{2}", code) else None


def _detect(text: str) -> str:
    import py3langid

    return str(py3langid.classify(text)[0])
