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
"""Ids of two visitors of a shared server."""


def until(condition: Callable[[], object], what: str, seconds: float = 500) -> None:
    """Wait for another process; long, as the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.05)


def runs_folder_of(out: Path, visitor: str) -> Path:
    return out / ".app" / "visitors" / visitor / "runs"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> RunFolder:
    """A run trained on 300 posts; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("finished")
    source = write_csv(folder / "ann.csv", "ann", made_up_posts(300))
    options = pipeline.TrainOptions(base=str(tiny_base), out=folder / "runs")
    return pipeline.train(source, options)


@pytest.fixture
def start_service(tmp_path: Path, tiny_base: Path) -> Iterator[Callable[..., Service]]:
    """Start services, on ``tmp_path / "runs"`` by default; they are stopped at the end."""
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


def copy_run(finished: RunFolder, folder: Path, name: str = "ann") -> RunFolder:
    """Copy the finished run under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(finished.path, folder / name)
    run = RunFolder(folder / name)
    record = run.record()
    record.name = name
    run.save(record)
    return run


@pytest.fixture
def shared(tmp_path: Path, start_service: Callable[..., Service], finished: RunFolder) -> Service:
    """A shared server on which ann has a bot and bob has none."""
    copy_run(finished, runs_folder_of(tmp_path / "runs", ANN))
    return start_service(shared=True)
