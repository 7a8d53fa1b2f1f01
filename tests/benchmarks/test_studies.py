"""The studies of training, from posts to table and picture, with a base that trains in a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from benchmarks.layers import bits_on_words, distinctive_words
from tests.helpers.posts import made_up_posts

from benchmarks import augmentation, layers, studies
from huggingtweets.generation.copy_index import words
from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Study = tuple["Callable[[list[str]], int]", list[str], list[str]]
DOCUMENT = "# Study\n\n<!-- study:begin -->\nold\n<!-- study:end -->\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one author who is no test-only one."""
    texts = made_up_posts(200)
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 12, 1), "1h", eager=True)
    table = pl.DataFrame({"author": "NASA", "text": texts, "created_at": times[: len(texts)]})
    (tmp_path / "demo").mkdir()
    table.write_parquet(tmp_path / "demo" / "NASA.parquet")
    return tmp_path


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a cell that is stored was trained again")

    monkeypatch.setattr(studies, "fit", refuse)


@pytest.mark.parametrize(
    "study",
    [
        (layers.main, ["--layers", "mlp"], ["untouched base", "`mlp`"]),
        (
            augmentation.main,
            ["--augment", "none", "paraphrase"],
            ["| 60 | `none` |", "| 60 | `paraphrase` |"],
        ),
    ],
)
def test_a_quick_study_writes_its_table_and_goes_on_from_its_file(
    study: Study, data: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, options, found = study
    document, file = data / "study.md", data / "study.json"
    document.write_text(DOCUMENT, "utf-8")
    command = ["--quick", "--data", str(data), "--base", str(tiny_base), "--json", str(file)]
    command += ["--markdown", str(document), *options]
    if main is layers.main:
        command += ["--plot", str(data / "study.svg")]
    assert main(command) == 0
    text = document.read_text("utf-8")
    assert "Authors: NASA. Seeds: 0." in text
    assert all(part in text for part in found)
    stored = json.loads(file.read_text("utf-8"))["cells"]
    assert len(stored) == 2
    assert all(cell["bits_per_byte"] > 0 for cell in stored)
    if main is layers.main:
        assert "distinctive words" in (data / "study.svg").read_text("utf-8")
        assert stored[1]["bits_per_byte"] < stored[0]["bits_per_byte"]
    else:
        assert stored[1]["paraphrases"] > 0
    forbid_training(monkeypatch)
    document.write_text(DOCUMENT, "utf-8")
    assert main(command) == 0
    assert main([*command, "--render"]) == 0
    assert document.read_text("utf-8") == text


@pytest.mark.parametrize("main", [layers.main, augmentation.main])
def test_bad_input_ends_in_one_sentence_before_anything_is_trained(
    main: Callable[[list[str]], int],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forbid_training(monkeypatch)
    other = tmp_path / "other.json"
    other.write_text('{"setting": {}, "cells": []}', "utf-8")
    broken = tmp_path / "broken.json"
    broken.write_text("[]", "utf-8")
    for options, sentence in (
        (["--authors", "Nobody"], "has no Nobody"),
        (["--json", str(other)], "cells of another setting"),
        (["--json", str(broken)], "doesn't hold cells of a study"),
        (["--markdown", str(other)], "needs one line <!-- study:begin -->"),
        (["--render"], "no cell is measured"),
    ):
        assert main(["--quick", "--data", str(data), *options]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1


def test_bits_on_words_add_up_to_those_of_the_posts(tiny_base: Path, posts: list[str]) -> None:
    lm = language_model.load(tiny_base)
    given = [*posts[:6], "two  spaces\nand a line \U0001f388"]
    every = {word for post in given for word in words(post)}
    mean = bits_on_words(lm, given, {"all": every, "none": {"zebra"}})
    assert mean["none"] is None
    assert mean["all"]
    counted = sum(len(words(piece)) for post in given for piece in post.split())
    rows = [[lm.separator, *ids, lm.separator] for ids in lm.encode_all(given)]
    total = likelihood.summed_nats(lm.model, rows) / 0.6931471805599453
    ends = total - mean["all"] * counted  # the separators, and pieces that are no words
    assert 0 < ends < 0.2 * total


def test_distinctive_words_are_those_that_others_rarely_use() -> None:
    own = ["the rocket landed on mars and the crew is safe"] * 10
    others = ["the bill passed and the crew of senators is happy"] * 10
    found = distinctive_words(own, others)
    assert {"rocket", "landed", "mars", "safe"} <= found
    assert not found & {"the", "on", "bill", "senators", "and"}
