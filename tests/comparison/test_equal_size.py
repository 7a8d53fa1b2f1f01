from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.comparison.compare import compare
from huggingtweets.comparison.equal_size import compare_at_equal_size, plan
from huggingtweets.errors import Interrupted, OptedOutError
from huggingtweets.pipeline import TrainOptions
from huggingtweets.privacy import opt_out
from huggingtweets.storage.run_folder import RunFolder, list_runs
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.comparison.equal_size import Task
    from huggingtweets.events import Event

pytestmark = pytest.mark.timeout(900)  # trains bots: seconds, more on a busy machine
LONGEST = 150  # most characters in a synthetic post


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Bots of Ann and of Bob with a third of her text."""
    folder = tmp_path_factory.mktemp("sizes")
    options = TrainOptions(base=str(tiny_base), out=folder / "runs")
    made = []
    for author, n in (("ann", 240), ("bob", 80)):
        source = write_csv(folder / f"{author}.csv", author, made_up_posts(n, seed=n))
        made.append(pipeline.train([source], replace(options, name=author)))
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_authors_get_equal_text(runs: list[RunFolder]) -> None:
    tasks = {task.author.author: task for task in plan(compare([run.path for run in runs]))}
    sizes = {name: task.characters for name, task in tasks.items()}
    assert 0 <= sizes["bob"] - sizes["ann"] < LONGEST
    bob, ann = runs[1].table("kept"), runs[0].table("kept")
    assert tasks["bob"].kept.equals(bob)  # the smallest author keeps all posts
    chosen = tasks["ann"].kept
    for part, end in (("train", "last"), ("held_out", "first")):
        of_run, of_task = (table.filter(pl.col("split") == part) for table in (ann, chosen))
        n = len(of_task)
        assert 0 < n < len(of_run)
        assert of_task.equals(of_run.tail(n) if end == "last" else of_run.head(n))
    held_out = [
        int(table.filter(pl.col("split") == "held_out")["text"].str.len_chars().sum())
        for table in (bob, chosen)
    ]
    assert 0 <= held_out[0] - held_out[1] < LONGEST


def test_new_bots_are_trained_and_runs_unchanged(runs: list[RunFolder], tmp_path: Path) -> None:
    before = [files(run.path) for run in runs]
    comparison = compare([run.path for run in runs])
    begun: list[Task] = []
    events: list[Event] = []
    equal = compare_at_equal_size(
        comparison, tmp_path / "out", begin=begun.append, listen=events.append
    )
    assert [files(run.path) for run in runs] == before
    assert [(task.number, task.total) for task in begun] == [(1, 2), (2, 2)]
    assert {event.stage for event in events} == {"train", "evaluate"}
    assert equal.has_same_size
    assert {one.author: one.bits_per_byte for one in equal.authors} == {
        one.author: one.bits_per_byte for one in comparison.authors
    }
    found = {one.author: one for one in equal.authors}
    small = found["ann"].same_size
    assert small is not None
    assert small.size.characters < found["ann"].size.characters / 2
    assert small.bits_per_byte.bot != found["ann"].bits_per_byte.bot
    same = found["bob"].same_size  # trained on the same posts with the same seed
    assert same is not None
    assert same.bits_per_byte.bot == pytest.approx(found["bob"].bits_per_byte.bot, abs=1e-3)
    bits = [one.same_size.bits_per_byte.bot for one in equal.authors if one.same_size]
    assert bits == sorted(bits, reverse=True)
    assert "equal text" in equal.plot().svg()
    told = equal.to_json()["authors"][0]["same_size"]
    assert told["bits_per_byte"]["gain"] == pytest.approx(
        1 - told["bits_per_byte"]["bot"] / told["bits_per_byte"]["base"]
    )

    events.clear()
    again = compare_at_equal_size(comparison, tmp_path / "out", listen=events.append)
    assert again == equal
    assert not events  # all bots exist already


def test_interrupted_comparison_continues(runs: list[RunFolder], tmp_path: Path) -> None:
    comparison = compare([run.path for run in runs])
    interrupt = Interrupt()
    interrupt.requested = True
    with pytest.raises(Interrupted):
        compare_at_equal_size(comparison, tmp_path, interrupt=interrupt)
    (begun,) = list_runs(tmp_path)
    assert begun.checkpoint_file.is_file()
    equal = compare_at_equal_size(comparison, tmp_path)
    assert equal.has_same_size
    assert begun.path in [run.path for run in list_runs(tmp_path)]
    assert len(list_runs(tmp_path)) == 2


def test_other_comparisons_do_not_reuse_the_bots(runs: list[RunFolder], tmp_path: Path) -> None:
    comparison = compare([run.path for run in runs])
    names = {task.name for task in plan(comparison)}
    record = runs[0].record()
    record.config["seed"] = 1
    other = tmp_path / "other"
    other.mkdir()
    RunFolder(other).save(record)
    assert not names & {task.name for task in plan(replace(comparison, first=str(other)))}


@pytest.mark.usefixtures("config")
def test_opted_out_author_is_refused(runs: list[RunFolder], tmp_path: Path) -> None:
    comparison = compare([run.path for run in runs])
    opt_out.add(["@bob"])
    with pytest.raises(OptedOutError, match="@bob"):
        compare_at_equal_size(comparison, tmp_path / "out")
    assert not (tmp_path / "out").exists()
