from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents
from tests.pretraining.test_data import corpus_file

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

QUICK = ("--tokens", "512", "--batch-tokens", "256", "--no-compile", "--device", "cpu")


@pytest.fixture
def corpus(cli: CommandLine) -> str:
    """Posts of six people in the working directory."""
    del cli  # it changes the working directory
    return str(corpus_file(Path("posts.csv"), authors=6, posts=100))


def test_makes_a_base(cli: CommandLine, corpus: str) -> None:
    Path("about.md").write_text("Posts of made-up people.")
    Path("no.txt").write_text("@someone3")
    options = (
        "--about",
        "about.md",
        "--exclude-authors",
        "no.txt",
        "--exclude-authors",
        "someone4",
    )
    outcome = cli("pretrain", f"{corpus}:2", *QUICK, *options)
    assert outcome.code == 0, outcome.err
    assert "training: 0%, held-out " in outcome.out
    assert "training: 100% · " in outcome.out
    assert re.search(r"512 tokens in \d+ s; held-out posts:", outcome.out)
    assert "The base is in base" in outcome.out
    assert "train my-archive.zip --base base" in outcome.out
    card = Path("base/README.md").read_text()
    assert "| posts | 2.0 | 600 | 200 |" in card
    assert "Posts of made-up people." in card
    written = cli("generate", "base", "-n", "2", "--seed", "1")
    assert written.code == 0, written.err
    assert cli("pretrain", corpus, *QUICK).refused("contains a base already")


def test_encode_only_then_train(cli: CommandLine, corpus: str) -> None:
    assert cli("pretrain", corpus, *QUICK, "--out", "whole").code == 0
    assert cli("pretrain", corpus, *QUICK, "--out", "here", "--encode-only").code == 0
    assert not Path("here/model.safetensors").exists()
    Path("here/work/data").rename("carried")
    Path(corpus).unlink()
    assert cli("pretrain", "carried", *QUICK, "--out", "there").code == 0
    weights = [Path(out, "model.safetensors").read_bytes() for out in ("whole", "there")]
    assert weights[0] == weights[1]


def test_json_is_pretrain_json(cli: CommandLine, corpus: str) -> None:
    outcome = cli("pretrain", corpus, *QUICK, "--json", "--out", "b")
    assert json.loads(outcome.out) == json.loads(Path("b/pretrain.json").read_text())


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.parquet"], "no file or folder nowhere.parquet"),
        (["posts.csv:0"], "must be a number over 0"),
        (["posts.csv", "posts.csv"], "given twice"),
        (["posts.csv", "--preset", "huge"], "no preset 'huge'"),
        (["posts.csv", "--tokens", "0"], "must be over 0"),
        (["posts.csv", "--minutes", "5"], "either --tokens or --minutes"),
        (["posts.csv", "--learning-rate", "2"], "learning rate must be over 0 and under 1"),
        (["posts.csv", "--author-context", "0"], "author context must be from 1"),
        (["posts.csv", "--batch-tokens", "10"], "batch must be at least one row"),
        (["posts.csv", "--about", "nowhere.md"], "nowhere.md can't be read"),
        (["posts.csv", "--resume"], "contains no base and no interrupted training"),
        (["posts.csv", "--device", "gpu"], "Unknown device 'gpu'"),
        (["empty.csv"], "empty"),
        (["short.csv"], "is left after curation"),
    ],
)
def test_bad_input_is_refused(cli: CommandLine, arguments: list[str], said: str) -> None:
    Path("empty.csv").touch()
    Path("short.csv").write_text("author,text\na,no\n")
    before = contents(Path())
    outcome = cli("pretrain", *QUICK, *arguments)
    assert outcome.refused(said), outcome.err
    assert contents(Path()) == before
    assert not Path("base").exists()
