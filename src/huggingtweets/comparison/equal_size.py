"""Compare authors on equal text: train a new bot of each on as much text as the smallest has.

More training text gives a lower loss, so bits per byte of authors with different amounts of text
say little about the authors. Here each author's newest training posts are used, up to the number of
characters that the smallest author has, and likewise the oldest held-out posts. Base, recipe and
seed are those of the first run. The original runs don't change.

Each new bot is a normal run folder, so an interrupted one resumes from its checkpoint.
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
    """The training of one author's bot on equal text.

    Attributes:
        author: the author, as in the comparison.
        kept: the chosen posts with their column ``split``.
        config: configuration of the run, as in ``run.json``.
        number: number of the author, from 1.
        total: number of authors.
    """

    author: AuthorComparison
    kept: pl.DataFrame
    config: dict[str, Any]
    number: int
    total: int

    @property
    def characters(self) -> int:
        """Number of characters in the training posts."""
        return _characters(self.kept.filter(split="train"))

    @property
    def name(self) -> str:
        """Name of the run folder: the author and a hash of posts and configuration."""
        content = [str(self.kept.select("author", "id", "text", "split").rows()), str(self.config)]
        digest = hashlib.sha256("".join(content).encode()).hexdigest()[:8]
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', self.author.author)[:60]}-{digest}"


def compare_at_equal_size(
    comparison: Comparison,
    out: Path,
    *,
    begin: Callable[[Task], None] = lambda _: None,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
) -> Comparison:
    """Train a bot of every author on equal text and add its numbers to the comparison.

    Args:
        comparison: of the original runs.
        out: folder of the new runs; existing ones are reused.
        begin: called before each author.
        listen: called with every event.
        interrupt: handler of Ctrl-C.

    Raises:
        OptedOutError: an author asked not to be imitated.
        StorageError: ``out`` can't be written.
        Interrupted: stopped by the user; the same call continues.
    """
    authors = []
    for task in plan(comparison):
        begin(task)
        run = _finished_run(task, out, listen, interrupt)
        authors.append(replace(task.author, same_size=authors_of(run, run.record())[0]))
    return replace(comparison, authors=ordered(authors))


def plan(comparison: Comparison) -> list[Task]:
    """Choose each author's posts and the common settings.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: a run's posts are gone.
    """
    authors = comparison.authors
    opt_out.check(author.author for author in authors)
    kept = [
        RunFolder(Path(author.path)).table("kept").filter(author=author.author)
        for author in authors
    ]
    limit = min(_characters(table.filter(split="train")) for table in kept)
    held_out_limit = min(_characters(table.filter(split="held_out")) for table in kept)
    config = _config(RunFolder(Path(comparison.first)).record().config, limit, held_out_limit)
    return [
        Task(author, _truncate(table, limit, held_out_limit), config, i, len(authors))
        for i, (author, table) in enumerate(zip(authors, kept, strict=True), 1)
    ]


def _truncate(kept: pl.DataFrame, limit: int, held_out_limit: int) -> pl.DataFrame:
    """Return the newest training posts and the oldest held-out posts within the limits."""
    train, held_out = (kept.filter(split=part) for part in ("train", "held_out"))
    newest = train.reverse()
    newest = newest.head(_posts_within(newest, limit)).reverse()
    return pl.concat([newest, held_out.head(_posts_within(held_out, held_out_limit))])


def _posts_within(posts: pl.DataFrame, limit: int) -> int:
    """Return how many of the first posts have ``limit`` characters at most; at least 1."""
    return max(1, int((posts["text"].str.len_chars().cum_sum() <= limit).sum()))


def _characters(posts: pl.DataFrame) -> int:
    return int(posts["text"].str.len_chars().sum())


def _config(first: dict[str, Any], limit: int, held_out_limit: int) -> dict[str, Any]:
    """Return the settings of the new runs: the first run's, on this machine, without a tracker."""
    device = devices.select_device(None, Recipe(**first["recipe"]).precision)
    return first | {
        "device": device.device,
        "precision": device.precision,
        "track": "none",
        "sources": [],
        "same_size": {"characters": limit, "held_out_characters": held_out_limit},
    }


def _finished_run(
    task: Task, out: Path, listen: EventHandler, interrupt: Interrupt | None
) -> RunFolder:
    """Return the finished run of a task: existing, resumed or new."""
    run = RunFolder(out / task.name)
    if not run.record_file.is_file():
        run = _create_run(task, out)
    if run.record().state != "done":
        pipeline.resume(run.path, listen, interrupt)
    return run


def _create_run(task: Task, out: Path) -> RunFolder:
    """Create a run folder with the chosen posts, for the pipeline to resume."""
    posts = task.kept.drop("split")
    no_posts = posts.clear().with_columns(
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
    return run_folder.create(out, record, {"posts": posts, "kept": task.kept, "dropped": no_posts})
