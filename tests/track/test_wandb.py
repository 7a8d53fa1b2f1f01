"""W&B: offline runs, messages, a broken server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from tests.helpers.finished_run import finished_run
from tests.helpers.posts import made_up_posts
from tests.helpers.wandb_files import read_run
from tests.track.conftest import JOBS, KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.track.conftest import Trackers

    from huggingtweets.storage.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return finished_run(tmp_path / "runs", made_up_posts(10))


class _Broken(BaseHTTPRequestHandler):
    """A W&B server that answers everything with an error."""

    keys: list[str]

    def do_GET(self) -> None:
        self.keys.append(str(self.headers.get("Authorization")))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(400)
        self.end_headers()

    do_POST = do_PUT = do_GET  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broken() -> Iterator[ThreadingHTTPServer]:
    _Broken.keys = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def offline_folders(run: RunFolder) -> list[Path]:
    return sorted((run.path / "track" / "wandb").glob("offline-run-*"))


def test_without_login_runs_are_logged_offline(run: RunFolder, trackers: Trackers) -> None:
    env = {**trackers.env}
    del trackers.env["WANDB_MODE"], trackers.env["WANDB_API_KEY"]
    try:
        done = trackers.track(run, "wandb")
    finally:
        trackers.env.update(env)
    assert done.returncode == 0, done.stderr
    folders = offline_folders(run)
    assert len(folders) == len(JOBS)
    line = done.stdout.splitlines()[-1]
    assert line.startswith(
        "Not logged in to W&B, so the run was logged offline. Upload it with: wandb sync /"
    )
    assert all(str(folder) in line for folder in folders)
    runs = [read_run(file) for folder in folders for file in folder.glob("*.wandb")]
    assert {of.job_type for of in runs} == set(JOBS)
    assert {of.project for of in runs} == {"huggingtweets"}
    assert {of.exit_code for of in runs} == {0}
    # no code, command line, packages or system metrics
    assert not [file for folder in folders for file in (folder / "files").glob("*.*")]
    # no posts unless requested, as offline runs are uploaded later
    assert all(
        len(entry.path) and "parquet" not in entry.path
        for of in runs
        for a in of.made
        for entry in a.manifest.contents
    )


def test_tracking_again_keeps_the_run_id(run: RunFolder, trackers: Trackers) -> None:
    record = run.record()
    record.state = "training"
    run.save(record)
    assert trackers.track(run, "wandb").returncode == 0
    first = [read_run(file) for folder in offline_folders(run) for file in folder.glob("*.wandb")]
    assert {of.job_type: of.exit_code for of in first}["train"] == 1
    record.state = "done"
    run.save(record)
    assert trackers.track(run, "wandb").returncode == 0
    runs = [read_run(file) for folder in offline_folders(run) for file in folder.glob("*.wandb")]
    assert len(runs) == 2 * len(JOBS)
    assert {of.id for of in runs} == {of.id for of in first}


def test_broken_server_falls_back_to_offline(
    run: RunFolder, trackers: Trackers, broken: ThreadingHTTPServer
) -> None:
    env = {**trackers.env}
    trackers.env["WANDB_BASE_URL"] = f"http://127.0.0.1:{broken.server_address[1]}"
    del trackers.env["WANDB_MODE"]
    try:
        done = trackers.track(run, "wandb")
    finally:
        trackers.env.clear()
        trackers.env.update(env)
    assert done.returncode == 0, done.stderr
    assert _Broken.keys  # it did ask
    assert done.stdout.splitlines()[-1].startswith("W&B can't be used (")
    assert len(offline_folders(run)) == len(JOBS)
    assert KEY not in done.stdout + done.stderr
    for file in run.path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
