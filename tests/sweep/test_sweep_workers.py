"""Sweeps with real training: equal results for all workers, killed workers, Ctrl-C, bad input.

Four trials on two made-up authors with a tiny base; none of the recipes depends on what others came
out at, so all sweeps of the same seed must agree value by value.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.program import PROGRAM
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.errors import InputError, StorageError
from huggingtweets.sweep import sweep
from huggingtweets.sweep.search_space import read_space, space_of
from huggingtweets.sweep.trials import Trials, read_trials

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.sweep.folder import SweepFolder
    from huggingtweets.sweep.loop import SweepProgress

pytestmark = pytest.mark.timeout(900)  # seconds, more on a busy machine
TRIALS = 4
SPACE = {"learning_rate": {"low": 5e-4, "high": 5e-3, "log": True}, "epochs": [1, 2]}


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("authors")
    return [
        write_csv(folder / f"{name}.csv", name, made_up_posts(60, seed))
        for seed, name in enumerate(("ann", "bob"))
    ]


@pytest.fixture(scope="module")
def options(tiny_base: Path) -> sweep.SweepOptions:
    # so that batch size and seed affect every value
    return sweep.SweepOptions(space=space_of(SPACE), base=str(tiny_base), trials=TRIALS, seed=2)


@pytest.fixture(scope="module")
def alone(
    authors: list[Path], options: sweep.SweepOptions, tmp_path_factory: pytest.TempPathFactory
) -> SweepFolder:
    """An undisturbed sweep with one worker."""
    out = tmp_path_factory.mktemp("alone") / "sweep"
    return sweep.sweep(authors, replace(options, out=out)).folder


def trials_of(folder: SweepFolder) -> Trials:
    settings = folder.settings()
    return read_trials(settings, folder.storage(settings))


def values_of(folder: SweepFolder) -> dict[tuple[str, str], float]:
    """Return bits per byte by recipe and author."""
    return {
        (json.dumps(dict(row.recipe), sort_keys=True), author): value
        for row in trials_of(folder).rows
        for author, value in row.bits_per_byte.items()
    }


def assert_agree(one: SweepFolder, other: SweepFolder) -> None:
    """Check for the same recipes and equal values of common authors."""
    first, second = values_of(one), values_of(other)
    assert {recipe for recipe, _ in first} == {recipe for recipe, _ in second}
    both = first.keys() & second.keys()
    assert len(both) >= TRIALS
    assert {key: first[key] for key in both} == {key: second[key] for key in both}


def descendants() -> dict[int, str]:
    """Return the command lines of all descendant processes."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            commands[int(entry.name)] = command

    def is_mine(pid: int) -> bool:
        while pid > 1:
            pid = parents.get(pid, 0)
            if pid == os.getpid():
                return True
        return False

    return {pid: command for pid, command in commands.items() if is_mine(pid)}


def kill_one(wanted: Callable[[str], bool], until: float) -> int | None:
    """Kill one descendant process with SIGKILL; None if none appeared in time."""
    while time.monotonic() < until:
        for pid, command in descendants().items():
            if wanted(command):
                os.kill(pid, signal.SIGKILL)
                return pid
        time.sleep(0.02)
    return None


