from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.serving.schemas import Settings
from huggingtweets.serving.service import Service
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ANN, BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
"""Visitors of a shared server."""

Serve = "Callable[..., Service]"


def until(condition: Callable[[], object], what: str, seconds: float = 500) -> None:
    """Wait for something that other processes do; long, as the machine may be busy."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"{what} did not come about"
        time.sleep(0.05)


def visitors_runs(out: Path, visitor: str) -> Path:
    return out / ".app" / "visitors" / visitor / "runs"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> RunFolder:
    """A bot of 300 posts, made in this process; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("finished")
    source = write_csv(folder / "ann.csv", "ann", made_up_posts(300))
    options = pipeline.TrainOptions(base=str(tiny_base), out=folder / "runs")
    return pipeline.train(source, options)


@pytest.fixture
def serve(tmp_path: Path, tiny_base: Path) -> Iterator[Callable[..., Service]]:
    """Start servers on ``tmp_path / "runs"`` or elsewhere; they are stopped at the end."""
    running: list[Service] = []

    def start(**settings: object) -> Service:
        values: dict[str, object] = {"out": tmp_path / "runs", "base": str(tiny_base)}
        service = Service(Settings(**{**values, "workers": 0, **settings}))  # type: ignore[arg-type]
        service.start()
        running.append(service)
        return service

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """300 made-up posts by ann."""
    return write_csv(tmp_path / "ann.csv", "ann", made_up_posts(300))


def copied(finished: RunFolder, folder: Path, name: str = "ann") -> RunFolder:
    """A copy of the finished run, as if it had been made there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(finished.path, folder / name)
    made = RunFolder(folder / name)
    record = made.record()
    record.name = name
    made.save(record)
    return made


@pytest.fixture
def shared(tmp_path: Path, serve: Callable[..., Service], finished: RunFolder) -> Service:
    """A server on which ann has a bot and bob has none."""
    copied(finished, visitors_runs(tmp_path / "runs", ANN))
    return serve(shared=True)
