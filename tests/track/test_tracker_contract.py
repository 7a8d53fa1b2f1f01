"""What every tracker must have of a run, read back from what it stored, in another process."""

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

    from tests.track.conftest import Told, Trackers

    from huggingtweets.storage.run_folder import RunFolder

POSTS = made_up_posts(40)


@pytest.fixture(scope="module", params=["trackio", "wandb"])
def tracker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(tracker: str, trackers: Trackers, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was tracked, with its posts."""
    made = finished_run(tmp_path_factory.mktemp("runs"), POSTS)
    done = trackers.track(made, tracker, "--raw-artifacts")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def told(run: RunFolder, tracker: str, trackers: Trackers) -> dict[str, Told]:
    return trackers.read(run, tracker)


def test_three_jobs_in_one_group(told: dict[str, Told]) -> None:
    assert sorted(told) == sorted(JOBS)
    assert {job.group for job in told.values()} == {"me"}
    assert {job.name for job in told.values()} == {f"me-{kind}" for kind in JOBS}


def test_configuration_versions_seed_and_machine(told: dict[str, Told]) -> None:
    for job in told.values():
        assert job.config["recipe"] == {"name": "fast", "epochs": 2}
        assert (job.config["seed"], job.config["authors"]) == (7, ["ann"])
        assert job.config["versions"]["torch"] == "2.13.0"
        assert job.config["machine"] == {"device": "cpu", "cores": 2}
        assert job.config["sources"] == ["ann.csv", "bsky:ann"]
        assert "/home/ann" not in json.dumps(job.config)


def test_the_course_of_training(told: dict[str, Told]) -> None:
    train = told["train"]
    assert train.course("train/loss") == [(i, pytest.approx(5 - i / 10)) for i in range(1, 21)]
    assert train.course("train/learning_rate")[4] == (5, pytest.approx(0.0002))
    assert [step for step, _ in train.course("train/tokens_per_second")] == list(range(1, 21))
    held_out = [(0, 2.5), (10, 2.0), (20, 1.5)]
    assert train.course("held_out/bits_per_byte") == held_out
    assert train.course("system/cores")[-1] == (20, 1.9)
    assert train.course("system/memory_mb")[-1] == (20, 700.0)
    assert train.course("result/tokens") == [(20, 4000)]
    assert train.course("seconds/train") == [(20, 1.5)]


def test_posts_are_a_table_that_grows(told: dict[str, Told]) -> None:
    tables = told["train"].tables["predictions"]
    assert [len(rows) for rows in tables] == [2, 4, 6]
    assert tables[-1][:4] == tables[1]
    assert tables[0][0] == [0, "My dream is", "My dream is post 0.", 0.75]


def test_the_likeness_report(told: dict[str, Told], run: RunFolder) -> None:
    report, train = report_of(run), told["train"]
    bits = report["bits_per_byte"]
    assert train.course("likeness/bits_per_byte/bot") == [(20, pytest.approx(bits["bot"]))]
    assert train.course("likeness/bits_per_byte/ppmd") == [(20, pytest.approx(bits["ppmd"]))]
    assert train.course("likeness/copied/markovify") == [(20, report["copied"]["markovify"])]
    assert train.course("likeness/taken_for_author/bot")
    rows = dict(train.tables["likeness"][-1])
    assert rows["longest_copied_run/bot"] == report["longest_copied_run"]["bot"]


def test_what_was_downloaded_and_what_is_left_of_it(told: dict[str, Told]) -> None:
    assert told["download"].course("posts/ann") == [(0, len(POSTS))]
    assert told["preprocess"].course("posts/kept") == [(0, len(POSTS) - 1)]


def test_the_lineage(told: dict[str, Told]) -> None:
    def names(of: set[tuple[str, str, str]]) -> set[tuple[str, str]]:
        return {(name, kind) for name, kind, _ in of}

    tweets, base = ("tweets-ann", "raw-dataset"), ("pocket", "pretrained-model")
    dataset, bot = ("dataset-ann", "train-dataset"), ("model-ann", "finetuned-model")
    download, preprocess, train = (told[kind] for kind in JOBS)
    assert (names(download.used), names(download.made)) == (set(), {tweets, base})
    assert (names(preprocess.used), names(preprocess.made)) == ({tweets}, {dataset})
    assert (names(train.used), names(train.made)) == ({dataset, base}, {bot})
    assert preprocess.used | train.used == (download.made | preprocess.made)  # digests as well


def test_told_again_it_is_the_same_story_and_equal_files_are_no_new_version(
    told: dict[str, Told], run: RunFolder, tracker: str, trackers: Trackers
) -> None:
    assert trackers.track(run, tracker, "--raw-artifacts").returncode == 0
    again = trackers.read(run, tracker)
    assert sorted(again) == sorted(told)
    for kind, job in again.items():
        assert (job.made, job.used) == (told[kind].made, told[kind].used)
        assert len(job.history) == len(told[kind].history)


def test_other_posts_are_another_version(
    told: dict[str, Told], run: RunFolder, tracker: str, trackers: Trackers, tmp_path: Path
) -> None:
    other = finished_run(tmp_path, POSTS[:-1])
    shutil.copytree(run.bot, other.bot, dirs_exist_ok=True)
    assert trackers.track(other, tracker, "--raw-artifacts").returncode == 0
    found = trackers.read(other, tracker)
    assert found["download"].made & told["download"].made  # the base
    assert found["train"].made == told["train"].made
    assert not found["preprocess"].made & told["preprocess"].made
    assert not found["preprocess"].used & told["preprocess"].used


def test_without_raw_artifacts_no_post_is_in_the_tracker(
    told: dict[str, Told], tracker: str, trackers: Trackers, tmp_path: Path
) -> None:
    secret = [f"{post} xyzzy" for post in POSTS]
    made = finished_run(tmp_path, secret)
    assert trackers.track(made, tracker, "--no-raw-artifacts").returncode == 0
    found = trackers.read(made, tracker)
    assert {a[:2] for a in found["preprocess"].used} == {a[:2] for a in told["preprocess"].used}
    assert found["preprocess"].used == {a for a in found["download"].made if a[0] == "tweets-ann"}
    files = [*trackers.home.rglob("*"), *(made.path / "track").rglob("*")]
    # W&B uploads files from where they are, so they are looked at there
    files += [file for file in _local_files(made, tracker) if file not in files]
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


def test_keys_stay_where_they_are(
    told: dict[str, Told], run: RunFolder, trackers: Trackers
) -> None:
    assert told
    for file in [*run.path.rglob("*"), *trackers.home.rglob("*")]:
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
