"""The export to W&B: an agent's command line is valid for ``train``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.posts import made_up_posts, write_csv
from tests.helpers.wandb_files import OfflineRun, read_run

from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.sweep.folder import Settings
from huggingtweets.sweep.search_space import DEFAULT, space_of
from huggingtweets.sweep.wandb import METRIC, as_wandb, export, yaml_of

pytestmark = pytest.mark.timeout(900)  # seconds, more on a busy machine


def settings_of(base: Path, sources: list[Path], **changed: Any) -> Settings:  # noqa: ANN401
    values: dict[str, Any] = {
        "name": "first tries",
        "sources": [str(source) for source in sources],
        "authors": [source.stem for source in sources],
        "fingerprint": "",
        "space": DEFAULT.as_json(),
        "objective": "robust",
        "base": str(base),
        "holdout": 0.2,
        "posts": None,
        "seed": 3,
        "device": "cpu",
        "precision": "fp32",
    }
    return Settings(**(values | changed))


def test_yaml_parses_to_the_configuration(tmp_path: Path) -> None:
    space = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "epochs": [2, 3], "clip": 2}
    settings = settings_of(
        tmp_path, [tmp_path / "an, odd: #name.csv"], space=space, posts=40, objective="worst"
    )
    text = yaml_of(settings)
    read = importlib.import_module("yaml").safe_load(text)
    assert read == as_wandb(settings)
    assert read["parameters"]["learning-rate"] == {
        "distribution": "log_uniform_values",
        "min": 1e-5,
        "max": 1e-3,
    }
    assert read["parameters"]["epochs"] == {"values": [2, 3]}
    assert read["parameters"]["clip"] == {"value": 2}
    assert "newest 40 posts" in text
    assert "objective was worst" in text


def test_a_sweep_over_a_chat_names_its_person(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, [tmp_path / "chat.txt"], speaker='Ada "A" L', join=True)
    command = importlib.import_module("yaml").safe_load(yaml_of(settings))["command"]
    assert command[-4:] == ["--from", 'Ada "A" L', "--join", "${args}"]
    assert "--from" not in as_wandb(settings_of(tmp_path, []))["command"]


def test_every_field_is_an_option_of_train(tmp_path: Path) -> None:
    import typer.main

    from huggingtweets.cli import app

    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    known = {option for parameter in train.params for option in parameter.opts}
    space = space_of(DEFAULT.as_json() | {"clip": [0.5, 1.0], "rows": ["posts", "blocks"]})
    made = as_wandb(settings_of(tmp_path, [], space=space.as_json()))
    assert {f"--{name}" for name in made["parameters"]} <= known


@pytest.fixture
def exported(tiny_base: Path, tmp_path: Path) -> dict[str, Any]:
    """The parsed sweep.yaml of a sweep over Ann and Bob."""
    sources = [
        write_csv(tmp_path / f"{name}.csv", name, made_up_posts(60, seed))
        for seed, name in enumerate(("ann", "bob"))
    ]
    folder = tmp_path / "sweep"
    files.write_json(folder / "sweep.json", settings_of(tiny_base, sources).__dict__)
    file = export(folder)
    assert file == folder / "sweep.yaml"
    read: dict[str, Any] = importlib.import_module("yaml").safe_load(file.read_text("utf-8"))
    return read


def chosen(parameter: dict[str, Any]) -> Any:  # noqa: ANN401 - any plain value
    """A value that W&B could choose; log-distributed integers may be floats."""
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return parameter["values"][-1]
    low = parameter["min"]
    return float(low) if parameter["distribution"].startswith("q_") else low


def command_of_an_agent(config: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Build the command as wandb's agent does (wandb_agent.py, ``_command_run``)."""
    pytest.importorskip("wandb")
    utils = importlib.import_module("wandb.sdk.launch.sweeps.utils")
    found = utils.create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    found |= {"program": [config["program"]], "env": ["/usr/bin/env"]}
    command: list[str] = []
    for part in utils.create_sweep_command(list(config["command"])):
        name = part[2:-1] if part.startswith("${") else ""
        command += found[name] if name else [part]
    return command


def train_job(run: RunFolder) -> OfflineRun:
    """The tracked run, once its tracker has finished writing."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for file in (run.path / "track" / "wandb").glob("offline-run-*/*.wandb"):
            written = read_run(file)
            if written.job_type == "train" and written.exit_code is not None:
                return written
        time.sleep(0.3)
    pytest.fail((run.path / "track" / "track.log").read_text("utf-8"))


def test_agent_command_runs(exported: dict[str, Any], tmp_path: Path) -> None:
    values = {name: chosen(of) for name, of in exported["parameters"].items()}
    command = command_of_an_agent(exported, values)
    assert command[:3] == ["/usr/bin/env", "huggingtweets", "train"]
    assert f"--batch-tokens={values['batch-tokens']}" in command
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {
        "PATH": programs,
        "HOME": str(tmp_path),
        "WANDB_MODE": "offline",
        "WANDB_SWEEP_ID": "abcd1234",
        "WANDB_RUN_ID": "run00001",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    run = RunFolder(tmp_path / "runs" / "bob")
    record = run.record()
    recipe = record.config["recipe"]
    assert recipe["batch_tokens"] == exported["parameters"]["batch-tokens"]["min"]
    for name in ("learning-rate", "epochs", "warmup", "weight-decay", "beta2"):
        assert recipe[name.replace("-", "_")] == values[name]
    assert (record.config["seed"], record.config["holdout"]) == (3, 0.2)

    job = train_job(run)
    assert (job.id, job.sweep) == ("run00001", "abcd1234")
    assert exported["metric"] == {"name": METRIC, "goal": "minimize"}
    assert [row[METRIC] for row in job.history if METRIC in row] == [record.result["best"]]
    others = [
        read_run(file)
        for file in (run.path / "track" / "wandb").glob("offline-run-*/*.wandb")
        if job.folder not in file.parents
    ]
    assert others  # download and preprocess are separate runs outside the sweep
    assert all(of.id != job.id and not of.sweep for of in others)
