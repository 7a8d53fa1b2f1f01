"""Fixtures: the program in this process or in its own, a finished and an interrupted run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM, CommandLine, Outcome, Process
from tests.helpers.posts import write_csv

from huggingtweets.errors import HuggingTweetsError

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def cli(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The program, in an empty working directory."""
    assert here == Path.cwd()
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="session")
def plain_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An empty home, no developer variables, one thread so that tests can run in parallel."""
    home = tmp_path_factory.mktemp("home")
    code = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    quick = {"OMP_NUM_THREADS": "1", "HUGGINGTWEETS_BASE": "pocket"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), **quick, **code}


@pytest.fixture
def process(here: Path, plain_environment: dict[str, str]) -> Process:
    """Run the program in its own process; keywords are environment variables."""

    def run(*args: str | Path, **environment: str) -> Outcome:
        done = subprocess.run(
            [*PROGRAM, *map(str, args)],
            cwd=here,
            env=plain_environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=200,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, posts: list[str]) -> Path:
    """A table of 300 posts, enough to train on."""
    return write_csv(tmp_path_factory.mktemp("source") / "gardener.csv", "gardener", posts)


@pytest.fixture(scope="session")
def trained(source: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run; don't change it."""
    from huggingtweets import pipeline

    out = tmp_path_factory.mktemp("trained") / "runs"
    return pipeline.train([source], pipeline.TrainOptions(base=str(tiny_base), name="me", out=out))


@pytest.fixture(scope="session")
def stopped(source: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run interrupted while training; don't change it."""
    from huggingtweets import pipeline
    from huggingtweets.storage.run_folder import list_runs
    from huggingtweets.training import Interrupt

    out = tmp_path_factory.mktemp("stopped") / "runs"
    interrupt = Interrupt()
    interrupt.requested = True
    options = pipeline.TrainOptions(base=str(tiny_base), name="halfway", out=out)
    with pytest.raises(HuggingTweetsError, match="Stopped"):
        pipeline.train([source], options, interrupt=interrupt)
    return list_runs(out)[0]


@pytest.fixture
def finished(trained: RunFolder, here: Path) -> Path:
    """A copy of the finished run at ``runs/me``."""
    shutil.copytree(trained.path, here / "runs" / "me")
    return Path("runs/me")


@pytest.fixture
def halfway(stopped: RunFolder, here: Path) -> Path:
    """A copy of the interrupted run at ``runs/halfway``."""
    shutil.copytree(stopped.path, here / "runs" / "halfway")
    return Path("runs/halfway")
