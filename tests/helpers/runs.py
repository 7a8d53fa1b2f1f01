"""Finished runs, records and reports for tests, made without training."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import pipeline
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.authorship import Authorship
from huggingtweets.evaluation.diversity import Diversity
from huggingtweets.evaluation.report import (
    BitsPerByte,
    BotAndBase,
    Copied,
    DiversityPair,
    LongestCopiedRun,
    Sizes,
)
from huggingtweets.events import ignore
from huggingtweets.pipeline import preparing
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from pathlib import Path


def likeness(author: str, copied: float = 0.035) -> LikenessReport:
    return LikenessReport(
        authors=(author,),
        sizes=Sizes(2_170, 241, 22_431, 200),
        bits_per_byte=BitsPerByte(1.73649, 2.325, 1.929, {author: BotAndBase(1.7, 2.3)}),
        copied=Copied(copied, 0.395),
        longest_copied_run=LongestCopiedRun(13, 21, "SECRET generation", "SECRET post"),
        diversity=DiversityPair.of(Diversity(0.83, 0.01), Diversity(0.85, 0.0)),
        taken_for_author=Authorship(0.945, 0.9876, 0.0733),
        seed=42,
        settings={"temperature": 0.7, "top_p": 0.9},
    )


def done_record(*authors: str, **config: object) -> RunRecord:
    counts = {"downloaded": 3200, "retweets": 770, "short": 3, "duplicates": 25, "kept": 2402}
    recipe = {"name": "fast", "epochs": 3, "learning_rate": 0.001, "warmup": 0.05}
    config_defaults: dict[str, Any] = {
        "base": "pocket",
        "recipe": recipe,
        "seed": 7,
        "holdout": 0.1,
    }
    return RunRecord(
        name="nasa",
        authors=list(authors),
        config={**config_defaults, "split": "newest", "curation": {"scrub": False}, **config},
        counts=counts,
        counts_by_author=dict.fromkeys(authors, counts),
        state="done",
        created_at="2026-11-21T12:00:00+00:00",
        versions={"python": "3.11.7", "huggingtweets": "0.1.0"},
        machine={"processor": "Xeon", "cores": 2, "device": "cpu", "precision": "fp32"}
        | {"system": "Linux x86_64"},
        seconds={"read and curate": 6.8, "train": 436.0, "evaluate": 9.0},
        result={"steps": 1234, "tokens": 69468, "history": [{"epoch": 2}]},
    )


def posts(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    """Return a table with the author, text and language of each post."""
    schema = {"author": pl.String, "text": pl.String, "lang": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def finished_run(path: Path, base: Path, author: str = "NASA", copied: float = 0.0) -> RunFolder:
    """Write a run whose bot is an untrained model, with a post in German."""
    run = RunFolder(path)
    for folder in ("data", "report"):
        (path / folder).mkdir(parents=True)
    shutil.copytree(base, run.bot)
    run.save(done_record(author))
    run.report_json.write_text(json.dumps(likeness(author, copied).to_json()))
    table = posts((author, "Wir fliegen morgen früh mit der Rakete zum Mond und zurück.", None))
    table.write_parquet(path / "data" / "kept.parquet")
    return run


def untrained_run(source: Path, base: Path, out: Path) -> RunFolder:
    """Make a run whose posts were read and split, and whose bot is the base as it is.

    It has no report. Whatever trains it further makes it better.
    """
    options = pipeline.TrainOptions(
        base=str(base), out=out, seed=1, device="cpu", precision="fp32", track="none"
    )
    run = preparing.read_and_prepare([source], options, ignore)
    shutil.copytree(base, run.bot)
    record = run.record()
    record.state = "done"
    run.save(record)
    return run
