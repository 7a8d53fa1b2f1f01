"""``--json``: one document on stdout in a stable format; everything else goes to stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.program import as_the_demo
from tests.helpers.posts import made_up_posts, write_csv

if TYPE_CHECKING:
    from tests.cli.program import CommandLine, Outcome, Process


def _document(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    assert outcome.out.isascii()
    value = json.loads(outcome.out)  # a second document or a line of text would fail
    assert isinstance(value, dict)
    return value


def _add_up(counts: dict[str, int]) -> bool:
    return counts["downloaded"] == sum(n for name, n in counts.items() if name != "downloaded")


def test_curate(cli: CommandLine) -> None:
    posts = ["RT @me: somebody else's words", "two words", "😀🎉", *made_up_posts(40)]
    write_csv(Path("me.csv"), "me", [*posts, posts[-1]])
    write_csv(Path("you.csv"), "you", made_up_posts(9, seed=1))
    value = _document(cli("curate", "me.csv", "you.csv", "--json"))
    assert value["counts"] == {
        "downloaded": 53,
        "retweets": 1,
        "short": 2,
        "duplicates": 1,
        "kept": 49,
    }
    assert _add_up(value["counts"])
    assert set(value["counts_by_author"]) == {"me", "you"}
    assert all(_add_up(counts) for counts in value["counts_by_author"].values())
    assert value["examples"]
    assert "dropped" not in value


def test_curate_show_dropped(cli: CommandLine) -> None:
    write_csv(Path("me.csv"), "me", ["short", *made_up_posts(3)])
    value = _document(cli("curate", "me.csv", "--json", "--show-dropped"))
    assert [post["text"] for post in value["dropped"]] == ["short"]
    assert value["dropped"][0].keys() >= {"author", "id", "text", "reason"}


def test_train(cli: CommandLine, tiny_base: Path) -> None:
    source = write_csv(Path("gardener.csv"), "gardener", made_up_posts(150))
    outcome = cli("train", source, "--base", tiny_base, "--epochs", "1", "--name", "me", "--json")
    value = _document(outcome)
    assert "150 downloaded" in outcome.err
    assert "warning: Only " in outcome.err
    assert "training: step " in outcome.err
    assert value["run"] == "runs/me"
    assert value["bot"] == "runs/me/bot"
    assert value["state"] == "done"
    assert value["authors"] == ["gardener"]
    assert _add_up(value["counts"])
    assert value["likeness"] == json.loads(Path("runs/me/report/likeness.json").read_text())


def test_generate(cli: CommandLine, finished: Path) -> None:
    outcome = cli("generate", finished, "-n", "2", "-p", "My dream", "-p", "مرحبا", "--json")
    value = _document(outcome)
    assert value.keys() == {"posts", "rejected", "loops", "masked", "misplaced"}
    assert [post["prompt"] for post in value["posts"]] == ["My dream"] * 2 + ["مرحبا"] * 2
    assert all(post["text"].startswith(post["prompt"]) for post in value["posts"])
    assert value["rejected"] >= 0
    assert isinstance(value["rejected"], int)


def test_generate_few_shot(cli: CommandLine, tiny_base: Path, source: Path) -> None:
    outcome = cli("generate", tiny_base, "-n", "2", "--few-shot", source, "--json")
    value = _document(outcome)
    assert value.keys() == {"posts", "rejected", "loops", "masked", "misplaced"}
    assert [post["copied"] for post in value["posts"]] == [False, False]
    assert "context: 1 of gardener's posts" in outcome.err


def test_generate_remarks_go_to_stderr(cli: CommandLine, finished: Path) -> None:
    (finished / "bot").rename("alone")
    outcome = cli("generate", "alone", "-n", "1", "--json")
    assert len(_document(outcome)["posts"]) == 1
    assert "copies can't be detected" in outcome.err


def test_evaluate(cli: CommandLine, finished: Path) -> None:
    before = json.loads((finished / "report" / "likeness.json").read_text())
    assert _document(cli("evaluate", finished, "--json")) == before


def test_runs(cli: CommandLine, finished: Path, halfway: Path) -> None:
    (Path("runs") / "broken").mkdir()
    Path("runs/broken/run.json").write_text("[]")
    by_name = {run["run"]: run for run in _document(cli("runs", "--json"))["runs"]}
    assert by_name.keys() == {str(finished), str(halfway), "runs/broken"}
    assert by_name[str(finished)]["state"] == "done"
    assert by_name[str(finished)]["held_out_bits_per_byte"] > 0
    assert by_name[str(halfway)]["state"] == "interrupted (training)"
    assert by_name["runs/broken"]["state"] == "damaged"
    assert len({tuple(run) for run in by_name.values()}) == 1  # the same fields in each


def test_no_runs(cli: CommandLine) -> None:
    assert _document(cli("runs", "--json")) == {"runs": []}


def test_show(cli: CommandLine, finished: Path) -> None:
    value = _document(cli("show", finished, "--json"))
    assert value["name"] == "me"
    assert value["state"] == "done"
    assert value["config"]["recipe"]["name"] == "fast"


def test_demo(cli: CommandLine, finished: Path) -> None:
    as_the_demo(finished)
    value = _document(cli("demo", "--json"))
    assert value["state"] == "done"
    assert len(value["posts"]) == 10


@pytest.mark.parametrize(
    "args",
    [
        ["curate", "missing.zip"],
        ["train", "missing.zip"],
        ["generate", "./missing"],
        ["evaluate", "./missing"],
        ["show", "missing"],
    ],
)
def test_an_error_leaves_stdout_empty(cli: CommandLine, args: list[str]) -> None:
    outcome = cli(*args, "--json")
    assert outcome.refused("missing")
    assert outcome.out == ""


def test_ascii_terminal(process: Process, finished: Path) -> None:
    outcome = process(
        *("generate", finished, "-n", "1", "-p", "مرحبا 👋", "--json"), PYTHONIOENCODING="ascii"
    )
    assert _document(outcome)["posts"][0]["prompt"] == "مرحبا 👋"
