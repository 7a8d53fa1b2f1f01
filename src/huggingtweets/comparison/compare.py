"""Authors beside each other: who is hard to foresee, and what a bot learnt of each.

Everything is taken from what finished runs hold. A bot of several authors is told author by author
as far as it can be; what is only known of the whole bot is marked so.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from huggingtweets.comparison.result import AuthorComparison, Bits, Comparison, Size, ordered
from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.ppm import ppmd_bits_per_byte
from huggingtweets.generation import bots
from huggingtweets.generation.copy_index import CopyIndex, words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from huggingtweets.storage.run_folder import RunFolder, RunRecord


def compare(specs: Sequence[str | Path]) -> Comparison:
    """Put the authors of several bots beside each other, or those of one.

    Args:
        specs: run folders, or the bot folders in them.

    Raises:
        InputError: there are not two authors, or a run is named twice.
        BotError: one is no run, has no report yet, or its posts are gone.
    """
    runs = [bots.find_run_folder(spec) for spec in specs]
    _check_different(runs)
    records = [run.record() for run in runs]
    authors = [
        one for run, record in zip(runs, records, strict=True) for one in authors_of(run, record)
    ]
    if len(authors) < 2:
        raise InputError(
            "There is nobody to compare with: name at least two runs, or one of several authors "
            "(huggingtweets runs lists them)."
        )
    return Comparison(ordered(authors), tuple(_notes(runs, records)), str(runs[0].path))


def _check_different(runs: Sequence[RunFolder]) -> None:
    seen: set[Path] = set()
    for run in runs:
        where = run.path.resolve()
        if where in seen:
            raise InputError(f"{run.path} is named twice; name each run once.")
        seen.add(where)


def authors_of(run: RunFolder, record: RunRecord) -> list[AuthorComparison]:
    """What a finished run tells of each of its authors.

    Raises:
        BotError: it has no report yet, or its posts are gone.
    """
    report = _report(run)
    kept = run.table("kept")
    _check_complete(run, report, kept)
    tokens = _Tokens(run.bot / "tokenizer.json")
    novelty = _novelty(run, kept)
    taken = report.taken_for_author
    return [
        AuthorComparison(
            author=author,
            run=run.path.resolve().name,
            path=str(run.path),
            authors_of_bot=len(report.authors),
            bits_per_byte=_bits(report, author, kept),
            size=_size(kept.filter(author=author), tokens),
            copied=report.copied.bot,
            novelty=novelty,
            taken=taken.bot if taken else None,
            seconds=record.seconds.get("train"),
        )
        for author in report.authors
    ]


def _report(run: RunFolder) -> LikenessReport:
    """The likeness report that a run holds."""
    try:
        return LikenessReport.from_json(json.loads(run.report_json.read_text("utf-8")))
    except FileNotFoundError as error:
        has_bot = (run.bot / "config.json").is_file()
        go_on = f"evaluate {run.path}" if has_bot else f"train --resume {run.path}"
        what_to_do = "wait for it" if run.is_live() else f"make it with: huggingtweets {go_on}"
        raise BotError(
            f"{run.path} has no likeness report yet ({run.display_state()}); {what_to_do}"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BotError(
            f"{run.report_json} is damaged; make it anew with: huggingtweets evaluate {run.path}"
        ) from error


def _check_complete(run: RunFolder, report: LikenessReport, kept: pl.DataFrame) -> None:
    """Every author of the report must have posts of both kinds, which may be deleted since."""
    for author in report.authors:
        if not {"train", "held_out"} <= set(kept.filter(author=author)["split"]):
            raise BotError(
                f"{run.path} no longer holds the posts of @{author} that its report is about; "
                f"train it again: huggingtweets train --resume {run.path}"
            )


def _bits(report: LikenessReport, author: str, kept: pl.DataFrame) -> Bits:
    """An author's bits per byte; PPMd's are measured anew where a report has only those of all."""
    pair, ppmd = report.bits_per_byte.by_author[author], report.bits_per_byte.ppmd
    if len(report.authors) > 1:
        train, held_out = (
            batching.texts_by_author(kept, part, [author])[author] for part in ("train", "held_out")
        )
        ppmd = ppmd_bits_per_byte(train, held_out)
    return Bits(pair.bot, pair.base, ppmd)


def _size(kept: pl.DataFrame, tokens: _Tokens) -> Size:
    train, held_out = (kept.filter(split=part)["text"] for part in ("train", "held_out"))
    median = kept["text"].str.len_chars().median()
    return Size(
        posts=len(train),
        characters=int(train.str.len_chars().sum()),
        tokens=tokens.count(train.to_list()),
        held_out_posts=len(held_out),
        held_out_characters=int(held_out.str.len_chars().sum()),
        median_characters=float(median) if isinstance(median, int | float) else 0.0,
    )


def _novelty(run: RunFolder, kept: pl.DataFrame) -> float | None:
    """Mean novelty of the report's generations, as of samples while training."""
    try:
        written = [str(text) for text in json.loads(run.generations_file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return None
    index = CopyIndex(kept.filter(split="train")["text"])
    counts = [(len(words(text)), index.longest_run(text).words) for text in written]
    shares = [1 - run_of / count for count, run_of in counts if count]
    return sum(shares) / len(shares) if shares else None


class _Tokens:
    """Counts tokens with a bot's own tokenizer, without loading the bot."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else None

    def count(self, texts: Sequence[str]) -> int | None:
        if self._tokenizer is None:
            return None
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(one) for one in encoded)


def _notes(runs: Sequence[RunFolder], records: Sequence[RunRecord]) -> list[str]:
    """What makes the runs' numbers less than comparable, a sentence each."""
    notes = []
    for condition in ("base", "holdout", "split", "recipe", "curation"):
        found: dict[str, list[str]] = {}
        values = [record.config.get(condition) for record in records]
        for run, told in zip(runs, _told(values), strict=True):
            found.setdefault(told, []).append(run.path.resolve().name)
        if len(found) > 1:
            differing = "; ".join(f"{told} ({', '.join(names)})" for told, names in found.items())
            what = {"holdout": "share held out"}.get(condition, condition)
            notes.append(f"Not the same {what}, so these don't compare one to one: {differing}.")
    outdated = [(run, run.staleness_warning()) for run in runs]
    return notes + [f"{run.path} is {told}." for run, told in outdated if told]


def _told(values: Sequence[Any]) -> list[str]:
    """Each of some settings in words; of one with parts only those in which they differ."""
    if not all(isinstance(value, dict) for value in values):
        return [str(value) for value in values]
    names = dict.fromkeys(name for value in values for name in value)
    differing = [name for name in names if len({str(value.get(name)) for value in values}) > 1]
    return [
        ", ".join(f"{name.replace('_', ' ')} {value.get(name)}" for name in differing)
        for value in values
    ]
