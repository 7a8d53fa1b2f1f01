"""A damaged run.json is one sentence, and the other runs are still listed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.finished_run import OLD_RUN, finished_run

from huggingtweets.cli import runs as command
from huggingtweets.errors import BotError
from huggingtweets.publish.facts import read_report
from huggingtweets.serving import bot_views
from huggingtweets.serving.workspaces import RunAccess
from huggingtweets.storage.run_folder import RunFolder, list_runs

if TYPE_CHECKING:
    from pathlib import Path

DEEP = "[" * 10_000 + "]" * 10_000
VALUES: dict[str, Any] = {
    "name": 3,
    "authors": "ann",
    "no authors": [],
    "authors of numbers": [1],
    "config": [],
    "base": 7,
    "sources": "ann.csv",
    "a source": [None],
    "seed": "7",
    "recipe": "fast",
    "epochs": {"name": "fast", "epochs": []},
    "counts": {"kept": "many"},
    "counts_by_author": {"ann": 3},
    "state": "sleeping",
    "created_at": 2026,
    "versions": {"python": 3.11},
    "machine": None,
    "seconds": {"train": "long"},
    "result": [1],
    "best": "1.5",
    "steps": 1.5,
    "history": [3],
    "forgotten": "none",
    "format": None,
}
"""A value of a wrong type for each field and setting."""
INSIDE = {"base": "config", "sources": "config", "seed": "config", "recipe": "config"} | {
    "best": "result",
    "steps": "result",
    "history": "result",
}
NAMES = {"no authors": "authors", "authors of numbers": "authors", "a source": "sources"} | {
    "epochs": "recipe"
}
TEXTS = {
    "nested": DEEP,
    "nested inside": '{"name": "ann", "config": {"a": ' + DEEP + "}}",
    "NaN": '{"name": NaN}',
    "a long number": '{"name": ' + "9" * 6_000 + "}",
    "null": "null",
    "bytes": "\x00\x00",
    "cut": '{"name": "ann", "auth',
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        finished_run(tmp_path / "runs", ["a post", "another"], name)
    return tmp_path / "runs"


def _damage(run: RunFolder, kind: str) -> None:
    if kind in TEXTS:
        run.record_file.write_text(TEXTS[kind])
        return
    values = json.loads(run.record_file.read_text())
    name = NAMES.get(kind, kind)
    inside = INSIDE.get(name)
    (values[inside] if inside else values)[name] = VALUES[kind]
    run.record_file.write_text(json.dumps(values))


@pytest.mark.parametrize("kind", [*VALUES, *TEXTS])
def test_damage_is_one_sentence_and_the_other_run_is_listed(kind: str, out: Path) -> None:
    damaged = RunFolder(out / "first")
    _damage(damaged, kind)
    with pytest.raises(BotError, match=r"run\.json is damaged: ") as refused:
        damaged.record()
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)
    states = {run.path.name: command._summary(run)["state"] for run in list_runs(out)}
    assert states == {"first": "damaged", "second": "done"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str, out: Path) -> None:
    run = RunFolder(out / "first")
    run.record_file.write_text(run.record_file.read_text().replace("1.5", number))
    with pytest.raises(BotError, match="infinite or not a number"):
        run.record()


def test_a_missing_setting_is_one_sentence(out: Path) -> None:
    record = RunFolder(out / "first").record()
    for settings in (record.config, record.config["recipe"], record.machine):
        with pytest.raises(BotError, match="incomplete: it has no 'colour'"):
            _ = settings["colour"]
        assert settings.get("colour") is None


def test_a_record_is_the_same_after_saving(out: Path) -> None:
    run = RunFolder(out / "first")
    before = run.record()
    run.save(before)
    assert run.record() == before


def test_an_earlier_version_still_loads(tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(OLD_RUN, tmp_path / "old"))
    assert run.record().authors
    assert run.held_out_bits_per_byte()


def test_events_that_are_none_are_left_out(out: Path) -> None:
    run = RunFolder(out / "first")
    number = len(run.events())
    with run.events_file.open("a") as file:
        file.write(f"{DEEP}\n3\nnull\n[1]\n{{}}\n")
    assert len(run.events()) == number + 1


def test_a_nested_report_is_one_sentence(out: Path) -> None:
    run = RunFolder(out / "first")
    run.report_json.write_text(DEEP)
    with pytest.raises(BotError, match="missing or damaged"):
        read_report(run)


def test_runs_gallery_and_report_have_the_same_number(out: Path) -> None:
    run = RunFolder(out / "first")
    reported = read_report(run).bits_per_byte.bot
    assert run.record().result["best"] != reported
    listed = command._summary(run)["held_out_bits_per_byte"]
    shown = bot_views.summary("first", RunAccess(run, mine=True)).bits_per_byte
    assert listed == shown == reported
    run.report_json.unlink()
    assert command._summary(run)["held_out_bits_per_byte"] == run.record().result["best"]
