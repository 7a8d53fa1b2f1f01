"""What every tracker must store of a run, read back in another process."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.helpers.finished_run import finished_run, report_of
from tests.helpers.posts import made_up_posts
from tests.track.conftest import JOBS, KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.track.conftest import StoredJob, Trackers

    from huggingtweets.storage.run_folder import RunFolder

POSTS = made_up_posts(40)


@pytest.fixture(scope="module", params=["trackio", "wandb"])
def tracker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(tracker: str, trackers: Trackers, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was tracked with its posts."""
    created = finished_run(tmp_path_factory.mktemp("runs"), POSTS)
    done = trackers.track(created, tracker, "--raw-artifacts")
    assert done.returncode == 0, done.stderr
    return created


@pytest.fixture(scope="module")
def stored(run: RunFolder, tracker: str, trackers: Trackers) -> dict[str, StoredJob]:
    return trackers.read(run, tracker)


def test_run_has_three_jobs_in_one_group(stored: dict[str, StoredJob]) -> None:
    assert sorted(stored) == sorted(JOBS)
    assert {job.group for job in stored.values()} == {"me"}
    assert {job.name for job in stored.values()} == {f"me-{kind}" for kind in JOBS}


def test_config_has_versions_seed_and_machine(stored: dict[str, StoredJob]) -> None:
    for job in stored.values():
        assert job.config["recipe"] == {"name": "fast", "epochs": 2}
        assert (job.config["seed"], job.config["authors"]) == (7, ["ann"])
        assert job.config["versions"]["torch"] == "2.13.0"
        assert job.config["machine"] == {"device": "cpu", "cores": 2}
        assert job.config["sources"] == ["ann.csv", "bsky:ann"]
        assert "/home/ann" not in json.dumps(job.config)


def test_training_numbers_are_stored_by_step(stored: dict[str, StoredJob]) -> None:
    train = stored["train"]
    assert train.series("train/loss") == [(i, pytest.approx(5 - i / 10)) for i in range(1, 21)]
    assert train.series("train/learning_rate")[4] == (5, pytest.approx(0.0002))
    assert [step for step, _ in train.series("train/tokens_per_second")] == list(range(1, 21))
    held_out = [(0, 2.5), (10, 2.0), (20, 1.5)]
    assert train.series("held_out/bits_per_byte") == held_out
    assert train.series("system/cores")[-1] == (20, 1.9)
    assert train.series("system/memory_mb")[-1] == (20, 700.0)
    assert train.series("result/tokens") == [(20, 4000)]
    assert train.series("seconds/train") == [(20, 1.5)]


def test_samples_are_a_growing_table(stored: dict[str, StoredJob]) -> None:
    tables = stored["train"].tables["predictions"]
    assert [len(rows) for rows in tables] == [2, 4, 6]
    assert tables[-1][:4] == tables[1]
    assert tables[0][0] == [0, "My dream is", "My dream is post 0.", 0.75]


def test_likeness_numbers_are_stored(stored: dict[str, StoredJob], run: RunFolder) -> None:
    report, train = report_of(run), stored["train"]
    bits = report["bits_per_byte"]
    assert train.series("likeness/bits_per_byte/bot") == [(20, pytest.approx(bits["bot"]))]
    # The fixture's report is an older one, so it keeps the names of what was measured then.
    assert train.series("likeness/bits_per_byte/ppmd") == [(20, pytest.approx(bits["ppmd"]))]
    assert train.series("likeness/copied/markovify") == [(20, report["copied"]["markovify"])]
    assert train.series("likeness/taken_for_author/bot")
    rows = dict(train.tables["likeness"][-1])
    assert rows["longest_copied_run/bot"] == report["longest_copied_run"]["bot"]


def test_counts_of_downloaded_and_kept_posts_are_stored(stored: dict[str, StoredJob]) -> None:
    assert stored["download"].series("posts/ann") == [(0, len(POSTS))]
    assert stored["preprocess"].series("posts/kept") == [(0, len(POSTS) - 1)]


def test_artifacts_link_the_jobs(stored: dict[str, StoredJob]) -> None:
    def names(of: set[tuple[str, str, str]]) -> set[tuple[str, str]]:
        return {(name, kind) for name, kind, _ in of}

    tweets, base = ("tweets-ann", "raw-dataset"), ("pocket", "pretrained-model")
    dataset, bot = ("dataset-ann", "train-dataset"), ("model-ann", "finetuned-model")
    download, preprocess, train = (stored[kind] for kind in JOBS)
    assert (names(download.used), names(download.created)) == (set(), {tweets, base})
    assert (names(preprocess.used), names(preprocess.created)) == ({tweets}, {dataset})
    assert (names(train.used), names(train.created)) == ({dataset, base}, {bot})
    assert preprocess.used | train.used == (download.created | preprocess.created)  # with digests


def test_tracking_again_changes_nothing(
    stored: dict[str, StoredJob], run: RunFolder, tracker: str, trackers: Trackers
) -> None:
    assert trackers.track(run, tracker, "--raw-artifacts").returncode == 0
    again = trackers.read(run, tracker)
    assert sorted(again) == sorted(stored)
    for kind, job in again.items():
        assert (job.created, job.used) == (stored[kind].created, stored[kind].used)
        assert len(job.history) == len(stored[kind].history)


def test_other_posts_make_another_version(
    stored: dict[str, StoredJob], run: RunFolder, tracker: str, trackers: Trackers, tmp_path: Path
) -> None:
    other = finished_run(tmp_path, POSTS[:-1])
    shutil.copytree(run.bot, other.bot, dirs_exist_ok=True)
    assert trackers.track(other, tracker, "--raw-artifacts").returncode == 0
    found = trackers.read(other, tracker)
    assert found["download"].created & stored["download"].created  # the base
    assert found["train"].created == stored["train"].created
    assert not found["preprocess"].created & stored["preprocess"].created
    assert not found["preprocess"].used & stored["preprocess"].used


def test_no_post_is_stored_without_raw_artifacts(
    stored: dict[str, StoredJob], tracker: str, trackers: Trackers, tmp_path: Path
) -> None:
    secret = [f"{post} xyzzy" for post in POSTS]
    created = finished_run(tmp_path, secret)
    assert trackers.track(created, tracker, "--no-raw-artifacts").returncode == 0
    found = trackers.read(created, tracker)
    assert {a[:2] for a in found["preprocess"].used} == {a[:2] for a in stored["preprocess"].used}
    assert found["preprocess"].used == {
        a for a in found["download"].created if a[0] == "tweets-ann"
    }
    files = [*trackers.home.rglob("*"), *(created.path / "track").rglob("*")]
    # W&B uploads files from their original place, so check them there
    files += [file for file in _local_files(created, tracker) if file not in files]
    assert any(file.is_file() for file in files)
    for file in files:
        assert not file.is_file() or b"xyzzy" not in file.read_bytes(), file


def _local_files(run: RunFolder, tracker: str) -> list[Path]:
    from pathlib import Path

    from tests.helpers.wandb_files import read_run

    if tracker != "wandb":
        return []
    written = (run.path / "track" / "wandb").glob("*/*.wandb")
    artifacts = [a for file in written for of in [read_run(file)] for a in of.made + of.used]
    return [Path(entry.local_path) for a in artifacts for entry in a.manifest.contents]


def test_api_key_is_not_stored(
    stored: dict[str, StoredJob], run: RunFolder, trackers: Trackers
) -> None:
    assert stored
    for file in [*run.path.rglob("*"), *trackers.home.rglob("*")]:
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
