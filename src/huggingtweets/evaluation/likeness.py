"""Measure a bot and assemble its likeness report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.evaluation import sense
from huggingtweets.evaluation.authorship import classify_authorship
from huggingtweets.evaluation.diversity import compare_diversity
from huggingtweets.evaluation.markov import markov_posts
from huggingtweets.evaluation.memorisation import memorised
from huggingtweets.evaluation.ppm import compressor_bits_per_byte
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
from huggingtweets.generation.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from huggingtweets.evaluation.sense import OutOfPlace
    from huggingtweets.nn.language_model import LanguageModel

GENERATIONS = 200
"""Number of unfiltered posts that the report measures."""

_REPORTED_POSTS = 10  # progress is reported after so many posts

_PARTS = 6


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A report and the unfiltered posts that it measures."""

    report: LikenessReport
    generations: list[str]


def measure(
    bot: LanguageModel,
    base: LanguageModel,
    train: Mapping[str, Sequence[str]],
    held_out: Mapping[str, Sequence[str]],
    *,
    base_bits: Mapping[str, float] | None = None,
    load_judge: Callable[[], LanguageModel | None] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    listen: EventHandler = ignore,
) -> EvaluationResult:
    """Make the likeness report.

    Args:
        bot: the fine-tuned model.
        base: the model that the bot was fine-tuned from.
        train: training posts of each author, oldest first.
        held_out: held-out posts of each author.
        base_bits: bits per byte of each author's held-out posts by the base, if they were measured
            before; None measures them.
        load_judge: loads the model that finds out-of-place tokens, or returns None where it can't
            be had. Called after most posts are generated, which takes the most memory. None leaves
            that measure out.
        history: measurements made during training.
        seed: seed of the posts of the bot and of the Markov chain.
        listen: called with an event at the start of each of six parts and at the end.
    """
    from huggingtweets.generation.writer import Writer
    from huggingtweets.nn import quantization

    own, real = _all_posts(train), _all_posts(held_out)
    writing = quantization.for_generation(bot, exact=True)
    sampling = Sampling(seed=seed)

    _report(listen, 0, "generating 200 posts")
    index = CopyIndex(own)
    writer = Writer(writing, sampling, index, allow_copies=True, allow_loops=True)
    generations: list[str] = []
    for post in writer.write(n=GENERATIONS):
        generations.append(post.text)
        if len(generations) % _REPORTED_POSTS == 0:
            _report(listen, 0, f"generating {GENERATIONS} posts: {len(generations)} done")
    _report(listen, 1, "held-out bits per byte of bot and base")
    by_author = _bits_by_author(bot, base, held_out, base_bits)
    _report(listen, 2, "held-out bits per byte of a compressor")
    bits = BitsPerByte(
        bot=_mean_over_bytes([pair.bot for pair in by_author.values()], held_out),
        base=_mean_over_bytes([pair.base for pair in by_author.values()], held_out),
        compressor=compressor_bits_per_byte(own, real),
        by_author=by_author,
    )
    _report(listen, 3, "copies by the bot and by a Markov chain")
    markov = markov_posts(own, GENERATIONS, seed)
    copied, run = _copies(index, generations, markov)
    _report(listen, 4, "authorship classification")
    authorship = classify_authorship(own, generations, real, authors=tuple(train))
    _report(listen, 5, "tokens that are out of place")
    judge = load_judge() if load_judge else None
    report = LikenessReport(
        authors=tuple(train),
        sizes=Sizes(len(own), len(real), _count_bytes(real), len(generations)),
        bits_per_byte=bits,
        copied=copied,
        longest_copied_run=run,
        diversity=DiversityPair.of(*compare_diversity(generations, real)),
        taken_for_author=authorship,
        loops=BotVsHeldOut(_share(is_loop, generations), _share(is_loop, real)),
        seed=seed,
        settings={
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_chars": sampling.max_chars,
        },
        out_of_place=_out_of_place(writing, judge, index, real, markov, seed=seed)
        if judge
        else None,
        memorised=memorised(bot, base, own, seed),
        loss=tuple(LossPoint(**point) for point in history),
    )
    _report(listen, _PARTS, "")
    return EvaluationResult(report, generations)


def _report(listen: EventHandler, done: int, message: str) -> None:
    listen(Event(stage="evaluate", done=done, total=_PARTS, message=message))


def _all_posts(by_author: Mapping[str, Sequence[str]]) -> list[str]:
    return [post for posts in by_author.values() for post in posts]


def _count_bytes(posts: Sequence[str]) -> int:
    """UTF-8 bytes of posts, with one for the end of each."""
    return sum(len(post.encode()) + 1 for post in posts)


def _bits_by_author(
    bot: LanguageModel,
    base: LanguageModel,
    held_out: Mapping[str, Sequence[str]],
    base_bits: Mapping[str, float] | None,
) -> dict[str, BotAndBase]:
    from huggingtweets.nn import likelihood

    return {
        author: BotAndBase(
            likelihood.bits_per_byte(bot, posts),
            base_bits[author] if base_bits else likelihood.bits_per_byte(base, posts),
        )
        for author, posts in held_out.items()
    }


def _mean_over_bytes(values: Sequence[float], held_out: Mapping[str, Sequence[str]]) -> float:
    """Mean of one value per author, weighted by the bytes of held-out posts."""
    sizes = [_count_bytes(posts) for posts in held_out.values()]
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)


def _copies(
    index: CopyIndex, generations: Sequence[str], markov: Sequence[str]
) -> tuple[Copied, LongestCopiedRun]:
    runs = [index.longest_run(text) for text in generations]
    none = (SharedSpan(0, ""), "")
    pairs = zip(runs, generations, strict=True)
    longest, text = max(pairs, key=lambda pair: pair[0].words, default=none)
    markov_run = max((index.longest_run(text).words for text in markov), default=None)
    return (
        Copied(_copied_share(index, generations) or 0.0, _copied_share(index, markov)),
        LongestCopiedRun(longest.words, markov_run, text, longest.source),
    )


def _out_of_place(
    bot: LanguageModel,
    judge: LanguageModel,
    index: CopyIndex,
    held_out: Sequence[str],
    markov: Sequence[str],
    *,
    seed: int,
) -> OutOfPlace:
    from huggingtweets.generation.writer import Writer

    sampling = Sampling(temperature=1.0, top_p=1.0, seed=seed)
    writer = Writer(bot, sampling, index, allow_copies=True, allow_loops=True)
    generated = [post.text for post in writer.write(n=sense.POSTS)]
    new = [text for text in markov if not index.is_copy(text)]
    return sense.compare(judge, generated, held_out, new, seed)


def _share(predicate: Callable[[str], bool], texts: Sequence[str]) -> float:
    return sum(map(predicate, texts)) / len(texts) if texts else 0.0


def _copied_share(index: CopyIndex, texts: Sequence[str]) -> float | None:
    return _share(index.is_copy, texts) if texts else None
