from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.comparison.compare import compare
from huggingtweets.comparison.result import AuthorComparison, Comparison, ordered
from huggingtweets.errors import BotError, InputError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.ppm import compressor_bits_per_byte
from huggingtweets.pipeline import TrainOptions
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)  # trains bots: seconds, more on a busy machine


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """Bots of Ann, of Bob with a third of her text, and of both."""
    folder = tmp_path_factory.mktemp("compared")
    ann = write_csv(folder / "ann.csv", "ann", made_up_posts(240))
    bob = write_csv(folder / "bob.csv", "bob", made_up_posts(80, seed=5))
    options = TrainOptions(base=str(tiny_base), out=folder / "runs")
    return {
        name: pipeline.train(sources, replace(options, name=name))
        for name, sources in (("a", [ann]), ("b", [bob]), ("both", [ann, bob]))
    }


@pytest.fixture
def copied(runs: dict[str, RunFolder], tmp_path: Path) -> dict[str, RunFolder]:
    """Copies of the runs."""
    return {
        name: RunFolder(shutil.copytree(run.path, tmp_path / name)) for name, run in runs.items()
    }


def report_of(run: RunFolder) -> LikenessReport:
    return LikenessReport.from_json(json.loads(run.report_json.read_text("utf-8")))


def test_numbers_come_from_the_runs(runs: dict[str, RunFolder]) -> None:
    comparison = compare([runs["a"].path, runs["b"].path])
    found = {one.author: one for one in comparison.authors}
    assert set(found) == {"ann", "bob"}
    for name, author in (("a", "ann"), ("b", "bob")):
        one, report, kept = found[author], report_of(runs[name]), runs[name].table("kept")
        bits = one.bits_per_byte
        assert (bits.bot, bits.base) == (report.bits_per_byte.bot, report.bits_per_byte.base)
        assert bits.compressor == report.bits_per_byte.compressor
        assert bits.gain == pytest.approx((bits.base - bits.bot) / bits.base)
        train = kept.filter(pl.col("split") == "train")["text"].to_list()
        assert (one.size.posts, one.size.characters) == (len(train), sum(map(len, train)))
        assert one.size.held_out_posts == len(kept) - len(train)
        assert one.size.median_characters == statistics.median(map(len, kept["text"]))
        assert one.copied == report.copied.bot
        assert one.taken is not None
        assert one.seconds == runs[name].record().seconds["train"]
    assert found["ann"].size.characters > 2 * found["bob"].size.characters
    assert comparison.notes == ()


def test_tokens_use_the_bots_tokenizer(runs: dict[str, RunFolder]) -> None:
    from huggingtweets.generation import bots

    train = runs["b"].table("kept").filter(pl.col("split") == "train")["text"].to_list()
    lm = bots.load_from_run(runs["b"])
    found = {one.author: one for one in compare([runs["a"].path, runs["b"].path]).authors}
    assert found["bob"].size.tokens == sum(map(len, lm.encode_all(train)))


def test_least_predictable_author_is_first(runs: dict[str, RunFolder]) -> None:
    authors = compare([runs["a"].path, runs["b"].path]).authors
    assert authors[0].bits_per_byte.bot > authors[1].bits_per_byte.bot
    assert compare([runs["b"].path, runs["a"].path]).authors == authors


def test_authors_of_one_bot_are_compared(runs: dict[str, RunFolder]) -> None:
    comparison = compare([runs["both"].path])
    report, kept = report_of(runs["both"]), runs["both"].table("kept")
    assert {comparison.label(one) for one in comparison.authors} == {"@ann", "@bob"}
    for one in comparison.authors:
        assert one.authors_of_bot == 2
        assert one.bits_per_byte.bot == report.bits_per_byte.by_author[one.author].bot
        own = kept.filter(pl.col("author") == one.author)
        parts = [own.filter(pl.col("split") == part)["text"] for part in ("train", "held_out")]
        assert one.bits_per_byte.compressor == compressor_bits_per_byte(
            *(part.to_list() for part in parts)
        )
        assert one.size.posts == len(parts[0])


def test_novelty_comes_from_generated_posts(copied: dict[str, RunFolder]) -> None:
    train = copied["a"].table("kept").filter(pl.col("split") == "train")["text"].to_list()
    copied["a"].generations_file.write_text(json.dumps(train[:5]))
    copied["b"].generations_file.write_text(json.dumps(["none of these words is known there"]))
    found = {
        one.author: one.novelty for one in compare([copied["a"].path, copied["b"].path]).authors
    }
    assert found["ann"] == 0
    assert found["bob"] is not None
    assert found["bob"] > 0.5
    copied["b"].generations_file.unlink()
    comparison = compare([copied["a"].path, copied["b"].path])
    assert next(one for one in comparison.authors if one.author == "bob").novelty is None


