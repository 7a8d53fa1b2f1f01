"""``huggingtweets compare`` on the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from tests.cli.program import contents
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.cli.compare import show
from huggingtweets.cli.console import ConsoleOutput
from huggingtweets.comparison.compare import compare
from huggingtweets.pipeline import TrainOptions

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

    from huggingtweets.storage.run_folder import RunFolder

pytestmark = pytest.mark.timeout(900)  # trains bots: seconds, more on a busy machine


@pytest.fixture(scope="module")
def baker(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A bot of an author with a third of the gardener's text."""
    folder = tmp_path_factory.mktemp("baker")
    source = write_csv(folder / "baker.csv", "baker", made_up_posts(90, seed=3))
    options = TrainOptions(base=str(tiny_base), name="baker", out=folder)
    return pipeline.train([source], options)


def test_table(cli: CommandLine, finished: Path, baker: RunFolder) -> None:
    outcome = cli("compare", finished, baker.path)
    assert outcome.code == 0, outcome.err
    for text in (
        "bits per byte",
        "compressor",
        "@gardener",
        "@baker",
        "copied",
        "Hardest to predict",
    ):
        assert text in outcome.out
    assert "--same-size compares them" in outcome.out
    assert "3." in outcome.out.split("times the text")[0][-6:]
    assert "equal text  " not in outcome.out
    assert "warning" not in outcome.out


def test_json(cli: CommandLine, finished: Path, baker: RunFolder) -> None:
    outcome = cli("compare", finished, baker.path, "--json")
    value: dict[str, Any] = json.loads(outcome.out)
    assert {one["author"] for one in value["authors"]} == {"gardener", "baker"}
    bits = [one["bits_per_byte"]["bot"] for one in value["authors"]]
    assert bits == sorted(bits, reverse=True)
    assert value["notes"] == []


def test_equal_text_and_plot(cli: CommandLine, finished: Path, baker: RunFolder) -> None:
    before = contents(finished)
    asked: list[str | Path] = [
        "compare",
        finished,
        baker.path,
        "--same-size",
        "--out",
        "same",
        "--plot",
        "a.svg",
    ]
    outcome = cli(*asked)
    assert outcome.code == 0, outcome.err
    for text in (
        "1 of 2: @",
        "2 of 2: @",
        "equal text",
        "on equal text: @",
        "The plot is in a.svg",
    ):
        assert text in outcome.out
    assert "AI bot" in Path("a.svg").read_text("utf-8")
    assert len(list(Path("same").iterdir())) == 2
    assert contents(finished) == before
    again = cli(*asked)
    assert "training" not in again.out  # the bots exist already
    assert again.out.split("Held-out")[1] == outcome.out.split("Held-out")[1]


def test_warnings_are_shown(cli: CommandLine, finished: Path, baker: RunFolder) -> None:
    record = json.loads((finished / "run.json").read_text("utf-8"))
    record["config"]["holdout"] = 0.5
    (finished / "run.json").write_text(json.dumps(record), "utf-8")
    outcome = cli("compare", finished, baker.path)
    assert "warning: The held-out share differs" in outcome.out


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_output_fits_the_terminal(width: int, finished: Path, baker: RunFolder) -> None:
    screen = ConsoleOutput()
    shown = io.StringIO()
    screen.console = Console(
        file=shown, width=width, force_terminal=True, color_system=None, highlight=False
    )
    show(screen, compare([finished, baker.path]))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "@gardener" in shown.getvalue()
    assert ("Held-out bits per byte" in lines[0]) == (width >= 80)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["runs/me"], "needs at least two authors"),
        (["runs/me", "runs/me/bot"], "named twice"),
        (["runs/me", "nothing"], "nothing is not a run folder"),
        (["runs/me", "BAKER", "--out", "x"], "--out stores the bots of --same-size"),
        (["runs/me", "BAKER", "--plot", "a.pdf"], "'a.pdf'"),
        (["runs/me", "BAKER", "--plot", "runs/me/run.json/a.svg"], "Can't write"),
        (["runs/me", "BAKER", "--same-size", "--out", "runs/me/run.json"], "Can't write"),
    ],
)
@pytest.mark.usefixtures("finished")
def test_bad_input_is_refused(
    args: list[str], words: str, cli: CommandLine, baker: RunFolder
) -> None:
    before = contents(Path("runs"))
    assert cli("compare", *(str(baker.path) if a == "BAKER" else a for a in args)).refused(words)
    assert contents(Path("runs")) == before
    assert not Path("x").exists()


@pytest.mark.usefixtures("finished")
def test_unfinished_run_is_refused(cli: CommandLine, halfway: Path) -> None:
    assert cli("compare", "runs/me", halfway).refused("no likeness report yet", "--resume")
