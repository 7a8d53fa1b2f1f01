"""Compare authors: whose posts are hard to predict, and what their bots learnt.

All numbers come from finished runs. A bot of several authors counts author by author where
possible; some numbers exist only for the whole bot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingtweets.comparison.result import AuthorComparison, Bits, Comparison, Size, ordered
from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.ppm import compressor_bits_per_byte
from huggingtweets.evaluation.report import COMPRESSOR
from huggingtweets.generation import bots
from huggingtweets.generation.copy_index import CopyIndex, words
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from huggingtweets.storage.run_folder import RunFolder, RunRecord


def compare(specs: Sequence[str | Path]) -> Comparison:
    """Compare the authors of several bots, or of one bot.

    Args:
        specs: run folders, or the bot folders in them.

    Raises:
        InputError: there are fewer than two authors, or a run is named twice.
        BotError: a run doesn't exist, has no report yet, or its posts are gone.
    """
    runs = [bots.find_run_folder(spec) for spec in specs]
    _check_distinct(runs)
    records = [run.record() for run in runs]
    authors = [
        author
        for run, record in zip(runs, records, strict=True)
        for author in authors_of(run, record)
    ]
    if len(authors) < 2:
        raise InputError(
            "A comparison needs at least two authors: name two runs, or one run of several authors "
            "(`huggingtweets runs` lists them)."
        )
    return Comparison(ordered(authors), tuple(_notes(runs, records)), str(runs[0].path))


def _check_distinct(runs: Sequence[RunFolder]) -> None:
    seen: set[Path] = set()
    for run in runs:
        path = run.path.resolve()
        if path in seen:
            raise InputError(f"{run.path} is named twice. Name each run once.")
        seen.add(path)


def authors_of(run: RunFolder, record: RunRecord) -> list[AuthorComparison]:
    """Read the numbers of each author of a finished run.

    Raises:
        BotError: the run has no report yet, or its posts are gone.
    """
    report = _report(run)
    kept = run.table("kept")
    _check_complete(run, record, report, kept)
    tokens = _Tokens(run.bot / "tokenizer.json")
    novelty = _novelty(run, kept)
    taken = report.taken_for_author
    return [
        AuthorComparison(
            author=author,
            shown=record.shown(author),
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
    """Read the likeness report of a run."""
    try:
        return LikenessReport.from_json(files.read_json(run.report_json))
    except FileNotFoundError as error:
        command = f"evaluate {run.path}" if run.has_bot else f"train --resume {run.path}"
        advice = "wait for it" if run.is_live() else f"create it with: huggingtweets {command}"
        raise BotError(
            f"{run.path} has no likeness report yet ({run.display_state()}); {advice}"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BotError(
            f"{run.report_json} is damaged. Recreate it with: huggingtweets evaluate {run.path}"
        ) from error


def _check_complete(
    run: RunFolder, record: RunRecord, report: LikenessReport, kept: pl.DataFrame
) -> None:
    """Check that each author of the report still has training and held-out posts."""
    for author in report.authors:
        if not {"train", "held_out"} <= set(kept.filter(author=author)["split"]):
            raise BotError(
                f"{run.path} no longer has the posts of {record.shown(author)}, which were "
                f"deleted. Train it again: huggingtweets train --resume {run.path}"
            )


def _bits(report: LikenessReport, author: str, kept: pl.DataFrame) -> Bits:
    """Return an author's bits per byte.

    The compressor's are measured here if the report has those of several authors, or of PPMd.
    """
    bits = report.bits_per_byte
    pair, compressor = bits.by_author[author], bits.compressor
    if len(report.authors) > 1 or bits.compressor_name != COMPRESSOR:
        train, held_out = (
            batching.texts_by_author(kept, part, [author])[author] for part in ("train", "held_out")
        )
        compressor = compressor_bits_per_byte(train, held_out)
    return Bits(pair.bot, pair.base, compressor)


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
    """Return the mean novelty of the report's generated posts; None if they are gone."""
    try:
        generated = [str(text) for text in files.read_json(run.generations_file)]
    except (OSError, ValueError, TypeError):
        return None
    index = CopyIndex(kept.filter(split="train")["text"])
    counts = [(len(words(text)), index.longest_run(text).words) for text in generated]
    shares = [1 - shared / count for count, shared in counts if count]
    return sum(shares) / len(shares) if shares else None


class _Tokens:
    """Counts tokens with a bot's tokenizer, without loading the model."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else None

    def count(self, texts: Sequence[str]) -> int | None:
        if self._tokenizer is None:
            return None
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(encoding) for encoding in encoded)


def _notes(runs: Sequence[RunFolder], records: Sequence[RunRecord]) -> list[str]:
    """Return one sentence for each setting that differs and each bot that is out of date."""
    notes = []
    for setting in ("base", "holdout", "split", "recipe", "curation"):
        runs_by_value: dict[str, list[str]] = {}
        values = [record.config.get(setting) for record in records]
        for run, value in zip(runs, _describe(values), strict=True):
            runs_by_value.setdefault(value, []).append(run.path.resolve().name)
        if len(runs_by_value) > 1:
            differing = "; ".join(f"{v} ({', '.join(names)})" for v, names in runs_by_value.items())
            name = {"holdout": "held-out share"}.get(setting, setting)
            notes.append(
                f"The {name} differs, so the numbers aren't fully comparable: {differing}."
            )
    warnings = [(run, run.staleness_warning()) for run in runs]
    return notes + [f"{run.path} is {warning}." for run, warning in warnings if warning]


def _describe(values: Sequence[Any]) -> list[str]:
    """Return each setting as text; of dicts, only the keys that differ."""
    if not all(isinstance(value, dict) for value in values):
        return [str(value) for value in values]
    names = dict.fromkeys(name for value in values for name in value)
    differing = [name for name in names if len({str(value.get(name)) for value in values}) > 1]
    return [
        ", ".join(f"{name.replace('_', ' ')} {value.get(name)}" for name in differing)
        for value in values
    ]