def test_different_settings_give_notes(
    copied: dict[str, RunFolder],
) -> None:
    record = copied["b"].record()
    record.config |= {"holdout": 0.3, "split": "random"}
    record.config["recipe"] |= {"epochs": 7, "name": "mine"}
    record.forgotten = 2
    copied["b"].save(record)
    notes = compare([copied["a"].path, copied["b"].path]).notes
    assert len(notes) == 4
    assert "held-out share differs" in notes[0]
    assert "0.1 (a); 0.3 (b)" in notes[0]
    assert "newest (a); random (b)" in notes[1]
    assert "name fast, epochs 2 (a); name mine, epochs 7 (b)" in notes[2]
    assert "learning rate" not in notes[2]
    assert "2 posts were deleted" in notes[3]


def test_duplicate_authors_are_labelled_with_the_run(copied: dict[str, RunFolder]) -> None:
    again = RunFolder(shutil.copytree(copied["a"].path, copied["a"].path.with_name("again")))
    comparison = compare([copied["a"].path, again.path])
    assert {comparison.label(one) for one in comparison.authors} == {"@ann in a", "@ann in again"}
    comparison = compare([copied["b"].path, copied["both"].path])
    assert {comparison.label(one) for one in comparison.authors} == {
        "@ann in both",
        "@bob in b",
        "@bob in both",
    }


def test_incomparable_runs_are_refused(copied: dict[str, RunFolder], tmp_path: Path) -> None:
    a, b = copied["a"], copied["b"]
    with pytest.raises(InputError, match="needs at least two authors"):
        compare([a.path])
    with pytest.raises(InputError, match="named twice"):
        compare([a.path, a.bot])
    with pytest.raises(BotError, match="is not a run folder"):
        compare([a.path, tmp_path / "nothing"])
    kept = b.table("kept")
    b.replace_table("kept", kept.filter(pl.col("split") == "train"))
    with pytest.raises(BotError, match="no longer has the posts of @bob"):
        compare([a.path, b.path])
    b.report_json.write_text("{}")
    with pytest.raises(BotError, match="damaged"):
        compare([a.path, b.path])
    b.report_json.unlink()
    with pytest.raises(BotError, match=r"no likeness report yet .*huggingtweets evaluate"):
        compare([a.path, b.path])
    (b.bot / "config.json").unlink()
    with pytest.raises(BotError, match="train --resume"):
        compare([a.path, b.path])


def test_plot_has_authors_but_no_posts(runs: dict[str, RunFolder]) -> None:
    comparison = compare([run.path for run in runs.values()])
    drawn = comparison.plot().svg()
    for label in map(comparison.label, comparison.authors):
        assert label in drawn
    for word in ("bot", "compressor", "untouched base", "AI bot"):
        assert word in drawn
    assert "equal text" not in drawn
    assert not [post for post in runs["a"].table("kept")["text"] if post in drawn]


def test_json_has_all_numbers(runs: dict[str, RunFolder]) -> None:
    told = json.loads(json.dumps(compare([runs["a"].path, runs["b"].path]).to_json()))
    assert len(told["authors"]) == 2
    one = told["authors"][0]
    assert set(one["bits_per_byte"]) == {"bot", "base", "compressor", "gain", "standard_error"}
    assert one["size"]["posts"] > 0
    assert one["same_size"] is None


def test_order_uses_equal_text_if_available(runs: dict[str, RunFolder]) -> None:
    hard, easy = compare([runs["a"].path, runs["b"].path]).authors
    harder = replace(hard.bits_per_byte, bot=hard.bits_per_byte.bot + 1)
    swapped = [
        replace(hard, same_size=easy),
        replace(easy, same_size=replace(hard, bits_per_byte=harder)),
    ]
    assert [one.author for one in ordered(swapped)] == [easy.author, hard.author]
    only_one = [swapped[0], replace(swapped[1], same_size=None)]
    assert ordered(only_one)[0].author == hard.author
    assert Comparison(ordered(swapped), (), "").has_same_size
    assert not Comparison(ordered(only_one), (), "").has_same_size


def test_close_neighbours_are_reported(runs: dict[str, RunFolder]) -> None:
    one = compare([runs["a"].path, runs["b"].path]).authors[0]
    few = replace(one, size=replace(one.size, held_out_posts=100))
    assert few.standard_error == pytest.approx(0.035)

    def with_bits(bits: float) -> AuthorComparison:
        return replace(few, bits_per_byte=replace(few.bits_per_byte, bot=bits))

    clear, near, nearer = with_bits(2.0), with_bits(1.5), with_bits(1.41)
    assert Comparison((clear, near, nearer), (), "").too_near == [(near, nearer)]
    apart = with_bits(1.40)  # a tenth is just over two standard errors of the difference
    assert Comparison((clear, near, apart), (), "").too_near == []
    equal = (replace(near, same_size=clear), replace(nearer, same_size=apart))
    assert Comparison(equal, (), "").too_near == []
