"""The process beside the training: whatever becomes of it, the training ends as it would have."""

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
    """What is trained on what, and the weights that come of it without a tracker."""

    source: Path
    base: Path
    alone: bytes

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


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Let the tracker's process meet another package of the name of trackio."""
    folder.mkdir()
    (folder / "trackio.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_is_tracked_while_it_is_trained(
    training: Training,
    tmp_path: Path,
    trackers: Trackers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_SECONDS_TO_END", 120.0)
    events: list[Event] = []
    run = training.run(tmp_path, events.append)
    assert messages(events) == []
    assert weights(run) == training.alone
    told = trackers.read(run, "trackio")["train"]
    result = run.record().result
    held_out = [p["held_out_bits_per_byte"] for p in result["history"]]
    assert [value for _, value in told.course("held_out/bits_per_byte")] == held_out
    assert [step for step, _ in told.course("train/learning_rate")][-1] == result["steps"]
    assert told.tables["predictions"][0][0][1] == "My dream is"
    assert told.course("likeness/bits_per_byte/bot")
    assert {name for name, *_ in told.made} == {"model-ann"}
    assert run.record().config["track"] == "trackio"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ImportError('broken')", "Tracking stopped early; huggingtweets track "),
        ("import os; os._exit(3)", "Tracking stopped early; huggingtweets track "),
        ("import time; time.sleep(600)", "Tracking goes on in the background"),
    ],
)
def test_a_tracker_that_fails_or_hangs(
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    told: str,
) -> None:
    pretend(monkeypatch, tmp_path / "package", code)
    monkeypatch.setattr(process, "_SECONDS_TO_END", 0.5 if "sleep" in code else 120.0)
    events: list[Event] = []
    run = training.run(tmp_path / "runs", events.append)
    (message,) = messages(events)
    assert message.startswith(told)
    assert (run.record().state, run.record().error) == ("done", None)
    assert weights(run) == training.alone
    for left in process._left:
        left.kill()
        left.wait()
    process._left.clear()


def test_a_tracker_that_is_killed(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, start = list[Any](), process._start

    def remembered(*args: Any) -> Any:  # noqa: ANN401 - those of the real one
        started.append(start(*args))
        return started[-1]

    monkeypatch.setattr(process, "_start", remembered)

    def listen(event: Event) -> None:
        events.append(event)
        if event.stage == "train" and event.done and started[0].poll() is None:
            os.kill(started[0].pid, signal.SIGKILL)

    events: list[Event] = []
    run = training.run(tmp_path, listen)
    assert started[0].returncode == -signal.SIGKILL
    assert messages(events) == [
        f"Tracking stopped early; huggingtweets track {run.path} --to trackio sends it again."
    ]
    assert weights(run) == training.alone


def test_an_interrupted_run_is_not_waited_for_and_goes_on_as_the_same(
    training: Training,
    tmp_path: Path,
    trackers: Trackers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_SECONDS_TO_END", 120.0)
    interrupt = Interrupt()

    def listen(event: Event) -> None:
        interrupt.requested |= event.stage == "train"  # the first one comes before any step

    with pytest.raises(Interrupted) as caught:
        training.run(tmp_path, listen, interrupt)
    assert caught.value.run
    run = RunFolder(caught.value.run)
    for left in process._left:
        assert left.wait(120) == 0  # it ends by itself
    process._left.clear()
    first = trackers.read(run, "trackio")
    assert not first["train"].made
    events: list[Event] = []
    pipeline.resume(run.path, events.append)
    assert messages(events) == []
    again = trackers.read(run, "trackio")  # which knows of one run a job
    assert again["download"].made == first["download"].made
    assert len(again["train"].history) > len(first["train"].history)
    assert again["train"].made
    steps = [row["_step"] for row in again["train"].history]
    assert steps == sorted(steps)
    assert weights(run) == training.alone


def test_the_tracker_ends_when_the_training_is_killed(training: Training, tmp_path: Path) -> None:
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
    while not ended(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_training_loads_no_tracker(training: Training, tmp_path: Path) -> None:
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
