"""Inferring the split of a dataset's files from their names."""

from __future__ import annotations

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources._hub_files import choose_files, converted_files, own_files

NAME = "ada/posts"


def _own(paths: str, config: str | None = None, split: str | None = None) -> list[str]:
    files = own_files([(path, 1) for path in paths.split()])
    return [file.path for file in choose_files(files, config, split, NAME)]


def _refused(files: list[tuple[str, int]], config: str | None, split: str | None) -> str:
    found = converted_files(files) or own_files(files)
    with pytest.raises(SourceError) as caught:
        choose_files(found, config, split, NAME)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize(
    ("paths", "split", "chosen"),
    [
        ("README.md .gitattributes anything.csv", None, "anything.csv"),
        ("train.csv test.csv", None, "train.csv"),
        ("train.csv test.csv", "test", "test.csv"),
        ("my-dev-file.jsonl my-training_1.jsonl", "validation", "my-dev-file.jsonl"),
        ("latest.csv contest.csv", None, "contest.csv latest.csv"),
        ("test/a.csv train/a.csv train/b.csv", None, "train/a.csv train/b.csv"),
        ("data/train/a.csv data/eval/a.csv", "test", "data/eval/a.csv"),
        ("train.csv test.csv notes.csv", None, "train.csv"),
        ("eval.csv", None, "eval.csv"),
        ("data/extra-00000-of-00001.parquet", None, "data/extra-00000-of-00001.parquet"),
        (
            "data/train-00001-of-00002.parquet data/train-00000-of-00002-ab12.parquet",
            None,
            "data/train-00000-of-00002-ab12.parquet data/train-00001-of-00002.parquet",
        ),
        ("posts.parquet posts.csv", None, "posts.parquet"),
        ("posts.json dataset_infos.json LICENSE.txt", None, "posts.json"),
        ("posts.txt requirements.txt .hidden/a.txt", None, "posts.txt"),
        ("Train.CSV", "train", "Train.CSV"),
    ],
)
def test_files_of_the_owner(paths: str, split: str | None, chosen: str) -> None:
    assert _own(paths, split=split) == chosen.split()


def test_folders_are_configs() -> None:
    paths = "en/train.csv en/test.csv de/train.csv"
    assert _own(paths, "en") == ["en/train.csv"]
    assert _own(paths + " train.csv") == ["train.csv"]
    assert _own("en/train.csv en/test.csv", split="test") == ["en/test.csv"]


def test_files_of_the_hubs_conversion() -> None:
    paths = (
        "default/train/0001.parquet default/train/0000.parquet default/test/0000.parquet "
        "default/train-part1/0000.parquet other/split.2/0000.parquet default/train/index.duckdb"
    )
    files = converted_files([(path, 5) for path in paths.split()])
    chosen = choose_files(files, None, None, NAME)
    assert [file.path for file in chosen] == [
        "default/train-part1/0000.parquet",
        "default/train/0000.parquet",
        "default/train/0001.parquet",
    ]
    assert [file.path for file in choose_files(files, "other", None, NAME)] == [
        "other/split.2/0000.parquet"
    ]
    (part,) = converted_files([("default/partial-train/0000.parquet", 5)])
    assert (part.split, part.partial) == ("train", True)


@pytest.mark.parametrize(
    ("paths", "config", "split", "said"),
    [
        (
            "test.csv dev.csv",
            None,
            None,
            "several splits (test, validation); name one, such as hf:",
        ),
        ("test.csv dev.csv", None, None, "such as hf:ada/posts[test]"),
        ("train.csv test.csv", None, "dev", "has no split 'dev'; it has test, train"),
        ("en/train.csv de/train.csv", None, None, "several configs (de, en)"),
        ("en/train.csv de/train.csv", None, None, "such as hf:ada/posts:de"),
        ("en/train.csv de/train.csv", "fr", None, "has no config 'fr'; it has de, en"),
        ("en/test.csv en/dev.csv", "en", None, "such as hf:ada/posts:en[test]"),
        ("a.csv b.jsonl", None, None, "don't show which files are its split train"),
        ("a.csv b.jsonl", None, None, "(a.csv, b.jsonl)"),
    ],
)
def test_missing_and_ambiguous_choices_are_listed(
    paths: str, config: str | None, split: str | None, said: str
) -> None:
    assert said in _refused([(path, 1) for path in paths.split()], config, split)


def test_no_file_holds_data() -> None:
    assert own_files([("README.md", 1), ("posts.py", 1), ("image.png", 1)]) == []
