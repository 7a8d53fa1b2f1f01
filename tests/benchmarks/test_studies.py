"""The studies of training, from posts to table and picture, with a base that trains in a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from benchmarks.few_shot_others import mixture_weights
from benchmarks.layers import bits_on_words, distinctive_words
from tests.helpers.posts import made_up_posts

from benchmarks import (
    adapters,
    augmentation,
    few_shot,
    hashtags,
    layers,
    models,
    sampling_rules,
    studies,
)
from huggingtweets.generation.copy_index import words
from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Study = tuple["Callable[[list[str]], int]", list[str], list[str]]
QUICK_FEW_SHOT = [
    *((0, way) for way in ("read", "mixture")),
    *((posts, way) for posts in (1, 60) for way in few_shot.WAYS),
]
DOCUMENT = "# Study\n\n<!-- study:begin -->\nold\n<!-- study:end -->\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two authors who are no test-only ones."""
    texts = made_up_posts(200)
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 12, 1), "1h", eager=True)
    (tmp_path / "demo").mkdir()
    for author, own in (("NASA", texts), ("WhiteHouse", texts[100:])):
        table = pl.DataFrame({"author": author, "text": own, "created_at": times[: len(own)]})
        table.write_parquet(tmp_path / "demo" / f"{author}.parquet")
    return tmp_path


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a cell that is stored was trained again")

    for module in (studies, few_shot):
        monkeypatch.setattr(module, "fit", refuse)


