"""The likeness report as a value: every number beside the anchors that give it a meaning.

How the numbers come about is told where they are computed (``ppm``, ``diversity``, ``authorship``,
``markov``, ``novelty``); here is what they are called, in JSON and in the six lines a user reads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.evaluation.authorship import Authorship

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingtweets.evaluation.diversity import Diversity

_LABEL_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much was measured: posts, and UTF-8 bytes of the held-out posts (+ 1 for each post)."""

    train: int
    held_out: int
    held_out_bytes: int
    generated: int


@dataclass(frozen=True, slots=True)
class BotAndBase:
    """Held-out bits per byte of the bot and of the base it was made from; lower is better."""

    bot: float
    base: float


@dataclass(frozen=True, slots=True)
class BitsPerByte:
    """Held-out bits per byte of bot, untouched base and PPMd (None where it can't be measured)."""

    bot: float
    base: float
    ppmd: float | None
    by_author: Mapping[str, BotAndBase] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copied:
    """Share of unfiltered posts the copy rule catches; None where markovify made no post."""

    bot: float
    markovify: float | None


@dataclass(frozen=True, slots=True)
class LongestCopiedRun:
    """Longest run of words taken from one training post.

    Attributes:
        bot: words in a row, among the bot's generations.
        markovify: the same among markovify's, None where it made no post.
        text: the bot's post with that run.
        source_text: the training post it is from.
    """

    bot: int
    markovify: int | None
    text: str
    source_text: str


@dataclass(frozen=True, slots=True)
class BotVsHeldOut:
    """One measure of the bot's posts and of the author's real held-out posts."""

    bot: float
    held_out: float


@dataclass(frozen=True, slots=True)
class DiversityPair:
    """Diversity of generations and held-out posts at equal size."""

    distinct_2: BotVsHeldOut
    repeats: BotVsHeldOut

    @classmethod
    def of(cls, bot: Diversity, held_out: Diversity) -> DiversityPair:
        """Pair what :func:`~huggingtweets.evaluation.diversity.compare_diversity` returns."""
        return cls(
            BotVsHeldOut(bot.distinct_2, held_out.distinct_2),
            BotVsHeldOut(bot.repeats, held_out.repeats),
        )


@dataclass(frozen=True, slots=True)
class LossPoint:
    """One measurement during training; the first one, before any step, has no training loss."""

    epoch: float
    step: int
    train_loss: float | None
    held_out_bits_per_byte: float


@dataclass(frozen=True, slots=True)
class HumanJudgements:
    """What people said of posts of which they weren't told who wrote them.

    Attributes:
        quizzes: how many were played to the end.
        bot: posts of the bot they saw.
        bot_taken: those of them that they took for the author's.
        real: real held-out posts they saw.
        real_taken: those of them that they took for the author's.
    """

    quizzes: int
    bot: int
    bot_taken: int
    real: int
    real_taken: int

    @property
    def bot_share(self) -> float | None:
        """Share of the bot's posts taken for the author's; None where none was seen."""
        return self.bot_taken / self.bot if self.bot else None

    @property
    def real_share(self) -> float | None:
        """Share of real posts taken for the author's; None where none was seen."""
        return self.real_taken / self.real if self.real else None

    def __add__(self, other: HumanJudgements) -> HumanJudgements:
        """Both together."""
        mine, more = asdict(self), asdict(other)
        return HumanJudgements(**{name: mine[name] + more[name] for name in mine})


@dataclass(frozen=True, slots=True)
class LikenessReport:
    """How much a bot is like its author.

    Attributes:
        settings: how the generations were drawn, such as temperature and top_p.
        loss: the measurements of training, oldest first.
        human: what people took for the author's, None where nobody was asked.
        loops: share of posts that repeat themselves
            (:func:`~huggingtweets.generation.copy_index.is_loop`); None in reports from before it
            was measured.
    """

    authors: tuple[str, ...]
    sizes: Sizes
    bits_per_byte: BitsPerByte
    copied: Copied
    longest_copied_run: LongestCopiedRun
    diversity: DiversityPair
    taken_for_author: Authorship | None
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    loss: tuple[LossPoint, ...] = ()
    human: HumanJudgements | None = None
    loops: BotVsHeldOut | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for ``json.dump``."""
        return {**asdict(self), "authors": list(self.authors), "loss": [*map(asdict, self.loss)]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LikenessReport:
        """Rebuild a report from :meth:`to_json`; a missing or unknown key is an error.

        Raises:
            KeyError, TypeError: the data is not a report.
        """
        bits, taken = data["bits_per_byte"], data["taken_for_author"]
        by_author = {name: BotAndBase(**pair) for name, pair in bits["by_author"].items()}
        diversity = {name: BotVsHeldOut(**pair) for name, pair in data["diversity"].items()}
        return cls(
            authors=tuple(data["authors"]),
            sizes=Sizes(**data["sizes"]),
            bits_per_byte=BitsPerByte(**{**bits, "by_author": by_author}),
            copied=Copied(**data["copied"]),
            longest_copied_run=LongestCopiedRun(**data["longest_copied_run"]),
            diversity=DiversityPair(**diversity),
            taken_for_author=Authorship(**taken) if taken else None,
            seed=data["seed"],
            settings=dict(data["settings"]),
            loss=tuple(LossPoint(**point) for point in data["loss"]),
            human=HumanJudgements(**human) if (human := data.get("human")) else None,
            loops=BotVsHeldOut(**loops) if (loops := data.get("loops")) else None,
        )

    def lines(self) -> list[str]:
        """Tell the report in six lines that fit 80 columns, each number beside its anchors.

        A seventh tells what people said, where some were asked.
        """
        return [
            f"{label:<{_LABEL_WIDTH}} {value:>8}  {anchors:<28}  {direction}"
            for label, value, anchors, direction in self.rows()
        ]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Tell the report as label, value, anchors, and which way is better."""
        bits, run, taken = self.bits_per_byte, self.longest_copied_run, self.taken_for_author
        distinct, repeats = self.diversity.distinct_2, self.diversity.repeats
        return [
            (
                "bits per byte",
                f"{bits.bot:.3f}",
                f"base {bits.base:.3f} · PPMd {_number(bits.ppmd, '.3f')}",
                "lower is better",
            ),
            (
                "copied posts",
                percent(self.copied.bot),
                f"markovify {percent(self.copied.markovify)}",
                "lower is better",
            ),
            (
                "longest copied run",
                f"{run.bot} words",
                f"markovify {_number(run.markovify, 'd', ' words')}",
                "lower is better",
            ),
            (
                "distinct word pairs",
                percent(distinct.bot),
                f"real posts {percent(distinct.held_out)}",
                "closer is better",
            ),
            (
                "repeats",
                percent(repeats.bot),
                f"real posts {percent(repeats.held_out)}",
                "closer is better",
            ),
            (
                "taken for the author",
                percent(taken.bot if taken else None),
                f"real {percent(taken.held_out)} · others {percent(taken.panel)}"
                if taken
                else "nobody to compare with",
                "closer is better",
            ),
            *([_people(self.human)] if self.human else []),
        ]


def _people(human: HumanJudgements) -> tuple[str, str, str, str]:
    return (
        "taken for real",
        percent(human.bot_share),
        f"real {percent(human.real_share)} · {human.bot + human.real} posts judged",
        "closer is better",
    )


def percent(share: float | None) -> str:
    """Write a share of 0 to 1 as a percentage, with a decimal where a whole number says little."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 10 or 99 < value < 100 else f"{value:.0f} %"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
