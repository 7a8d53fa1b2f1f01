"""What the studies of training share: authors, cells that are measured once, and their tables.

A cell is one training: an author, a seed and the settings that the study compares. Each is in the
JSON file before the next one begins, so a study that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.likeness_results import DEMO, TEST_ONLY

from benchmarks import markers
from huggingtweets import pipeline
from huggingtweets.data import batching
from huggingtweets.errors import HuggingTweetsError, InputError
from huggingtweets.evaluation.authorship import author_classifier, panel_posts
from huggingtweets.evaluation.diversity import compare_diversity
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import Sampling
from huggingtweets.generation.writer import Writer
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.storage import files
from huggingtweets.training import TrainingTask, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.training import Recipe, TrainingResult

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HOLDOUT = 0.2
QUICK_POSTS = 60

Cell = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Author:
    """One author's posts, in time order.

    Attributes:
        name: handle.
        train: posts to train on.
        validation: the older half of the newest posts; epochs, the way back to the base and
            learning rates are chosen on it.
        test: the newer half; only measured.
    """

    name: str
    train: list[str]
    validation: list[str]
    test: list[str]

    @cached_property
    def _given_to_author(self) -> Callable[[Sequence[str]], list[bool]]:
        return author_classifier(self.train, panel_posts(without=[self.name]))

    def taken_share(self, posts: Sequence[str]) -> float:
        """Share of posts that a classifier of the author's posts and the panel's gives to them."""
        return statistics.fmean(self._given_to_author(posts))


def read_author(source: Path, held_out: int) -> Author:
    """Read, curate and split the posts of one author; at most ``held_out`` to validate and to test.

    Raises:
        SourceError: the posts can't be read.
    """
    kept = batching.split(pipeline.curate([source]).kept, holdout=HOLDOUT)
    name = str(kept["author"][0])
    train = batching.texts_by_author(kept, "train", [name])[name]
    newest = batching.texts_by_author(kept, "held_out", [name])[name]
    half = len(newest) // 2
    return Author(name, train, newest[:half][-held_out:], newest[half:][:held_out])


def all_sources(data: Path) -> dict[str, Path]:
    """The files of all authors by name."""
    return {
        file.stem: file
        for folder in ("bench", "demo")
        for file in sorted((data / folder).glob("*.parquet"))
    }


def sources_of(chosen: argparse.Namespace) -> list[Path]:
    """The files of the chosen authors; by default all that settings may be chosen on.

    Raises:
        InputError: there is no such author.
    """
    found = all_sources(chosen.data)
    if chosen.quick and not chosen.authors:
        names = [name for name in sorted(DEMO) if name in found][:1]
    elif chosen.final:
        names = sorted(TEST_ONLY)
    else:
        names = chosen.authors or [name for name in found if name not in TEST_ONLY]
    if not names or (missing := [name for name in names if name not in found]):
        unknown = ", ".join(missing) if names else "authors"
        raise InputError(f"{chosen.data} has no {unknown}; name others, or another --data.")
    return [found[name] for name in names]


def train(
    base: LanguageModel,
    posts: Sequence[str],
    author: Author,
    recipe: Recipe,
    machine: devices.ComputeDevice,
    *,
    seed: int,
) -> TrainingResult:
    """Train a base in place; the best weights are chosen on the validation posts."""
    return fit(TrainingTask(base, [posts], author.validation, recipe, machine, seed=seed))


def measure(
    lm: LanguageModel,
    train_posts: Sequence[str],
    author: Author,
    machine: devices.ComputeDevice,
    *,
    seed: int,
    generated: int,
) -> Cell:
    """Measure a bot or base: prediction of the test posts, and its own posts beside real ones."""
    lm.to(machine)
    writer = Writer(lm, Sampling(seed=seed), allow_loops=True)
    posts = [post.text for post in writer.write(n=generated)]
    index = CopyIndex(train_posts)
    bot_taken, real_taken = (author.taken_share(texts) for texts in (posts, author.test))
    bot, real = compare_diversity(posts, author.test)
    return {
        "bits_per_byte": likelihood.bits_per_byte(lm, author.test),
        "validation_bits_per_byte": likelihood.bits_per_byte(lm, author.validation),
        "copied": sum(map(index.is_copy, posts)) / len(posts),
        "longest_run": max(index.longest_run(text).words for text in posts),
        "distinct_2": bot.distinct_2,
        "distinct_2_real": real.distinct_2,
        "authorship": bot_taken,
        "authorship_real": real_taken,
    }


class Cells:
    """The measured cells of a study, kept in a file.

    Args:
        file: JSON file; None keeps them in memory.
        setting: what all cells of a file have in common; None takes the file's.
        keys: names of the values that tell cells apart.

    Raises:
        InputError: the file holds something else, or cells of another setting.
    """

    def __init__(self, file: Path | None, setting: Cell | None, keys: Sequence[str]) -> None:
        self.file, self.setting, self.keys = file, setting, tuple(keys)
        self.cells: list[Cell] = []
        if file is None or not file.exists():
            return
        try:
            stored = json.loads(file.read_text("utf-8"))
            same = setting in (None, stored["setting"])
            self.cells = list(stored["cells"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} doesn't hold cells of a study; name another file.") from error
        if not same:
            raise InputError(f"{file} holds cells of another setting; name another --json file.")

    def find(self, **key: object) -> Cell | None:
        """The cell with these values of ``keys``, if it is measured already."""
        wanted = [key[name] for name in self.keys]
        return next((c for c in self.cells if [c[name] for name in self.keys] == wanted), None)

    def need(self, measured: Callable[[], Cell], **key: Any) -> Cell:  # noqa: ANN401 - JSON values
        """Return a cell; measure and store it if it is new. One may be ``missing`` for a reason."""
        found = self.find(**key)
        if found is None:
            found = key | measured()
            self.cells.append(found)
            if self.file:
                content = {
                    "setting": self.setting,
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": devices.select_device(None, None).as_dict(),
                    "cells": self.cells,
                }
                files.write_json(self.file, content)
            bits = found.get("bits_per_byte")
            shown = found.get("missing", "") if bits is None else f"{bits:.3f}"
            print(*key.values(), shown, file=sys.stderr, flush=True)
        return found


def summary(values: Iterable[float | None], digits: int = 3) -> str:
    """Mean and sample standard deviation, such as ``1.234 ± 0.012``; without one for one value."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    mean = f"{statistics.fmean(numbers):.{digits}f}"
    return mean + (f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else "")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns after the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ran(cells: Sequence[Cell]) -> str:
    """One line that says which authors and seeds the cells are from."""
    names = sorted({str(cell["author"]) for cell in cells})
    seeds = sorted({int(cell["seed"]) for cell in cells})
    return f"Authors: {', '.join(names)}. Seeds: {', '.join(map(str, seeds))}."