@pytest.mark.parametrize(
    "study",
    [
        (layers.main, ["--layers", "mlp"], ["untouched base", "`mlp`"]),
        (
            augmentation.main,
            ["--augment", "none", "paraphrase"],
            ["| 60 | `none` |", "| 60 | `paraphrase` |"],
        ),
        (
            adapters.main,
            ["--lora", "4", "--ranks", "4", "8"],
            ["`--adapter lora:4`", "`shrink --rank 8`", "| against the full bot |"],
        ),
        (sampling_rules.main, [], ["| one temperature |", "| openings and hashtags |"]),
        (few_shot.main, ["--posts", "0", "1"], ["| 0 | 1 |", "| 1 | 1 |", "**Training "]),
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
    if main in (layers.main, few_shot.main):
        command += ["--plot", str(data / "study.svg")]
    assert main(command) == 0
    text = document.read_text("utf-8")
    assert "Authors: NASA. Seeds: 0." in text
    assert all(part in text for part in found)
    stored = json.loads(file.read_text("utf-8"))["cells"]
    cells: dict[object, int] = {few_shot.main: len(QUICK_FEW_SHOT), sampling_rules.main: 3}
    assert len(stored) == cells.get(main, 2)
    assert all(cell["bits_per_byte"] > 0 for cell in stored)
    if main is layers.main:
        assert "distinctive words" in (data / "study.svg").read_text("utf-8")
        assert stored[1]["bits_per_byte"] < stored[0]["bits_per_byte"]
    elif main is few_shot.main:
        assert [(cell["posts"], cell["way"]) for cell in stored] == QUICK_FEW_SHOT
        assert stored[QUICK_FEW_SHOT.index((60, "nearest"))]["start"] == "WhiteHouse"
        assert "<svg" in (data / "study.svg").read_text("utf-8")
    elif main is adapters.main:
        assert set(stored[0]["shrunk"]) == {"4", "8"}
        assert stored[1]["bytes"] < stored[0]["shrunk"]["8"]["bytes"] < stored[0]["bytes"]
    elif main is sampling_rules.main:
        assert stored[1]["distance"] < stored[0]["distance"]
    else:
        assert stored[1]["paraphrases"] > 0
    forbid_training(monkeypatch)
    document.write_text(DOCUMENT, "utf-8")
    assert main(command) == 0
    assert main([*command, "--render"]) == 0
    assert document.read_text("utf-8") == text


@pytest.mark.parametrize("main", [layers.main, augmentation.main, few_shot.main, hashtags.main])
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


def cell(posts: int, way: str, bits: float, author: str = "ann") -> studies.Cell:
    return {"author": author, "seed": 0, "posts": posts, "way": way, "bits_per_byte": bits}


def test_training_crosses_reading_where_it_is_better_from_then_on() -> None:
    read = [cell(posts, "read", 2.0) for posts in (1, 10, 100, 1000)]
    trained = [cell(1, "train", 1.9), cell(10, "train", 2.1), cell(100, "train", 1.9)]
    assert few_shot.crossing([*read, *trained], "train") == 100
    assert few_shot.crossing([*read, *trained, cell(1000, "train", 2.1)], "train") is None
    # the mean over authors decides, and only those who read as many posts are compared
    other = [cell(100, "read", 2.0, "bob"), cell(100, "train", 2.3, "bob")]
    assert few_shot.crossing([*read, *trained, *other], "train") is None
    assert few_shot.crossing([*read, *trained, cell(100, "train", 9.0, "eve")], "train") == 100


def test_mixture_weights_follow_the_posts_and_one_post_does_not_decide() -> None:
    assert mixture_weights([], 2) == [0.5, 0.5]
    assert mixture_weights([[10.0, 30.0]], 2) == pytest.approx([2 / 3, 1 / 3])
    three = [[10.0, 30.0], [10.0, 30.0], [30.0, 10.0]]
    assert mixture_weights(three, 2) == pytest.approx([3 / 5, 2 / 5])
    assert mixture_weights([[10.0, 10.0]] * 50, 2) == pytest.approx([0.5, 0.5])


def test_few_posts_end_before_those_that_are_measured() -> None:
    author = studies.Author("ann", list("abcdef"), list("gh"), list("xyz"))
    assert few_shot.few_posts(author, 3, 0) == list("fgh")
    assert few_shot.few_posts(author, 0, 0) == []
    assert few_shot.few_posts(author, 99, 5) == list("abcdefgh")
    runs = {"".join(few_shot.few_posts(author, 3, seed)) for seed in range(1, 30)}
    assert len(runs) > 3
    assert all(run in "abcdefgh" and len(run) == 3 for run in runs)


def test_models_leaves_out_what_cannot_be_had_and_measures_it_later(
    data: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document, file = data / "study.md", data / "study.json"
    document.write_text(DOCUMENT, "utf-8")
    options = ["--quick", "--here", "--data", str(data), "--authors", "NASA", "--json", str(file)]
    options += ["--markdown", str(document), "--bases"]
    later = f"later={data / 'later'}"
    assert models.main([*options, later]) == 2
    assert "no cell is measured. later: " in capsys.readouterr().err
    assert models.main([*options, later, f"tiny={tiny_base}"]) == 0
    text = document.read_text("utf-8")
    assert "| `tiny` | 0 M | 1 |" in text
    assert "- `later`: " in text
    assert "| `later`" not in text
    assert f"tiny, NASA's bot: {models.SHOWN} unpicked posts" in text
    assert [cell.get("peak_mb", 0) > 0 for cell in json.loads(file.read_text())["cells"]] == [
        False,
        True,
    ]
    (data / "later").symlink_to(tiny_base)
    assert models.main([*options, later]) == 0
    forbid_training(monkeypatch)
    assert models.main([*options, later, f"tiny={tiny_base}"]) == 0
    text = document.read_text("utf-8")
    assert "| `later` | 0 M | 1 |" in text
    assert "Left out" not in text


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


def test_the_quick_study_of_hashtags_writes_its_tables_and_goes_on_from_its_file(
    data: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, file = data / "study.md", data / "study.json"
    document.write_text(DOCUMENT, "utf-8")
    command = ["--quick", "--data", str(data), "--base", str(tiny_base), "--json", str(file)]
    command += ["--markdown", str(document), "--bots", str(data / "bots")]
    assert hashtags.main([*command, "--without-bots"]) == 0
    assert "Written" not in document.read_text("utf-8")
    assert hashtags.main(command) == 0
    text = document.read_text("utf-8")
    assert all(f"| {method} | 1 |" in text for method in hashtags.METHODS.values())
    assert "| #harbourlife (NASA, " in text
    stored = json.loads(file.read_text("utf-8"))["cells"]
    asked = {(cell["text"], cell["method"]): cell for cell in stored}
    assert len(asked) == 11
    assert asked["hidden", "words"]["recall_1"] == 1  # there is one tag
    assert asked["written", "harbourlife"]["with_tag"] == 1
    forbid_training(monkeypatch)
    file.unlink()  # the bot is kept
    document.write_text(DOCUMENT, "utf-8")
    assert hashtags.main(command) == 0
    assert hashtags.main([*command, "--render"]) == 0
    assert "| #harbourlife (NASA, " in document.read_text("utf-8")
