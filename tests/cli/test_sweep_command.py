"""``huggingtweets sweep``, ``sweep report`` and ``sweep export`` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts
from tests.sweep.landscape import LEVELS, Landscape, swept

from huggingtweets.sweep import workers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import CommandLine


def test_report_as_text_and_json(cli: CommandLine, here: Path) -> None:
    swept(here / "sweep", 12)
    told = cli("sweep", "report")
    assert told.code == 0, told.err
    assert "complete" in told.out
    assert "random forest" in told.out
    assert "12 trials are few for 3 hyper-parameters" in " ".join(told.out.split())
    assert "The report is sweep/report/sweep.html" in told.out
    assert (here / "sweep" / "report" / "sweep.html").is_file()
    found = cli("sweep", "report", "sweep", "--json")
    assert found.code == 0, found.err
    report = json.loads(found.out)
    assert set(report["importance"]) == {"random_forest", "fanova"}
    assert len(report["trials"]) == 12
    assert report == json.loads((here / "sweep" / "report" / "sweep.json").read_text("utf-8"))


def test_export(cli: CommandLine, here: Path) -> None:
    swept(here / "sweep", 0)
    told = cli("sweep", "export", "wandb")
    assert told.code == 0, told.err
    assert "wandb sweep sweep/sweep.yaml" in told.out
    assert "result/best" in (here / "sweep" / "sweep.yaml").read_text("utf-8")
    assert cli("sweep", "export", "wandb", "sweep", "--out", "mine.yaml").code == 0
    assert (here / "mine.yaml").read_text("utf-8") == (here / "sweep" / "sweep.yaml").read_text()


def test_resume_shows_best_and_default(
    cli: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "open_workers", lambda *_: Landscape())
    swept(here / "sweep", 0)
    told = cli("sweep", "--resume", "sweep", "--trials", "6")
    assert told.code == 0, told.err
    assert "trial 0: " in told.out
    assert "learning_rate" in told.out
    assert "The sweep is in sweep" in told.out
    found = cli("sweep", "--resume", "sweep", "--trials", "6", "--json")
    result = json.loads(found.out)
    assert sum(result["trials"].values()) == 6
    assert result["default"]["bits_per_byte"] == pytest.approx(LEVELS, rel=0.01)
    assert not result["stopped"]
    assert 0 <= result["gain"] < 0.02


def test_a_sweep_reads_one_person_of_a_chat(
    cli: CommandLine, here: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "open_workers", lambda *_: Landscape())
    said = [(("ann", "bob")[at % 2], text) for at, text in enumerate(made_up_posts(160))]
    lines = [
        f"1/2/24, {at // 60:02d}:{at % 60:02d} - {who}: {text}\n"
        for at, (who, text) in enumerate(said)
    ]
    (here / "WhatsApp Chat with bob.txt").write_text("".join(lines), "utf-8")
    asked = ("sweep", "WhatsApp Chat with bob.txt", "--base", tiny_base, "--trials", "1")
    assert cli(*asked).refused("ann (80)", "--from NAME")
    assert not (here / "sweep").exists()
    told = cli(*asked, "--from", "ann", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["authors"] == ["ann"]
    assert cli(*asked, "--from", "bob").refused("started with another --from")
    assert cli(*asked, "--from", "ann").code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sweep", "--trials", "3"], ["No AUTHORS were given"]),
        (["sweep", "a.csv", "--resume", "sweep"], ["either AUTHORS or --resume"]),
        (["sweep", "--resume", "nowhere"], ["nowhere is not a sweep folder"]),
        (["sweep", "a.csv", "--space", "none.toml"], ["none.toml can't be read"]),
        (["sweep", "a.csv"], ["a.csv"]),
        (["sweep", "report"], ["There is no sweep in sweep. Name its folder"]),
        (["sweep", "report", "nowhere"], ["nowhere is not a sweep folder"]),
        (["sweep", "export", "mlflow"], ["exported to wandb, not to 'mlflow'"]),
        (["sweep", "export", "wandb", "nowhere"], ["nowhere is not a sweep folder"]),
        (["train", "a.csv", "--rows", "lines"], ["--rows must be posts or blocks"]),
        (["train", "a.csv", "--warmup", "2", "--beta2", "1"], ["warmup must be", "beta2 must be"]),
    ],
)
def test_bad_input_is_refused(
    cli: CommandLine, here: Path, args: list[str], words: list[str]
) -> None:
    assert cli(*args).refused(*words)
    assert not list(here.iterdir())


@pytest.mark.parametrize("line", [b"null", b"[1]", b"{}", b'{"op_code": 99}', b"\xff\x00"])
def test_damaged_journal_is_refused(cli: CommandLine, here: Path, line: bytes) -> None:
    swept(here / "sweep", 2)
    journal = here / "sweep" / "journal.log"
    journal.write_bytes(line + b"\n" + journal.read_bytes())
    assert cli("sweep", "report").refused("journal.log is damaged")


def test_damaged_trial_is_refused(cli: CommandLine, here: Path) -> None:
    swept(here / "sweep", 3)
    journal = here / "sweep" / "journal.log"
    journal.write_bytes(journal.read_bytes().replace(b'"history"', b'"hystory"'))
    assert cli("sweep", "report").refused("are damaged")


def test_damaged_folder_is_refused(cli: CommandLine, here: Path) -> None:
    folder = swept(here / "sweep", 2)
    assert cli("sweep", "report").code == 0
    folder.settings_file.write_text('{"format": 99}')
    assert cli("sweep", "report").refused("made by a newer huggingtweets")
    folder.settings_file.write_text("{")
    assert cli("sweep", "report").refused("sweep.json is damaged")
