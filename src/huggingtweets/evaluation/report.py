"""The likeness report: all measurements of a bot, each with its anchors.

The measures are documented where they are computed (``ppm``, ``diversity``, ``authorship``,
``markov``, ``generation.copy_index``). This module defines their names in JSON and in the lines
shown to the user.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.evaluation.authorship import Authorship
from huggingtweets.evaluation.memorisation import Memorised
from huggingtweets.evaluation.sense import OutOfPlace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingtweets.evaluation.diversity import Diversity

COMPRESSOR = "compressor"
"""What the reports call the model of :mod:`~huggingtweets.evaluation.ppm`."""

_LABEL_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of posts, and UTF-8 bytes of the held-out posts with one more for each post."""

    train: int
    held_out: int
    held_out_bytes: int
    generated: int


@dataclass(frozen=True, slots=True)
class BotAndBase:
    """Held-out bits per byte of the bot and of its base; lower is better."""

    bot: float
    base: float


@dataclass(frozen=True, slots=True)
class BitsPerByte:
    """Held-out bits per byte of bot, base and compressor.

    Attributes:
        bot: the fine-tuned model.
        base: the model before fine-tuning.
        compressor: a model of bytes (:mod:`~huggingtweets.evaluation.ppm`) with the training posts
            as history; None if it can't be measured.
        by_author: bot and base of each author.
        compressor_name: what measured it: :data:`COMPRESSOR`, or ``PPMd`` in older reports.
    """

    bot: float
    base: float
    compressor: float | None
    by_author: Mapping[str, BotAndBase] = field(default_factory=dict)
    compressor_name: str = COMPRESSOR

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BitsPerByte:
        """Rebuild from JSON, also from that of older reports, whose compressor was PPMd."""
        values = {
            **data,
            "by_author": {name: BotAndBase(**pair) for name, pair in data["by_author"].items()},
        }
        if "ppmd" in values:
            values |= {"compressor": values.pop("ppmd"), "compressor_name": "PPMd"}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Copied:
    """Share of unfiltered posts that are copies; None if the Markov chain made no post."""

    bot: float
    markov: float | None


@dataclass(frozen=True, slots=True)
class LongestCopiedRun:
    """Longest run of words copied from one training post.

    Attributes:
        bot: number of consecutive words, over all posts of the bot.
        markov: the same for the Markov chain; None if it made no post.
        text: the bot's post with that run.
        source_text: the training post with that run.
    """

    bot: int
    markov: int | None
    text: str
    source_text: str


@dataclass(frozen=True, slots=True)
class BotVsHeldOut:
    """One measure of the bot's posts and of the author's held-out posts."""

    bot: float
    held_out: float


@dataclass(frozen=True, slots=True)
class DiversityPair:
    """Diversity of the bot's and the held-out posts at equal size."""

    distinct_2: BotVsHeldOut
    repeats: BotVsHeldOut

    @classmethod
    def of(cls, bot: Diversity, held_out: Diversity) -> DiversityPair:
        """Pair the results of :func:`~huggingtweets.evaluation.diversity.compare_diversity`."""
        return cls(
            BotVsHeldOut(bot.distinct_2, held_out.distinct_2),
            BotVsHeldOut(bot.repeats, held_out.repeats),
        )


@dataclass(frozen=True, slots=True)
class LossPoint:
    """One measurement during training; the first, before any step, has no training loss."""

    epoch: float
    step: int
    train_loss: float | None
    held_out_bits_per_byte: float


@dataclass(frozen=True, slots=True)
class HumanJudgements:
    """Results of blind quizzes in which people judged whether posts are real.

    Attributes:
        quizzes: number of completed quizzes.
        bot: number of the bot's posts judged.
        bot_taken: number of those judged real.
        real: number of held-out posts judged.
        real_taken: number of those judged real.
    """

    quizzes: int
    bot: int
    bot_taken: int
    real: int
    real_taken: int

    @property
    def bot_share(self) -> float | None:
        """Share of the bot's posts judged real; None if none was judged."""
        return self.bot_taken / self.bot if self.bot else None

    @property
    def real_share(self) -> float | None:
        """Share of real posts judged real; None if none was judged."""
        return self.real_taken / self.real if self.real else None

    def __add__(self, other: HumanJudgements) -> HumanJudgements:
        """Add up the results of two sets of quizzes."""
        first, second = asdict(self), asdict(other)
        return HumanJudgements(**{name: first[name] + second[name] for name in first})


