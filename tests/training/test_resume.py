"""Stopping a training in every way there is, and going on as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import pipeline
from huggingtweets.errors import BotError, Interrupted
from huggingtweets.nn import language_model
from huggingtweets.pipeline import TrainOptions
from huggingtweets.storage import checkpoint
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import Interrupt, TrainingTask, fit
from huggingtweets.training.progress import Progress
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.events import Event
    from huggingtweets.nn.devices import ComputeDevice

EPOCHS = 3
RECIPE = FAST.changed(learning_rate=3e-3, epochs=EPOCHS, batch_tokens=256)
COMMAND = [sys.executable, "-c", "from huggingtweets.cli import main; main()"]


@dataclass(frozen=True)
class Training:
    """One training of a base with dropout, and its result when nobody stops it."""

    source: Path
    base: Path
    undisturbed: RunFolder
    layers: str = "all"

    def start(self, out: Path) -> subprocess.Popen[str]:
        """The same in another process, saving five times a second."""
        options = {
            "--base": self.base,
            "--epochs": EPOCHS,
            "--learning-rate": RECIPE.learning_rate,
            "--batch-tokens": RECIPE.batch_tokens,
            "--layers": self.layers,
            "--precision": "fp32",
            "--device": "cpu",
            "--out": out,
            "--checkpoint-seconds": 0.2,
        }
        return subprocess.Popen(
            [*COMMAND, "train", str(self.source), *(str(x) for o in options.items() for x in o)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory, dropout_base: Path) -> Training:
    folder = tmp_path_factory.mktemp("training")
    source = write_csv(folder / "ann.csv", "ann", made_up_posts(1200))
    options = TrainOptions(
        base=str(dropout_base), recipe=RECIPE, out=folder / "runs", device="cpu", precision="fp32"
    )
    return Training(source, dropout_base, pipeline.train([source], options))


@pytest.fixture(scope="module")
def top_layer(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The same of the top layer alone."""
    options = TrainOptions(
        base=str(training.base),
        recipe=RECIPE.changed(layers=1),
        out=tmp_path_factory.mktemp("training") / "runs",
        device="cpu",
        precision="fp32",
    )
    return replace(training, undisturbed=pipeline.train([training.source], options), layers="top:1")


def stop_in_mid_epoch(process: subprocess.Popen[str], run: RunFolder, how: signal.Signals) -> str:
    """Send a signal a little after a checkpoint was written; returns what the process said."""
    patience = time.monotonic() + 60
    while not run.checkpoint_file.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < patience
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert run.display_state() == "interrupted (training)"
    found = checkpoint.load(run.checkpoint_file, Progress)
    assert found
    assert found[0].in_epoch > 0
    assert found[0].step < run_steps(run)
    return said


def run_steps(run: RunFolder) -> int:
    return max(int(event["total"]) for event in run.events() if event["stage"] == "train")


def assert_same_end(run: RunFolder, undisturbed: RunFolder) -> None:
    one, other = run.record(), undisturbed.record()
    assert one.state == other.state == "done"
    for key in ("history", "best", "steps", "tokens"):
        assert one.result[key] == other.result[key], key
    weights = "model.safetensors"
    assert (run.bot / weights).read_bytes() == (undisturbed.bot / weights).read_bytes()
    assert not run.checkpoint_file.exists()


