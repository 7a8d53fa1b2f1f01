"""Fleets with real trainings: the same bots on all workers, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import PROGRAM
from tests.fleet.conftest import options, record, weights
from tests.helpers.posts import made_up_posts, write_csv
from tests.sweep.test_sweep_workers import Killer, descendants, is_worker

from huggingtweets.errors import InputError, StorageError
from huggingtweets.fleet.progress import FleetProgress, read_progress, steps
from huggingtweets.fleet.train import FleetOptions, train
from huggingtweets.privacy import opt_out
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.fleet.progress import Tell

pytestmark = pytest.mark.timeout(600)  # seconds, more on a busy machine


def lines_to(lines: list[str]) -> Tell:
    return lambda _, line: lines.append(line)


def assert_each_event_once(run: RunFolder) -> None:
    """Check that the events reported on the way were replaced by those of the finished run."""
    parts = [event["done"] for event in run.events() if event["stage"] == "evaluate"]
    assert [parts.count(part) for part in (1, 2, 3)] == [1, 1, 1]
    times = [event["time"] for event in run.events()]
    assert times == sorted(times)


def test_every_author_has_a_bot_a_report_and_a_card(finished: FleetFolder) -> None:
    progress = read_progress(finished)
    assert progress.stage == "finished"
    assert progress.counts() == {"done": 3}
    for author in progress.authors.values():
        run = RunFolder(finished.authors / author.name)
        assert run.record().state == "done"
        assert run.report_page.is_file()
        assert (run.bot / "README.md").is_file()
        assert author.bits_per_byte == run.held_out_bits_per_byte()
    seeds = {record(finished, name)["config"]["seed"] for name in finished.names()}
    assert len(seeds) == 3
    assert len(set(weights(finished).values())) == 3
    page = finished.page.read_text("utf-8")
    assert all(name in page for name in ("ann", "bob", "cat"))
    assert not [command for command in descendants().values() if is_worker(command)]


def test_two_workers_and_a_killed_one_make_the_same_bots(
    finished: FleetFolder, authors: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    killer = Killer(is_worker)
    started: list[list[str]] = []

    def tell(progress: FleetProgress, line: str) -> None:
        killer.lines.append(line)
        if progress.in_state("running") and not started:
            started.append([author.name for author in progress.in_state("running")])
            killer.start()

    out = tmp_path / "fleet"
    progress = train(authors[::-1], options(tiny_base, out, "local:2"), tell)
    killer.wait()
    assert killer.killed
    assert started == [["bob"]]  # the one with most text starts first
    assert any(line.endswith("trying again") for line in killer.lines)
    assert progress.counts() == {"done": 3}
    assert weights(FleetFolder(out)) == weights(finished)


def test_killed_driver_goes_on_where_it_was(
    finished: FleetFolder, authors: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fleet"
    command = [*PROGRAM, "fleet", "train", *map(str, authors), "--base", str(tiny_base)]
    command += ["--workers", "local:1", "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as driver:
        until = time.monotonic() + 300
        while time.monotonic() < until and driver.poll() is None:
            if FleetFolder(out).names():
                break
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    before = weights(FleetFolder(out))
    assert 1 <= len(before) <= 3
    times = {name: FleetFolder(out).stored_file(name).stat().st_mtime_ns for name in before}
    until = time.monotonic() + 200  # until the orphaned worker has noticed
    while time.monotonic() < until:
        try:
            progress = train([], options(tiny_base, out))
            break
        except StorageError as error:
            assert "in use" in str(error)
            time.sleep(0.2)
    assert progress.counts() == {"done": 3}
    assert weights(FleetFolder(out)) == weights(finished)
    for name, moment in times.items():  # finished authors weren't trained again
        assert FleetFolder(out).stored_file(name).stat().st_mtime_ns == moment


def test_an_author_that_fails_costs_nobody_else(
    authors: list[Path], tiny_base: Path, tmp_path: Path, config: Path
) -> None:
    opt_out.add(["@eve", "dan"])
    two = tmp_path / "two.csv"  # one of two authors of a table opted out
    rows = write_csv(tmp_path / "eve.csv", "eve", made_up_posts(60, 5)).read_text("utf-8")
    more = write_csv(tmp_path / "fay.csv", "fay", made_up_posts(60, 6)).read_text("utf-8")
    two.write_text(rows + more.split("\n", 1)[1], "utf-8")
    few = write_csv(tmp_path / "few.csv", "few", made_up_posts(3))
    manifest = tmp_path / "list.csv"
    lines = [f"ann,{authors[0]}", "gone,no/such.csv", "dan,eve.csv", f"few,{few}"]
    manifest.write_text("\n".join(["author,source", *lines]), "utf-8")
    told: list[str] = []
    out = tmp_path / "fleet"
    progress = train([manifest, two], options(tiny_base, out), lines_to(told))
    found = {a.author.lstrip("@"): (a.state, a.reason) for a in progress.authors.values()}
    assert {name: state for name, (state, _) in found.items()} == {
        "ann": "done",
        "fay": "done",
        "gone": "failed",
        "few": "failed",
        "dan": "skipped",
        "eve": "skipped",
    }
    assert f"There is no file or folder {tmp_path / 'no/such.csv'}" in found["gone"][1]
    assert "asked not to be imitated" in found["eve"][1]
    page = FleetFolder(out).page.read_text("utf-8")
    assert "no/such.csv" in page
    assert not any(b"eve" in file.read_bytes() for file in (out / "authors").rglob("*.parquet"))
    assert config.is_dir()


def start_workers_with(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each local worker run some code at its start."""
    limit = folder / "limit"
    limit.mkdir()
    workers = "if 'huggingtweets.workers.child' in ' '.join(sys.orig_argv):\n"
    text = "import sys\n" + workers + textwrap.indent(code, "    ")
    (limit / "sitecustomize.py").write_text(text)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{limit}{os.pathsep}{path}")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def test_full_disk_fails_the_author_and_the_next_call_makes_it(
    authors: list[Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that may not write large files is like one whose disk is full."""
    out, path = tmp_path / "fleet", os.environ.get("PYTHONPATH", "")
    start_workers_with(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n",
        tmp_path,
        monkeypatch,
    )
    progress = train(authors[:2], options(tiny_base, out))
    assert progress.counts() == {"failed": 2}
    for author in progress.authors.values():
        assert author.reason.startswith("Can't write ")
        assert author.reason.count("\n") == 0
    monkeypatch.setenv("PYTHONPATH", path)
    assert train([], options(tiny_base, out)).counts() == {"done": 2}


def test_a_worker_without_memory_ends_and_another_one_trains_its_author(
    finished: FleetFolder,
    authors: list[Path],
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first worker may start no thread, which is how a lack of memory shows itself first."""
    out, was = tmp_path / "fleet", tmp_path / "was"
    start_workers_with(
        "import pathlib\n"
        f"was = pathlib.Path({str(was)!r})\n"
        "if not was.exists():\n"
        "    was.touch()\n"
        "    import huggingtweets.pipeline\n"
        "    def fail(*_):\n"
        '        raise RuntimeError("can\'t start new thread")\n'
        "    huggingtweets.pipeline.resume = fail\n",
        tmp_path,
        monkeypatch,
    )
    told: list[str] = []
    progress = train(authors[:2], options(tiny_base, out), lines_to(told))
    assert progress.counts() == {"done": 2}
    again = [line for line in told if line.endswith("trying again")]
    assert again == ["@bob: a worker ran out of memory while training @bob; trying again"]
    whole = weights(finished)
    assert weights(FleetFolder(out)) == {name: whole[name] for name in ("ann", "bob")}


@pytest.mark.cluster
def test_ray_makes_the_same_bots_and_tells_how_far_they_are(
    finished: FleetFolder,
    authors: list[Path],
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a cluster of this machine, where a base that is a folder goes through Ray."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "fleet"
    shown: set[str] = set()

    def tell(progress: FleetProgress, _line: str) -> None:
        shown.update(steps(FleetFolder(out), progress.in_state("running")).values())

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        progress = train(authors, options(tiny_base, out, "ray"), tell)
    finally:
        ray.shutdown()
    assert any(step.startswith("training ") or step == "measuring" for step in shown), shown
    assert len(list((tmp_path / "cache" / "bases" / "sent").glob("[!.]*"))) == 1
    assert progress.counts() == {"done": 3}
    assert weights(FleetFolder(out)) == weights(finished)
    assert record(FleetFolder(out), "ann")["config"]["base"] == str(tiny_base)
    assert_each_event_once(RunFolder(out / "authors" / "ann"))
    check = FleetFolder(out).check()
    assert not check.damaged
    assert not check.changed


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "sentence"),
    [
        ("local:0", "--workers must be local:N"),
        ("ray://nohost", "is not the address of a Ray cluster; write ray://HOST:PORT"),
        ("gpu", "--workers must be local:N"),
    ],
)
def test_bad_workers_leave_no_folder(
    authors: list[Path], tiny_base: Path, tmp_path: Path, workers: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        train(authors, options(tiny_base, tmp_path / "fleet", workers))
    assert not (tmp_path / "fleet").exists()


def test_other_settings_are_refused(finished: FleetFolder, authors: list[Path]) -> None:
    other = FleetOptions({"seed": 3, "posts": 10}, out=finished.path)
    with pytest.raises(InputError, match="started with another --seed, --posts"):
        train(authors, other)


def test_folder_of_something_else_is_not_changed(
    authors: list[Path], tiny_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"exists and is not a fleet\. Choose another --out"):
        train(authors, options(tiny_base, tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_program_says_who_failed_and_ends_with_1(tiny_base: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("author,source\nann,none.csv\n")
    command = [*PROGRAM, "fleet", "train", str(manifest), "--base", str(tiny_base)]
    command += ["--out", str(tmp_path / "fleet"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 1
    assert "huggingtweets: 1 author of 1 failed." in done.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"failed": 1}
    assert told["authors"][0]["reason"].startswith("There is no file or folder")
