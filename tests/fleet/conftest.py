"""A finished fleet of three authors, and what its tests share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.fleet.train import FleetOptions, train
from huggingtweets.storage.fleets import FleetFolder

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"ann": 60, "bob": 90, "cat": 75}


@pytest.fixture(scope="session")
def authors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A table of posts for each author."""
    folder = tmp_path_factory.mktemp("authors")
    return [
        write_csv(folder / f"{name}.csv", name, made_up_posts(size, seed))
        for seed, (name, size) in enumerate(SIZES.items())
    ]


@pytest.fixture(scope="session")
def finished(
    authors: list[Path], tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> FleetFolder:
    """An undisturbed fleet with one worker; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("alone") / "fleet"
    train(authors, options(tiny_base, out))
    return FleetFolder(out)


def options(base: Path, out: Path, workers: str = "local:1") -> FleetOptions:
    return FleetOptions({"base": str(base)}, workers=workers, out=out)


def weights(fleet: FleetFolder) -> dict[str, str | None]:
    """Return the SHA-256 of each author's weights."""
    return {name: fleet.stored(name).weights for name in fleet.names()}


def record(fleet: FleetFolder, name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((fleet.authors / name / "run.json").read_text("utf-8"))