def parser(description: str | None, *, base: bool = True) -> argparse.ArgumentParser:
    """A command line with the options that all studies have; ``base`` for those with one."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--data", type=Path, default=DATA, help="folder with bench/ and demo/ (%(default)s)")
    if base:
        add("--base", default=language_model.POCKET, help="built-in base, folder or Hub id")
    add("--authors", nargs="+", metavar="NAME", help="default: all but the test-only ones")
    add("--final", action="store_true", help="the five test-only authors, for final figures")
    add("--seeds", type=int, default=3, help="seeds from 0 (%(default)s)")
    add("--held-out", type=int, default=250, help="most posts to validate and to test")
    add("--generated", type=int, default=200, help="posts that each bot writes (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="keep cells there and go on from them")
    add("--markdown", type=Path, metavar="FILE", help="put the table between its markers")
    add("--render", action="store_true", help="train nothing, only make table and picture")
    add("--quick", action="store_true", help=f"one author, one seed, {QUICK_POSTS} posts")
    return made


def write_table(file: Path | None, table: str) -> None:
    """Print a table, and put it between the markers of a document."""
    print(table)
    if file:
        markers.put(file, "<!-- study:begin -->", "<!-- study:end -->", table)


def check_document(file: Path | None) -> None:
    """Check the markers of a document before anything is trained.

    Raises:
        InputError: a marker is missing.
    """
    if file:
        markers.check(file, "<!-- study:begin -->", "<!-- study:end -->")


def exit_status(run: Callable[[], None]) -> int:
    """Run a study; return the program's exit status."""
    try:
        run()
    except KeyboardInterrupt:
        print("Stopped; with --json the same command goes on.", file=sys.stderr)
        return 130
    except HuggingTweetsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