@pytest.mark.parametrize("which", ["training", "top_layer"])
def test_killed_and_resumed_ends_as_if_undisturbed(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    training: Training = request.getfixturevalue(which)
    run = RunFolder(tmp_path / "ann")
    stop_in_mid_epoch(training.start(tmp_path), run, signal.SIGKILL)
    subprocess.run([*COMMAND, "train", "--resume", str(run.path)], check=True, capture_output=True)
    assert_same_end(run, training.undisturbed)


def test_ctrl_c_saves_and_can_be_resumed(training: Training, tmp_path: Path) -> None:
    run, process = RunFolder(tmp_path / "ann"), training.start(tmp_path)
    said = stop_in_mid_epoch(process, run, signal.SIGINT)
    assert process.returncode == Interrupted.exit_code == 130
    assert "Stopped at step" in said
    assert "Traceback" not in said
    pipeline.resume(run.path)
    assert_same_end(run, training.undisturbed)
    with pytest.raises(BotError, match="is done; there is nothing to resume"):
        pipeline.resume(run.path)


@pytest.fixture
def task(dropout_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path) -> TrainingTask:
    lm = language_model.load(dropout_base)
    return TrainingTask(
        lm, [posts[:60], posts[60:80]], posts[280:], RECIPE, cpu, 3, tmp_path / "c" / "state"
    )


def again(task: TrainingTask) -> TrainingTask:
    return replace(task, base=language_model.load(task.base.source), interrupt=Interrupt())


@pytest.fixture
def stopped(task: TrainingTask) -> TrainingTask:
    """A fit that was stopped after its first step."""
    task.interrupt.requested = True
    with pytest.raises(Interrupted, match=r"Stopped at step 1 of \d+\."):
        fit(task)
    return again(task)


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopped_in_every_epoch_ends_the_same(
    task: TrainingTask, precision: Literal["fp32", "bf16"], layers: int
) -> None:
    task = replace(
        task,
        machine=replace(task.machine, precision=precision),
        recipe=RECIPE.changed(layers=layers),
    )
    undisturbed = fit(replace(again(task), checkpoint_file=None))

    def press_ctrl_c(event: Event) -> None:
        if event.held_out_bits_per_byte is not None and event.done < event.total:
            os.kill(os.getpid(), signal.SIGINT)

    stops = 0
    while True:
        try:
            ended = fit(again(task), press_ctrl_c)
            break
        except Interrupted:
            stops += 1
    assert stops == EPOCHS
    assert ended.history == undisturbed.history
    assert (ended.best, ended.steps, ended.tokens) == (
        undisturbed.best,
        undisturbed.steps,
        undisturbed.tokens,
    )


def test_stopped_on_the_way_back_ends_the_same(
    task: TrainingTask, posts: list[str], tmp_path: Path
) -> None:
    # a base that knows such posts already loses by a high rate on a few of them, on any processor
    taught = replace(task, train=[posts[:200]], recipe=RECIPE.changed(learning_rate=1e-2, epochs=1))
    fit(replace(taught, checkpoint_file=None))
    taught.base.save(tmp_path / "taught")
    base = language_model.load(tmp_path / "taught")
    recipe = RECIPE.changed(learning_rate=3e-2, epochs=2)
    task = replace(task, base=base, train=[posts[200:240]], recipe=recipe)
    undisturbed = fit(replace(again(task), checkpoint_file=None))
    assert undisturbed.way, undisturbed.history
    to_stop = again(task)

    def press_ctrl_c(event: Event) -> None:
        if event.held_out_bits_per_byte is not None and event.done == undisturbed.steps:
            to_stop.interrupt.requested = True

    with pytest.raises(Interrupted, match=rf"Stopped at step {undisturbed.steps} of"):
        fit(to_stop, press_ctrl_c)
    ended = fit(again(task))
    assert (ended.best, ended.way) == (undisturbed.best, undisturbed.way)
    assert ended.history == undisturbed.history


def test_the_best_weights_of_an_older_checkpoint_are_kept(stopped: TrainingTask) -> None:
    """They once were in the checkpoint itself."""
    import torch

    file = stopped.checkpoint_file
    assert file
    progress, tensors = checkpoint.load(file, Progress) or pytest.fail("no checkpoint")
    weights = {n: w for n, w in tensors.items() if n.startswith("weight.")}
    best = {n.replace("weight.", "best."): torch.full_like(w, 0.5) for n, w in weights.items()}
    progress.best = 0.0
    checkpoint.save(file, progress, tensors | best)
    fit(stopped)
    assert all((w == 0.5).all() for w in stopped.base.model.parameters())


def test_a_training_that_is_not_stopped_after_all_goes_on(task: TrainingTask) -> None:
    asked = []

    def no() -> bool:
        asked.append(1)
        return False

    interrupt = Interrupt(no)
    interrupt.requested = True
    ended = fit(replace(task, interrupt=interrupt))
    assert asked == [1]
    assert ended.history == fit(replace(again(task), checkpoint_file=None)).history


def test_ctrl_c_while_asked_means_yes_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    def press_again() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        return False

    interrupt = Interrupt(press_again)
    with interrupt.watching():
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
        assert interrupt.confirmed()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("what", ["seed", "recipe", "posts", "precision"])
def test_a_checkpoint_of_another_plan_is_refused(stopped: TrainingTask, what: str) -> None:
    other = {
        "seed": replace(stopped, seed=4),
        "recipe": replace(stopped, recipe=RECIPE.changed(epochs=2)),
        "posts": replace(stopped, train=[["Another post."]]),
        "precision": replace(stopped, machine=replace(stopped.machine, precision="bf16")),
    }[what]
    with pytest.raises(BotError, match="belongs to other posts, another base, recipe or seed"):
        fit(other)


def test_a_checkpoint_of_another_base_is_refused(stopped: TrainingTask, tiny_base: Path) -> None:
    with pytest.raises(BotError, match="belongs to other posts, another base, recipe or seed"):
        fit(replace(stopped, base=language_model.load(tiny_base)))


@pytest.mark.parametrize("left", [0, 5, 1_000, -10])
def test_a_damaged_checkpoint_is_one_sentence(stopped: TrainingTask, left: int) -> None:
    file = stopped.checkpoint_file
    assert file
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(BotError, match=r"^The checkpoint .* is damaged .*; train the bot anew\.$"):
        fit(stopped)


def test_a_safetensors_file_of_something_else_is_no_checkpoint(stopped: TrainingTask) -> None:
    assert stopped.checkpoint_file
    model = f"{stopped.base.source}/model.safetensors"
    shutil.copy(model, stopped.checkpoint_file)
    with pytest.raises(BotError, match="is damaged"):
        fit(stopped)


def test_an_older_checkpoint_stays_when_a_new_one_cannot_be_written(
    stopped: TrainingTask, tmp_path: Path
) -> None:
    code = """
import resource, sys
from pathlib import Path
import torch
from huggingtweets.errors import StorageError
from huggingtweets import checkpoint
from huggingtweets.training.progress import Progress
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoint.save(Path(sys.argv[1]), Progress("p"), {"w": torch.zeros(9000)})
except StorageError as error:
    print(error)
"""
    file = stopped.checkpoint_file
    assert file
    before = file.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Can't write {file}: the file would be larger than")
    assert file.read_bytes() == before
    assert {each.name for each in file.parent.iterdir()} == {file.name, "base.safetensors"}
    assert file.parent.parent == tmp_path
