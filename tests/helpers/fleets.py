"""Fleets of small bots of a tiny base, made without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from tests.helpers.adapters import random_adapter
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import done_record

from huggingtweets.nn import adapters, language_model
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_fleet(folder: Path, base: Path, authors: Sequence[str]) -> Path:
    """Write a run folder for each author: its record, 40 posts of its own and a random adapter."""
    lm = language_model.load(base)
    for number, author in enumerate(authors):
        run = RunFolder(folder / author)
        for part in (run.bot, run.path / "data"):
            part.mkdir(parents=True)
        run.save(done_record(author))
        adapters.write(random_adapter(lm, number), run.bot)
        posts = made_up_posts(40, seed=number)
        table = pl.DataFrame({"author": author, "text": posts, "split": "train"})
        table.write_parquet(run.path / "data" / "kept.parquet")
    return folder
