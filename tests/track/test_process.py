"""The tracking process, whose failures must not affect the training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.errors import Interrupted
from huggingtweets.events import ignore
from huggingtweets.pipeline import TrainOptions
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.track import process
from huggingtweets.training import RECIPES, Interrupt

if TYPE_CHECKING:
    from tests.track.conftest import Trackers

    from huggingtweets.events import Event, EventHandler

RECIPE = RECIPES["fast"].changed(learning_rate=1e-2, epochs=1)


class Training(NamedTuple):
    """A source and a base, and the weights that training gives without a tracker."""

    source: Path
    base: Path
    untracked_weights: bytes

    def run(
        self, out: Path, listen: EventHandler = ignore, interrupt: Interrupt | None = None
    ) -> RunFolder:
        """Train it with trackio."""
        return pipeline.train([self.source], options(self.base, out), listen, interrupt)


@pytest.fixture(scope="module")
def training(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp("alone")
    source = write_csv(folder / "ann.csv", "ann", made_up_posts(120))
    alone = pipeline.train([source], options(tiny_base, folder, "none"))
    return Training(source, tiny_base, weights(alone))


@pytest.fixture(autouse=True)
def tracker_environment(trackers: Trackers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "TRACKIO_DIR", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.setenv(name, trackers.env[name])


def options(base: Path, out: Path, track: str = "trackio") -> TrainOptions:
    return TrainOptions(
        base=str(base), recipe=RECIPE, out=out, device="cpu", precision="fp32", track=track
    )


def weights(run: RunFolder) -> bytes:
    return (run.bot / "model.safetensors").read_bytes()


def messages(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.stage == "track"]


def fake_trackio(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Make the tracking process import this code as trackio."""
    folder.mkdir()
    (folder / "trackio.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def has_ended(pid: int) -> bool:
    """Whether a process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_run_is_tracked_during_training(
    training: Training,
    tmp_path: Path,
    trackers: Trackers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_SECONDS_TO_END", 120.0)
    events: list[Event] = []
    run = training.run(tmp_path, events.append)
    assert messages(events) == []
    assert weights(run) == training.untracked_weights
    told = trackers.read(run, "trackio")["train"]
    result = run.record().result
    held_out = [p["held_out_bits_per_byte"] for p in result["history"]]
    assert [value for _, value in told.series("held_out/bits_per_byte")] == held_out
    assert [step for step, _ in told.series("train/learning_rate")][-1] == result["steps"]
    assert told.tables["predictions"][0][0][1] == "My dream is"
    assert told.series("likeness/bits_per_byte/bot")
    assert {name for name, *_ in told.created} == {"model-ann"}
    assert run.record().config["track"] == "trackio"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ImportError('broken')", "Tracking failed; repeat it with: huggingtweets track "),
        ("import os; os._exit(3)", "Tracking failed; repeat it with: huggingtweets track "),
        ("import time; time.sleep(600)", "Tracking continues in the background"),
    ],
)
def test_failing_or_hanging_tracker_does_not_affect_training(
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    told: str,
) -> None:
    fake_trackio(monkeypatch, tmp_path / "package", code)
    monkeypatch.setattr(process, "_SECONDS_TO_END", 0.5 if "sleep" in code else 120.0)
    events: list[Event] = []
    run = training.run(tmp_path / "runs", events.append)
    (message,) = messages(events)
    assert message.startswith(told)
    assert (run.record().state, run.record().error) == ("done", None)
    assert weights(run) == training.untracked_weights
    for left in process._detached:
        left.kill()
    process._detached.clear()


def test_killed_tracker_does_not_affect_training(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, start = list[Any](), process._start

    def remembered(*args: Any) -> Any:  # noqa: ANN401 - those of the real one
        started.append(start(*args))
        return started[-1]

    monkeypatch.setattr(process, "_start", remembered)

    def listen(event: Event) -> None:
        events.append(event)
        if event.stage == "train" and event.done and started[0].exit_code is None:
            os.kill(started[0].pid, signal.SIGKILL)

    events: list[Event] = []
    run = training.run(tmp_path, listen)
    assert started[0].exit_code == -signal.SIGKILL
    assert messages(events) == [
        f"Tracking failed; repeat it with: huggingtweets track {run.path} --to trackio"
    ]
    assert weights(run) == training.untracked_weights


def test_resumed_run_is_tracked_as_the_same_run(
    training: Training,
    tmp_path: Path,
    trackers: Trackers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_SECONDS_TO_END", 120.0)
    interrupt = Interrupt()

    def listen(event: Event) -> None:
        interrupt.requested |= event.stage == "train"  # the first event comes before any step

    with pytest.raises(Interrupted) as caught:
        training.run(tmp_path, listen, interrupt)
    assert caught.value.run
    run = RunFolder(caught.value.run)
    for left in process._detached:
        assert left.wait(120) == 0  # it exits on its own
    process._detached.clear()
    first = trackers.read(run, "trackio")
    assert not first["train"].created
    events: list[Event] = []
    pipeline.resume(run.path, events.append)
    assert messages(events) == []
    again = trackers.read(run, "trackio")  # one stored run per job
    assert again["download"].created == first["download"].created
    assert len(again["train"].history) > len(first["train"].history)
    assert again["train"].created
    steps = [row["_step"] for row in again["train"].history]
    assert steps == sorted(steps)
    assert weights(run) == training.untracked_weights


def test_tracker_ends_when_the_training_is_killed(training: Training, tmp_path: Path) -> None:
    code = """
import os, signal, sys
from huggingtweets import pipeline
from huggingtweets.track import process
from tests.track.test_process import options
from pathlib import Path
start = process._start
def told(*a):
    found = start(*a)
    print(found.pid, flush=True)
    return found
process._start = told
def listen(event):
    if event.stage == "train" and event.done:
        os.kill(os.getpid(), signal.SIGKILL)
pipeline.train([sys.argv[1]], options(Path(sys.argv[2]), Path(sys.argv[3])), listen)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(training.source), str(training.base), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 120
    while not has_ended(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_training_imports_no_tracker(training: Training, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from huggingtweets import pipeline
from huggingtweets.track import process
from tests.track.test_process import options
process._SECONDS_TO_END = 60
pipeline.train([sys.argv[1]], options(Path(sys.argv[2]), Path(sys.argv[3])))
print("loaded:", *(name for name in ("wandb", "trackio", "gradio_client") if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(training.source), str(training.base), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded:"