@dataclass(frozen=True, slots=True)
class LikenessReport:
    """How similar a bot is to its author.

    Attributes:
        settings: settings of generation, such as temperature and top_p.
        loss: measurements during training, oldest first.
        human: results of quizzes; None if there are none.
        loops: share of posts that are loops
            (:func:`~huggingtweets.generation.copy_index.is_loop`); None in older reports.
        out_of_place: tokens that an independent model finds surprising
            (:mod:`~huggingtweets.evaluation.sense`); None in older reports and without that model.
        memorised: exposure of the posts' rarest strings
            (:mod:`~huggingtweets.evaluation.memorisation`); None in older reports and where no
            string stands in one post only.
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
    out_of_place: OutOfPlace | None = None
    memorised: Memorised | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for ``json.dump``."""
        return {**asdict(self), "authors": list(self.authors), "loss": [*map(asdict, self.loss)]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LikenessReport:
        """Rebuild a report from :meth:`to_json`; a missing or unknown key is an error.

        Raises:
            KeyError, TypeError: the data is not a report.
        """
        authorship = data["taken_for_author"]
        diversity = {name: BotVsHeldOut(**pair) for name, pair in data["diversity"].items()}
        return cls(
            authors=tuple(data["authors"]),
            sizes=Sizes(**data["sizes"]),
            bits_per_byte=BitsPerByte.from_json(data["bits_per_byte"]),
            copied=Copied(**_with_markov(data["copied"])),
            longest_copied_run=LongestCopiedRun(**_with_markov(data["longest_copied_run"])),
            diversity=DiversityPair(**diversity),
            taken_for_author=Authorship(**authorship) if authorship else None,
            seed=data["seed"],
            settings=dict(data["settings"]),
            loss=tuple(LossPoint(**point) for point in data["loss"]),
            human=HumanJudgements(**human) if (human := data.get("human")) else None,
            loops=BotVsHeldOut(**loops) if (loops := data.get("loops")) else None,
            out_of_place=OutOfPlace(**_with_markov(shares))
            if (shares := data.get("out_of_place"))
            else None,
            memorised=Memorised(**bits) if (bits := data.get("memorised")) else None,
        )

    def lines(self) -> list[str]:
        """Format the report as lines of at most 80 columns, each number with its anchors.

        Out-of-place tokens and quiz results have a line each where they were measured.
        """
        return [
            f"{label:<{_LABEL_WIDTH}} {value:>8}  {anchors:<29}  {direction}"
            for label, value, anchors, direction in self.rows()
        ]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Rows of the report: label, value, anchors and which direction is better."""
        bits, run = self.bits_per_byte, self.longest_copied_run
        authorship = self.taken_for_author
        distinct, repeats = self.diversity.distinct_2, self.diversity.repeats
        return [
            (
                "bits per byte",
                f"{bits.bot:.3f}",
                f"base {bits.base:.3f} · {bits.compressor_name} {_number(bits.compressor, '.3f')}",
                "lower is better",
            ),
            (
                "copied posts",
                percent(self.copied.bot),
                f"Markov chain {percent(self.copied.markov)}",
                "lower is better",
            ),
            (
                "longest copied run",
                f"{run.bot} words",
                f"Markov chain {_number(run.markov, 'd', ' words')}",
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
                percent(authorship.bot if authorship else None),
                f"real {percent(authorship.held_out)} · others {percent(authorship.panel)}"
                if authorship
                else "nobody to compare with",
                "closer is better",
            ),
            *([_memorised_row(self.memorised)] if self.memorised else []),
            *([_out_of_place_row(self.out_of_place)] if self.out_of_place else []),
            *([_quiz_row(self.human)] if self.human else []),
        ]


def _out_of_place_row(shares: OutOfPlace) -> tuple[str, str, str, str]:
    return (
        "out-of-place tokens",
        percent(shares.bot),
        f"real {percent(shares.held_out)} · shuffled {percent(shares.shuffled)}",
        "closer is better",
    )


def _memorised_row(memorised: Memorised) -> tuple[str, str, str, str]:
    return (
        "memorised strings",
        f"{memorised.bot:.1f} bits",
        f"base {memorised.base:.1f} · at most {memorised.most:.1f}",
        "lower is better",
    )


def _with_markov(data: Mapping[str, Any]) -> dict[str, Any]:
    """The values of older reports, which were named for the package that made the Markov chain."""
    return {"markov" if name == "markovify" else name: value for name, value in data.items()}


def _quiz_row(human: HumanJudgements) -> tuple[str, str, str, str]:
    return (
        "taken for real",
        percent(human.bot_share),
        f"real {percent(human.real_share)} · {human.bot + human.real} posts judged",
        "closer is better",
    )


def percent(share: float | None) -> str:
    """Format a share of 0 to 1 as a percentage, with one decimal near 0 % and 100 %."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 10 or 99 < value < 100 else f"{value:.0f} %"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
