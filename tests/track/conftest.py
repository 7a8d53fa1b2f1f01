from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.wandb_files import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder

KEY = "4f" * 20
JOBS = ("download", "preprocess", "train")

_READ_TRACKIO = """
import json
from trackio.api import Api
from trackio.sqlite_storage import SQLiteStorage as storage
found = []
for run in Api().runs("huggingtweets"):
    of = {"id": run.id, "name": run.name, "config": run.config}
    of["history"] = storage.get_logs("huggingtweets", run.name, run_id=run.id)
    of["artifacts"] = storage.get_run_artifacts("huggingtweets", run.name, run_id=run.id)
    found.append(of)
print("\\n" + json.dumps({"runs": found, "artifacts": storage.list_artifacts("huggingtweets")}))
"""


@dataclass
class StoredJob:
    """A job as stored by a tracker, in a form common to all trackers."""

    kind: str
    name: str
    group: str
    config: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, list[list[list[Any]]]] = field(default_factory=dict)
    created: set[tuple[str, str, str]] = field(default_factory=set)
    used: set[tuple[str, str, str]] = field(default_factory=set)

    def series(self, name: str) -> list[tuple[int, Any]]:
        """The steps and values of a logged number."""
        return [(row["_step"], row[name]) for row in self.history if name in row]


class Trackers:
    """Tracks runs in separate processes and reads what the trackers stored."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {name: value for name, value in os.environ.items() if name[:5] != "WANDB"} | {
            "HOME": str(home),
            "TRACKIO_DIR": str(home / "trackio"),
            "WANDB_MODE": "offline",
            "WANDB_API_KEY": KEY,
        }

    def track(self, run: RunFolder, to: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Track a finished run."""
        command = [sys.executable, "-m", "huggingtweets.track", str(run.path), "--to", to, *more]
        return subprocess.run(
            command,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )

    def read(self, run: RunFolder, to: str) -> dict[str, StoredJob]:
        """The stored jobs of a run, the newest of each kind."""
        return self._read_wandb(run) if to == "wandb" else self._read_trackio(run)

    def trackio(self) -> Any:  # noqa: ANN401 - JSON
        """Everything trackio has stored."""
        done = subprocess.run(
            [sys.executable, "-c", _READ_TRACKIO],
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    def _read_wandb(self, run: RunFolder) -> dict[str, StoredJob]:
        stored = {}
        for file in sorted((run.path / "track" / "wandb").glob("offline-run-*/*.wandb")):
            of = read_run(file)
            tables = {
                name: of.table(name)
                for name in ("predictions", "likeness")
                if any(name in row for row in of.history)
            }
            created = {(a.name, a.type, a.digest) for a in of.made if a.type != "run_table"}
            used = {(a.name, a.type, a.digest) for a in of.used}
            stored[of.job_type] = StoredJob(
                of.job_type, of.name, of.group, of.config, of.history, tables, created, used
            )
        return stored

    def _read_trackio(self, run: RunFolder) -> dict[str, StoredJob]:
        run_id = json.loads((run.path / "track" / "track.json").read_text())["id"]
        stored = {}
        for of in self.trackio()["runs"]:
            config, kind = of["config"], of["config"]["job_type"]
            if config["id"] != f"{run_id}-{kind}":
                continue
            assert kind not in stored, "one run a job"
            history = [{"_step": row["step"], **row} for row in of["history"]]
            tables = {
                name: [
                    [list(cells.values()) for cells in row[name]["_value"]]
                    for row in history
                    if name in row
                ]
                for name in ("predictions", "likeness")
                if any(name in row for row in history)
            }
            created, used = (
                {(a["name"], a["type"], str(a["version"])) for a in of["artifacts"][direction]}
                for direction in ("output", "input")
            )
            stored[kind] = StoredJob(
                kind, of["name"], config["_Group"], config, history, tables, created, used
            )
        return stored


@pytest.fixture(scope="session")
def trackers(tmp_path_factory: pytest.TempPathFactory) -> Trackers:
    """One home folder for all trackers."""
    return Trackers(tmp_path_factory.mktemp("home"))
