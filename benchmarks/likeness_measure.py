"""Train one bot for the likeness benchmark and measure it."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.likeness_results import Result

from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.markov import markov_posts
from huggingtweets.evaluation.ppm import (
    compressor_bits_per_byte,
    compressor_stream_bits_per_byte,
)
from huggingtweets.evaluation.report import COMPRESSOR
from huggingtweets.generation import bots
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.nn import bases, language_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.likeness_results import Setup

    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.training import Recipe

PROMPT, SAMPLES_EACH = "My dream is", 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make of each base.

    Attributes:
        sources: one bot each.
        recipe: hyper-parameters.
        holdout: share of the posts that is only measured.
        posts: how many of the first posts of each source are read, None for all.
        out: folder that keeps the runs, None for none.
        minutes: that each bot may take, None for as many as it needs.
    """

    sources: Sequence[Path]
    recipe: Recipe
    holdout: float
    posts: int | None = None
    out: Path | None = None
    minutes: float | None = None


def make_and_measure(plan: Plan, source: Path, setup: Setup) -> Result:
    """Make one bot with the defaults and take all its numbers."""
    name = setup.base["name"] or language_model.POCKET
    with _folder(plan.out) as out, _first_posts(source, plan.posts) as posts:
        options = pipeline.TrainOptions(
            base=name,
            out=out / slug(name),
            holdout=plan.holdout,
            recipe=plan.recipe,
            minutes=plan.minutes,
        )
        made = pipeline.train([posts], options)
        return _result(made, identity(source))


def _result(made: RunFolder, source: dict[str, str | None]) -> Result:
    record, kept = made.record(), made.table("kept")
    train, held_out = (
        [text for texts in by_author.values() for text in texts]
        for by_author in (
            batching.texts_by_author(kept, "train", record.authors),
            batching.texts_by_author(kept, "held_out", record.authors),
        )
    )
    trained = record.result
    return Result(
        report=LikenessReport.from_json(json.loads(made.report_json.read_text("utf-8"))),
        seconds=record.seconds["train"],
        tokens_per_second=round(trained["tokens"] / trained["seconds"], 1),
        compressor_stream=compressor_stream_bits_per_byte(train, held_out),
        source=source,
        samples=sampled(made, train),
    )


def with_new_anchors(found: Result, setup: Setup, data: Path) -> Result:
    """The same result with the compressor measured anew on the same posts; nothing is trained.

    Args:
        found: one author's result.
        setup: of the results that it is from.
        data: folder that holds the source, at any depth.

    Raises:
        InputError: the source is not there or not the same, or gives other posts than it did.
    """
    sources = [
        file for file in data.rglob(str(found.source["name"])) if identity(file) == found.source
    ]
    if not sources:
        raise InputError(f"{data} lacks the file that {found.name} was measured on.")
    with _first_posts(sources[0], setup.posts) as posts:
        kept = batching.split(pipeline.curate([posts]).kept, holdout=setup.holdout)
    sizes = found.report.sizes
    train, held_out = (
        [
            text
            for texts in batching.texts_by_author(kept, part, found.report.authors).values()
            for text in texts
        ]
        for part in ("train", "held_out")
    )
    train = train[-sizes.train :]  # a run with a time limit trains on the newest
    if (len(train), _size(held_out)) != (sizes.train, sizes.held_out_bytes):
        raise InputError(
            f"{sources[0]} gives other posts of {found.name} than it did; train again."
        )
    bits = replace(
        found.report.bits_per_byte,
        compressor=compressor_bits_per_byte(train, held_out),
        compressor_name=COMPRESSOR,
    )
    return replace(
        found,
        report=replace(found.report, bits_per_byte=bits),
        compressor_stream=compressor_stream_bits_per_byte(train, held_out),
    )


def _size(posts: Sequence[str]) -> int:
    return sum(len(post.encode()) + 1 for post in posts)


def sampled(made: RunFolder, train: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Unpicked posts of the bot and of a Markov chain: the first ones of seed 0, copies marked.

    They are kept for every author, so that --sample-authors can be named afterwards.
    """
    bot = bots.open_bot(made.path)
    ours = [
        {"text": post.text, "prompt": prompt, "copied": bool(post.copied)}
        for prompt in (PROMPT, "")
        for post in bot.generate(prompt, SAMPLES_EACH, seed=0, allow_copies=True)
    ]
    index = CopyIndex(train)
    theirs = [
        {"text": text, "prompt": "", "copied": index.is_copy(text)}
        for text in markov_posts(train, 2 * SAMPLES_EACH, 0)
    ]
    return {"bot": ours, "markov": theirs}


def fingerprint(base: str) -> str | None:
    """SHA-256 of a base's weights, wherever they are; None where they are not in one file."""
    from huggingface_hub import try_to_load_from_cache

    weights = "model.safetensors"
    if base in bases.BUILT_IN:
        file: object = str(bases.model_folder(base) / weights)
    elif (folder := Path(base).expanduser()).is_dir():
        file = str(folder / weights)
    else:
        file = try_to_load_from_cache(base, weights)
    return sha256(Path(file)) if isinstance(file, str) else None


def identity(source: Path) -> dict[str, str | None]:
    """What tells a source's posts from others: its name and, of a file, its content."""
    return {"name": source.name, "sha256": sha256(source)}


def sha256(file: Path) -> str | None:
    """The hash of a file; None for a folder or where there is none."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def slug(base: str) -> str:
    """A base's name as part of a file name."""
    return re.sub(r"[^\w.-]+", "_", base).strip("._-") or "base"


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """The folder named, or one that is gone afterwards."""
    if kept:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def _first_posts(source: Path, posts: int | None) -> Iterator[Path]:
    """A Parquet file with the first posts of another one, or the source itself."""
    import polars as pl

    if posts is None:
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / source.name
        pl.read_parquet(source).head(posts).write_parquet(part)
        yield part
