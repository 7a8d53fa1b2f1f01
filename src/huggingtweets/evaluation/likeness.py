"""Measure a bot: the order in which the report's numbers come about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.evaluation.authorship import taken_for_author
from huggingtweets.evaluation.diversity import compare_diversity
from huggingtweets.evaluation.markov import markov_posts
from huggingtweets.evaluation.ppm import ppmd_bits_per_byte
from huggingtweets.evaluation.report import (
    BitsPerByte,
    BotAndBase,
    BotVsHeldOut,
    Copied,
    DiversityPair,
    LikenessReport,
    LongestCopiedRun,
    LossPoint,
    Sizes,
)
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.generation.copy_index import CopyIndex, SharedSpan, is_loop
from huggingtweets.generation.writer import Sampling, Writer
from huggingtweets.nn import likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from huggingtweets.nn.language_model import LanguageModel

GENERATIONS = 200
"""Unfiltered posts that the report judges."""

_PARTS = 5


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A report and the unfiltered posts it was made from."""

    report: LikenessReport
    generations: list[str]


def measure(
    bot: LanguageModel,
    base: LanguageModel,
    train: Mapping[str, Sequence[str]],
    held_out: Mapping[str, Sequence[str]],
    *,
    history: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    listen: EventHandler = ignore,
) -> EvaluationResult:
    """Make the likeness report.

    Args:
        bot: the fine-tuned model.
        base: the untouched model it was made from.
        train: training posts of each author, oldest first.
        held_out: posts of each author that took no part in training.
        history: the measurements made while training.
        seed: of the generations, the bot's and markovify's.
        listen: told after each of five parts.
    """
    own, real = _flat(train), _flat(held_out)
    sampling = Sampling(seed=seed)

    _tell(listen, 0, "writing 200 posts to judge")
    writer = Writer(bot, sampling, allow_loops=True)
    generations = [post.text for post in writer.write(n=GENERATIONS)]
    _tell(listen, 1, "held-out bits per byte of bot and base")
    by_author = _bits_by_author(bot, base, held_out)
    _tell(listen, 2, "held-out bits per byte of PPMd")
    bits = BitsPerByte(
        bot=_weighted([pair.bot for pair in by_author.values()], held_out),
        base=_weighted([pair.base for pair in by_author.values()], held_out),
        ppmd=ppmd_bits_per_byte(own, real),
        by_author=by_author,
    )
    _tell(listen, 3, "copies, beside those of markovify")
    copied, run = _copies(own, generations, markov_posts(own, GENERATIONS, seed))
    _tell(listen, 4, "whether a classifier takes the posts for the author's")
    report = LikenessReport(
        authors=tuple(train),
        sizes=Sizes(len(own), len(real), _bytes(real), len(generations)),
        bits_per_byte=bits,
        copied=copied,
        longest_copied_run=run,
        diversity=DiversityPair.of(*compare_diversity(generations, real)),
        taken_for_author=taken_for_author(own, generations, real, authors=tuple(train)),
        loops=BotVsHeldOut(_share(is_loop, generations), _share(is_loop, real)),
        seed=seed,
        settings={
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_chars": sampling.max_chars,
        },
        loss=tuple(LossPoint(**point) for point in history),
    )
    _tell(listen, _PARTS, "")
    return EvaluationResult(report, generations)


def _tell(listen: EventHandler, done: int, message: str) -> None:
    listen(Event(stage="evaluate", done=done, total=_PARTS, message=message))


def _flat(posts: Mapping[str, Sequence[str]]) -> list[str]:
    return [post for of_author in posts.values() for post in of_author]


def _bytes(posts: Sequence[str]) -> int:
    return sum(len(post.encode()) + 1 for post in posts)


def _bits_by_author(
    bot: LanguageModel, base: LanguageModel, held_out: Mapping[str, Sequence[str]]
) -> dict[str, BotAndBase]:
    return {
        author: BotAndBase(
            likelihood.bits_per_byte(bot, posts), likelihood.bits_per_byte(base, posts)
        )
        for author, posts in held_out.items()
    }


def _weighted(values: Sequence[float], held_out: Mapping[str, Sequence[str]]) -> float:
    """Mean over all held-out bytes, from one value an author."""
    sizes = [_bytes(posts) for posts in held_out.values()]
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)


def _copies(
    train: Sequence[str], generations: Sequence[str], markov: Sequence[str]
) -> tuple[Copied, LongestCopiedRun]:
    index = CopyIndex(train)
    runs = [index.longest_run(text) for text in generations]
    at = max(range(len(runs)), key=lambda i: runs[i].words, default=None)
    longest, text = (runs[at], generations[at]) if at is not None else (SharedSpan(0, ""), "")
    markov_run = max((index.longest_run(text).words for text in markov), default=None)
    return (
        Copied(_copied_share(index, generations) or 0.0, _copied_share(index, markov)),
        LongestCopiedRun(longest.words, markov_run, text, longest.source),
    )


def _share(holds: Callable[[str], bool], texts: Sequence[str]) -> float:
    return sum(map(holds, texts)) / len(texts) if texts else 0.0


def _copied_share(index: CopyIndex, texts: Sequence[str]) -> float | None:
    return _share(index.is_copy, texts) if texts else None
