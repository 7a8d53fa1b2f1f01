"""Authors on equal text: every bot trained anew on as much as the smallest author has.

Who has written more is foreseen better, so bits per byte of authors with much and with little text
say little about the authors. Here each author's newest training posts are taken up to the
characters that the smallest has, and of the held-out posts those that come first, up to the
smallest's again; base, recipe and seed are those of the first run. The runs they come from are only
read.

Each bot is a run folder like any other, so one that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import pipeline
from huggingtweets.comparison.compare import authors_of
from huggingtweets.comparison.result import AuthorComparison, Comparison, ordered
from huggingtweets.events import EventHandler, ignore
from huggingtweets.nn import devices
from huggingtweets.privacy import opt_out
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord
from huggingtweets.training import Interrupt, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Task:
    """One author's bot on equal text.

    Attributes:
        author: whom it is about, as in the comparison.
        kept: the chosen posts with their column ``split``.
        config: of the run, as in ``run.json``.
        number: from 1.
        total: authors in all.
    """

    author: AuthorComparison
    kept: pl.DataFrame
    config: dict[str, Any]
    number: int
    total: int

    @property
    def characters(self) -> int:
        """Characters that are learnt from."""
        return _characters(self.kept.filter(split="train"))

    @property
    def name(self) -> str:
        """Of the run folder: readable, and another one for other posts or another recipe."""
        plan = [str(self.kept.select("author", "id", "text", "split").rows()), str(self.config)]
        digest = hashlib.sha256("".join(plan).encode()).hexdigest()[:8]
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', self.author.author)[:60]}-{digest}"


def compare_at_equal_size(
    comparison: Comparison,
    out: Path,
    *,
    begin: Callable[[Task], None] = lambda _: None,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
) -> Comparison:
    """Train every author's bot anew on equal text and put its numbers beside those it has.

    Args:
        comparison: of the runs as they are.
        out: where the new runs go; those that are there already are not made again.
        begin: is told before each author.
        listen: is told every event.
        interrupt: what Ctrl-C does.

    Raises:
        OptedOutError: an author asked not to be imitated.
        StorageError: ``out`` can't be written.
        Interrupted: stopped by the user; the same call goes on.
    """
    done = []
    for task in plan(comparison):
        begin(task)
        made = _finished(task, out, listen, interrupt)
        done.append(replace(task.author, same_size=authors_of(made, made.record())[0]))
    return replace(comparison, authors=ordered(done))


def plan(comparison: Comparison) -> list[Task]:
    """Choose everyone's posts and the settings for all.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: a run's posts are gone.
    """
    authors = comparison.authors
    opt_out.check(one.author for one in authors)
    kept = [RunFolder(Path(one.path)).table("kept").filter(author=one.author) for one in authors]
    most = min(_characters(table.filter(split="train")) for table in kept)
    most_held_out = min(_characters(table.filter(split="held_out")) for table in kept)
    config = _config(RunFolder(Path(comparison.first)).record().config, most, most_held_out)
    return [
        Task(one, _cut(table, most, most_held_out), config, i, len(authors))
        for i, (one, table) in enumerate(zip(authors, kept, strict=True), 1)
    ]


def _cut(kept: pl.DataFrame, most: int, most_held_out: int) -> pl.DataFrame:
    """The newest training posts and the held-out ones that follow them, whole posts."""
    train, held_out = (kept.filter(split=part) for part in ("train", "held_out"))
    newest = train.reverse()
    newest = newest.head(_fitting(newest, most)).reverse()
    return pl.concat([newest, held_out.head(_fitting(held_out, most_held_out))])


def _fitting(posts: pl.DataFrame, most: int) -> int:
    """How many posts from the first on have at most so many characters together; at least 1."""
    return max(1, int((posts["text"].str.len_chars().cum_sum() <= most).sum()))


def _characters(posts: pl.DataFrame) -> int:
    return int(posts["text"].str.len_chars().sum())


def _config(first: dict[str, Any], most: int, most_held_out: int) -> dict[str, Any]:
    """Settings of the new runs: the first run's, on this machine, without a tracker."""
    where = devices.select_device(None, Recipe(**first["recipe"]).precision)
    return first | {
        "device": where.device,
        "precision": where.precision,
        "track": "none",
        "sources": [],
        "same_size": {"characters": most, "held_out_characters": most_held_out},
    }


def _finished(
    task: Task, out: Path, listen: EventHandler, interrupt: Interrupt | None
) -> RunFolder:
    """The run of a task, made, gone on with or found."""
    made = RunFolder(out / task.name)
    if not made.record_file.is_file():
        made = _prepared(task, out)
    if made.record().state != "done":
        pipeline.resume(made.path, listen, interrupt)
    return made


def _prepared(task: Task, out: Path) -> RunFolder:
    """A run folder whose posts are chosen already, so that the pipeline goes on from there."""
    posts = task.kept.drop("split")
    nothing = posts.clear().with_columns(
        reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String)
    )
    counts = {"downloaded": len(posts), "retweets": 0, "short": 0, "duplicates": 0}
    counts["kept"] = len(posts)
    record = RunRecord(
        name=task.name,
        authors=[task.author.author],
        config=task.config | {"name": task.name, "out": str(out.absolute())},
        counts=counts,
        counts_by_author={task.author.author: counts},
        versions=devices.package_versions(),
        machine=devices.select_device(task.config["device"], task.config["precision"]).as_dict(),
    )
    return run_folder.create(out, record, {"posts": posts, "kept": task.kept, "dropped": nothing})
