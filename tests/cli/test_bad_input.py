"""Invalid options, bots and runs: one sentence, exit code 2, and no file changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--holdout", "2"], ("--holdout", "not 2")),
        (["--holdout", "nan"], ("--holdout", "nan")),
        (["--split", "oldest"], ("--split", "newest or random")),
        (["--name", "a/b"], ("--name", "'a/b'")),
        (["--name", ".."], ("--name", "'..'")),
        (["--name", ""], ("--name", "''")),
        (["--recipe", "nope"], ("'nope'", "fast or classic")),
        (["--epochs", "0"], ("epochs", "not 0")),
        (["--learning-rate", "nan"], ("learning-rate", "nan")),
        (["--batch-tokens", "-3"], ("batch-tokens", "-3")),
        (["--layers", "top:99"], ("top:99", "has 7 layers", "top:1 to top:7")),
        (["--layers", "top:0"], ("top:K", "'top:0'")),
        (["--layers", "foo"], ("top:K", "'foo'")),
        (["--seed", "-1"], ("--seed", "-1")),
        (["--seed", str(2**64)], ("--seed", str(2**64))),
        (["--checkpoint-seconds", "0"], ("--checkpoint-seconds", "not 0")),
        (["--near-duplicates", "7"], ("near_duplicates", "7")),
        (["--device", "tpu"], ("'tpu'", "cpu, cuda or mps")),
        (["--precision", "fp8"], ("'fp8'", "bf16 or fp32")),
        (["--track", "mlflow"], ("choose trackio or wandb", "--track none")),
        (["--raw-artifacts", "--no-raw-artifacts"], ("either --raw-artifacts or",)),
        (["--resume", "runs/me", "--track", "trackio"], ("SOURCE or --resume",)),
        (["--base", "missing/folder/here"], ("'missing/folder/here'", "the base pocket")),
        (["--base", "."], ("no config.json", "the base pocket")),
    ],
)
def test_invalid_train_options_are_refused(
    cli: CommandLine, source: Path, options: list[str], words: tuple[str, ...]
) -> None:
    assert cli("train", source, *options).refused(*words)
    assert not Path("runs").exists()


def test_missing_device_is_refused(cli: CommandLine, source: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert cli("train", source, "--device", "cuda").refused("no working cuda", "--device cpu")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--temperature", "0"], ("temperature", "not 0")),
        (["--top-p", "2"], ("top-p", "not 2")),
        (["--temperature", "-1", "--top-p", "nan"], ("temperature", "top-p")),
        (["--max-chars", "0"], ("max-chars", "not 0")),
        (["-n", "0"], ("-n", "not 0")),
        (["-n", "10001"], ("-n", "10,000")),
        (["--seed", "-1"], ("seed", "-1")),
        (["--seed", str(2**64)], ("seed",)),
        (["--device", "tpu"], ("'tpu'",)),
        (["--prompt", "word " * 100], ("prompt", "--max-chars")),
        (["--blend", "runs/you"], ("--blend must be a bot and its share",)),
        (["--blend", ":0.4"], ("--blend must be a bot and its share", "':0.4'")),
        (["--blend", "pocket:2"], ("share must be a number from 0 to 1",)),
        (["--blend", "pocket:0.5"], ("The bots runs/me and pocket have different tokenizers",)),
        (["--hashtag", "two words"], ("A hashtag is one word",)),
        (["--hashtag", "kites"], ("No post that this bot learnt has the tag", "#harbourlife")),
    ],
)
def test_invalid_generate_options_are_refused(
    cli: CommandLine, finished: Path, options: list[str], words: tuple[str, ...]
) -> None:
    assert cli("generate", finished, *options).refused(*words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--weights", "a,b"], ("numbers separated by commas", "'a,b'")),
        (["--weights", "0.6,0.6"], ("must sum to 1", "sum to 1.2")),
        (["--weights", "0.6"], ("one number for each bot", "not 0.6")),
        (["--method", "median"], ("linear, slerp", "'median'")),
        ([], ("two bots or more",)),
    ],
)
def test_invalid_merge_options_are_refused(
    cli: CommandLine, finished: Path, args: list[str], words: tuple[str, ...]
) -> None:
    assert cli("merge", finished, *args).refused(*words)


@pytest.mark.parametrize(
    "args",
    [
        ["nope"],
        ["merge"],
        ["train", "--nope"],
        ["train", "a.txt", "--epochs", "many"],
        ["curate"],
        ["generate"],
        ["generate", "a", "b"],
        ["show"],
    ],
)
def test_usage_errors(cli: CommandLine, args: list[str]) -> None:
    outcome = cli(*args)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Try 'huggingtweets" in outcome.err
    assert "Traceback" not in outcome.err


def test_train_needs_a_source(cli: CommandLine) -> None:
    assert cli("train").refused("No SOURCE was given")


# -- bots and runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize("bot", ["a.txt", "folder", "./missing", "~/missing", "not a name"])
def test_unknown_bot_is_refused(cli: CommandLine, command: str, bot: str) -> None:
    Path("a.txt").write_bytes(b"x")
    Path("folder").mkdir()
    assert cli(command, bot).refused(bot)


def test_bot_without_run_cannot_be_evaluated(cli: CommandLine, finished: Path) -> None:
    (finished / "bot").rename("alone")
    assert cli("evaluate", "alone").refused("alone is not a run folder")


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_run_without_bot_is_refused(cli: CommandLine, halfway: Path, command: str) -> None:
    assert cli(command, halfway).refused("no bot yet", "--resume runs/halfway")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"short"),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"model_type": "zork"}'),
        ("tokenizer.json", b"{}"),
    ],
)
def test_damaged_bot_is_refused(
    cli: CommandLine, finished: Path, file: str, content: bytes
) -> None:
    (finished / "bot" / file).write_bytes(content)
    assert cli("generate", finished).refused("runs/me/bot")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"name": 1}'])
@pytest.mark.parametrize("args", [["show"], ["train", "--resume"], ["evaluate"]])
def test_damaged_run_json_is_refused(
    cli: CommandLine, finished: Path, args: list[str], content: bytes
) -> None:
    (finished / "run.json").write_bytes(content)
    assert cli(*args, finished).refused("runs/me")


@pytest.mark.parametrize("key", ["base", "recipe", "seed", "sources"])
def test_run_json_without_a_setting_is_refused_and_other_runs_are_listed(
    cli: CommandLine, finished: Path, key: str
) -> None:
    broken = finished.with_name("broken")
    shutil.copytree(finished, broken)
    record = json.loads((broken / "run.json").read_text("utf-8"))
    del record["config"][key]
    (broken / "run.json").write_text(json.dumps(record))
    assert cli("show", broken).refused("runs/broken/run.json is damaged or incomplete")
    listed = cli("runs", "--json")
    assert listed.code == 0
    assert f'"{finished}"' in listed.out


def test_damaged_posts_are_refused(cli: CommandLine, finished: Path) -> None:
    (finished / "data" / "kept.parquet").write_bytes(b"PAR1")
    assert cli("generate", finished).refused("kept.parquet")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]"])
def test_damaged_report_is_refused(cli: CommandLine, finished: Path, content: bytes | None) -> None:
    report = finished / "report" / "likeness.json"
    report.unlink()
    if content is not None:
        report.write_bytes(content)
        assert cli("show", finished).refused("likeness.json", "evaluate runs/me")
    else:
        assert cli("show", finished).code == 0


def test_finished_run_cannot_be_resumed(cli: CommandLine, finished: Path) -> None:
    before = contents(finished)
    assert cli("train", "--resume", finished).refused("runs/me is finished")
    assert contents(finished) == before


@pytest.mark.parametrize("run", ["missing", "folder", "a.txt"])
def test_resume_refuses_other_folders(cli: CommandLine, here: Path, run: str) -> None:
    Path("a.txt").write_bytes(b"x")
    Path("folder").mkdir()
    assert cli("train", "--resume", run).refused(run)
    assert contents(here) == {"a.txt": b"x"}


def test_resume_refuses_a_newer_version(cli: CommandLine, finished: Path) -> None:
    record = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps(record | {"format": 99}))
    assert cli("train", "--resume", finished).refused("newer huggingtweets")


def test_resume_refuses_a_source(cli: CommandLine, halfway: Path, source: Path) -> None:
    before = contents(halfway)
    assert cli("train", source, "--resume", halfway).refused("either SOURCE or --resume")
    assert contents(halfway) == before


def test_existing_run_name_is_refused(cli: CommandLine, finished: Path, source: Path) -> None:
    before = contents(finished)
    assert cli("train", source, "--name", "me").refused("runs/me already exists", "--name")
    assert contents(finished) == before
    assert [path.name for path in Path("runs").iterdir()] == ["me"]


@pytest.mark.parametrize(
    ("command", "option", "text", "problem"),
    [
        ("fleet train me.csv", "--epochs", "1.5", "'1.5' is not a whole number"),
        ("fleet train me.csv", "--seed", "one", "'one' is not a whole number"),
        ("train me.csv", "--epochs", "inf", "'inf' is not a whole number"),
        ("generate me", "-n", "nan", "'nan' is not a whole number"),
        ("app", "--port", "http", "'http' is not a whole number"),
        ("generate me", "--temperature", "hot", "'hot' is not a number"),
        ("sweep run me.csv", "--trials", "2,5", "'2,5' is not a whole number"),
    ],
)
def test_what_is_no_number_is_refused(
    cli: CommandLine, command: str, option: str, text: str, problem: str
) -> None:
    outcome = cli(*command.split(), option, text)
    assert outcome.code == 2
    assert f"'{option}': {problem}" in outcome.err


@pytest.mark.parametrize("command", ["app", "dashboard", "export me --to web --serve"])
def test_a_port_that_does_not_exist_is_refused(cli: CommandLine, command: str) -> None:
    assert cli(*command.split(), "--port", "65536").refused("to 65535, not 65536")