class Killer:
    """Kills a worker once, after the first author, during the next."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self.wanted = wanted
        self.killed: int | None = None
        self.lines: list[str] = []
        self._thread: threading.Thread | None = None

    def __call__(self, step: SweepProgress) -> None:
        self.lines.append(step.line)
        if step.authors == 1 and self._thread is None:
            self.start()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._kill)
        self._thread.start()

    def _kill(self) -> None:
        self.killed = kill_one(self.wanted, time.monotonic() + 200)

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()


def is_worker(command: str) -> bool:
    return "huggingtweets.workers.child" in command


def test_sweep_with_one_worker(alone: SweepFolder) -> None:
    trials = trials_of(alone)
    assert len(trials.rows) == TRIALS
    assert trials.default is not None
    for row in trials.rows:
        for author, value in row.bits_per_byte.items():
            assert min(bits for _, bits in row.curves[author]) == value
    assert not [pid for pid, command in descendants().items() if is_worker(command)]


def test_killed_worker_does_not_change_the_result(
    alone: SweepFolder, authors: list[Path], options: sweep.SweepOptions, tmp_path: Path
) -> None:
    killer = Killer(is_worker)
    out = tmp_path / "sweep"
    sat = sweep.sweep(authors, replace(options, out=out, workers="local:2"), tell=killer)
    killer.wait()
    assert killer.killed
    assert any("ended with exit code -9 while training " in line for line in killer.lines)
    assert any(line.endswith("trying again") for line in killer.lines)
    assert_agree(alone, sat.folder)
    assert sum(sat.result["trials"].values()) == TRIALS
    assert sat.result["trials"]["failed"] == 0


def test_ctrl_c_and_resume(
    alone: SweepFolder, authors: list[Path], options: sweep.SweepOptions, tmp_path: Path
) -> None:
    out, space = tmp_path / "sweep", tmp_path / "space.json"
    space.write_text(json.dumps(SPACE))
    command = [*PROGRAM, "sweep", *map(str, authors)]
    command += ["--out", str(out), "--space", str(space), "--base", options.base, "--seed", "2"]
    with subprocess.Popen(
        [*command, "--trials", str(TRIALS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        journal, until = out / "journal.log", time.monotonic() + 400
        while time.monotonic() < until and running.poll() is None:
            if journal.exists() and '"author:' in journal.read_text("utf-8"):
                break
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        told, errors = running.communicate(timeout=400)
    if running.returncode == 0:  # it finished before it could be stopped
        assert "The sweep is in" in told
    else:
        assert running.returncode == 130, errors
        assert f"sweep --resume {out}" in errors
        assert "Traceback" not in errors
    sat = sweep.resume(out, replace(options, out=out))
    assert_agree(alone, sat.folder)
    assert sum(sat.result["trials"].values()) == TRIALS
    assert sat.result["trials"]["queued"] == sat.result["trials"]["failed"] == 0


@pytest.mark.cluster
def test_ray_gives_the_same_result_after_a_killed_worker(
    alone: SweepFolder,
    authors: list[Path],
    options: sweep.SweepOptions,
    tmp_path: Path,
) -> None:
    """Run on a local cluster with two worker processes."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    killer = Killer(lambda command: command.startswith("ray::run_job"))
    try:
        sat = sweep.sweep(
            authors, replace(options, out=tmp_path / "sweep", workers="ray"), tell=killer
        )
        killer.wait()
    finally:
        ray.shutdown()
    assert killer.killed
    assert any("a Ray worker ended while training " in line for line in killer.lines)
    assert_agree(alone, sat.folder)
    assert sum(sat.result["trials"].values()) == TRIALS


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"trials": 0}, "--trials must be 1 or more, not 0"),
        (
            {"holdout": 1.0, "minutes": -1.0},
            "--holdout must be .*; --minutes must be over 0, not -1",
        ),
        ({"narrow": 0.0}, "--narrow must be over 0 and at most 1"),
        ({"objective": "best"}, "There is no objective 'best'"),
        ({"workers": "local:0"}, "--workers must be local:N with N from 1 to 512"),
        ({"workers": "gpu"}, "--workers must be local:N .*, ray or ray://HOST:PORT, not 'gpu'"),
        ({"storage": "no address://"}, "--storage is not a valid address"),
        ({"narrow": 0.1}, "--narrow needs a first sweep"),
        ({"base": "/no/such/base"}, "/no/such/base"),
    ],
)
def test_bad_options_leave_no_folder(
    authors: list[Path],
    options: sweep.SweepOptions,
    tmp_path: Path,
    changed: dict[str, Any],
    sentence: str,
) -> None:
    out = tmp_path / "sweep"
    with pytest.raises(InputError, match=sentence):
        sweep.sweep(authors, replace(options, **({"out": out} | changed)))
    assert not out.exists()


def test_other_folder_is_not_changed(
    authors: list[Path], options: sweep.SweepOptions, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        StorageError, match=r"exists and is not a sweep folder\. Choose another --out"
    ):
        sweep.sweep(authors, replace(options, out=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_resume_with_other_settings_is_refused(
    alone: SweepFolder, authors: list[Path], options: sweep.SweepOptions
) -> None:
    other = replace(options, out=alone.path, seed=3, objective="mean")
    with pytest.raises(
        InputError, match=r"started with another --objective, --seed\. Resume it with"
    ):
        sweep.sweep(authors, other)
    with pytest.raises(InputError, match="started with another AUTHORS"):
        sweep.sweep(authors[:1], replace(options, out=alone.path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs = [1, 1]", "epochs needs two or more different values"),
        ("size = [1, 2]", "there is no field 'size', only learning_rate, epochs"),
        ("epochs = { low = 1.5, high = 3 }", "epochs must be a whole number, not 1.5"),
        ("warmup = { low = 0.2, high = 0.1 }", "warmup must have low under high"),
        ("warmup = { low = 0.0, high = 0.1, log = true }", "low must be over 0"),
        ("warmup = { low = 0.0, top = 0.1 }", "warmup has top; a range has low, high and log"),
        ("rows = { low = 1, high = 2 }", "rows can't be a range"),
        ("clip = 1.0", "every field has one value, so there is nothing to search"),
        ("learning_rate = [0.1, 2.0]", "learning-rate must be a number over 0 and under 1"),
        ("epochs = ", r"The space .*space\.toml can't be read"),
        ("", "has no field"),
    ],
)
def test_invalid_space_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        read_space(file)
    assert str(caught.value).count("\n") == 0


def test_missing_optuna_is_one_sentence(
    authors: list[Path],
    options: sweep.SweepOptions,
    tmp_path: Path,
    monkeypatch: Any,  # noqa: ANN401
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'huggingtweets\[sweep\]'"):
        sweep.sweep(authors, replace(options, out=tmp_path / "sweep"))
