"""trackio: versions, its folder, its dashboard and the command."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM
from tests.helpers.finished_run import finished_run
from tests.helpers.posts import made_up_posts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.track.conftest import Trackers


def test_runs_of_the_same_name_are_distinct(trackers: Trackers, tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, made_up_posts(10)) for name in "ab"]
    for run in runs:
        assert trackers.track(run, "trackio").returncode == 0
    assert [sorted(trackers.read(run, "trackio")) for run in runs] == [
        ["download", "preprocess", "train"]
    ] * 2


def test_artifact_versions_depend_on_content(trackers: Trackers, tmp_path: Path) -> None:
    posts = [f"{post} versions" for post in made_up_posts(12)]
    before = _versions(trackers)
    for folder, posts_of_run in (("a", posts), ("b", posts), ("c", posts[:-1])):
        assert (
            trackers.track(finished_run(tmp_path / folder, posts_of_run), "trackio").returncode == 0
        )
    after = _versions(trackers)
    assert after["tweets-ann"] - before.get("tweets-ann", 0) == 2
    assert after["dataset-ann"] - before.get("dataset-ann", 0) == 2
    assert after["pocket"] == 1


def _versions(trackers: Trackers) -> dict[str, int]:
    try:
        return {found["name"]: found["num_versions"] for found in trackers.trackio()["artifacts"]}
    except subprocess.CalledProcessError:  # nothing was tracked yet
        return {}


def test_unwritable_folder_is_an_error(trackers: Trackers, tmp_path: Path) -> None:
    run = finished_run(tmp_path, made_up_posts(10))
    (tmp_path / "file").write_text("")
    env = {**trackers.env}
    trackers.env["TRACKIO_DIR"] = str(tmp_path / "file" / "trackio")
    try:
        done = trackers.track(run, "trackio")
    finally:
        trackers.env.update(env)
    assert done.returncode == 1


def test_dashboard_shows_the_project(trackers: Trackers, tmp_path: Path) -> None:
    run = finished_run(tmp_path, made_up_posts(10), name="shown")
    assert trackers.track(run, "trackio").returncode == 0
    import requests

    with subprocess.Popen(
        [*PROGRAM, "dashboard"],
        env=trackers.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as opened:
        assert opened.stdout
        assert opened.stderr
        line = opened.stdout.readline()
        assert line.startswith("trackio's dashboard is at http://127.0.0.1:"), opened.stderr.read()
        address = line.split()[4]
        assert address.endswith("/?project=huggingtweets")
        page = requests.get(address, timeout=20)
        assert page.ok
        assert "html" in page.headers["content-type"]
        opened.send_signal(signal.SIGINT)
        out, err = opened.communicate(timeout=200)
        assert (out, err, opened.returncode) == ("", "", 0)


@pytest.mark.parametrize("port", ["0", "70000"])
def test_invalid_port_is_rejected(port: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "dashboard", "--port", port], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"huggingtweets: --port must be from 1 to 65535, not {port}.\n"


def test_track_command(trackers: Trackers, tmp_path: Path) -> None:
    run = finished_run(tmp_path, made_up_posts(10))
    done = subprocess.run(
        [*PROGRAM, "track", str(run.path)],
        env=trackers.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " is in trackio. View it with: " in done.stdout
    assert sorted(trackers.read(run, "trackio")) == ["download", "preprocess", "train"]
    missing = subprocess.run(
        [sys.executable, *PROGRAM[1:], "track", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert missing.returncode == 2
    assert missing.stderr == (
        "huggingtweets: nowhere is not a run folder: it has no run.json. huggingtweets runs lists "
        "yours.\n"
    )
