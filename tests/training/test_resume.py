"""Stopping a training in every way there is, and going on as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

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
    """A training of a base with dropout, and the result of an uninterrupted run."""

    source: Path
    base: Path
    uninterrupted: RunFolder

    def start(self, out: Path) -> subprocess.Popen[str]:
        """Start the same training in another process, with five checkpoints per second."""
        options = {
            "--base": self.base,
            "--epochs": EPOCHS,
            "--learning-rate": RECIPE.learning_rate,
            "--batch-tokens": RECIPE.batch_tokens,
            "--layers": "all",
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


def stop_in_mid_epoch(process: subprocess.Popen[str], run: RunFolder, how: signal.Signals) -> str:
    """Send a signal shortly after a checkpoint; return the process's error output."""
    deadline = time.monotonic() + 60
    while not run.checkpoint_file.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(how)
    output = process.communicate(timeout=200)[1]
    assert run.display_state() == "interrupted (training)"
    loaded = checkpoint.load(run.checkpoint_file, Progress)
    assert loaded
    assert loaded[0].in_epoch > 0
    assert loaded[0].step < run_steps(run)
    return output


def run_steps(run: RunFolder) -> int:
    return max(int(event["total"]) for event in run.events() if event["stage"] == "train")


def assert_same_result(run: RunFolder, uninterrupted: RunFolder) -> None:
    one, other = run.record(), uninterrupted.record()
    assert one.state == other.state == "done"
    for key in ("history", "best", "steps", "tokens"):
        assert one.result[key] == other.result[key], key
    weights = "model.safetensors"
    assert (run.bot / weights).read_bytes() == (uninterrupted.bot / weights).read_bytes()
    assert not run.checkpoint_file.exists()


def test_killed_and_resumed_gives_the_result_of_an_uninterrupted_run(
    training: Training, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "ann")
    stop_in_mid_epoch(training.start(tmp_path), run, signal.SIGKILL)
    subprocess.run([*COMMAND, "train", "--resume", str(run.path)], check=True, capture_output=True)
    assert_same_result(run, training.uninterrupted)


def test_ctrl_c_saves_and_can_be_resumed(training: Training, tmp_path: Path) -> None:
    run, process = RunFolder(tmp_path / "ann"), training.start(tmp_path)
    output = stop_in_mid_epoch(process, run, signal.SIGINT)
    assert process.returncode == Interrupted.exit_code == 130
    assert "Stopped at step" in output
    assert "Traceback" not in output
    pipeline.resume(run.path)
    assert_same_result(run, training.uninterrupted)
    with pytest.raises(BotError, match="is finished; there is nothing to resume"):
        pipeline.resume(run.path)


@pytest.fixture
def task(dropout_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path) -> TrainingTask:
    lm = language_model.load(dropout_base)
    return TrainingTask(
        lm, [posts[:60], posts[60:80]], posts[280:], RECIPE, cpu, 3, tmp_path / "c" / "state"
    )


def reload(task: TrainingTask) -> TrainingTask:
    return replace(task, base=language_model.load(task.base.source), interrupt=Interrupt())


@pytest.fixture
def stopped(task: TrainingTask) -> TrainingTask:
    """A training that was stopped after its first step."""
    task.interrupt.requested = True
    with pytest.raises(Interrupted, match=r"Stopped at step 1 of \d+\."):
        fit(task)
    return reload(task)


@pytest.mark.parametrize(
    ("precision", "changes"),
    [
        *((precision, {"layers": layers}) for precision in ("fp32", "bf16") for layers in (0, 1)),
        ("fp32", {"layers": "attention"}),
        ("bf16", {"augment": "noise"}),
        ("fp32", {"adapter": "lora:4"}),
        ("bf16", {"adapter": "lora:4", "layers": 1}),
        ("fp32", {"augment": "adversarial", "layers": "bottom:1"}),
    ],
)
def test_stopping_in_every_epoch_does_not_change_the_result(
    task: TrainingTask, precision: Literal["fp32", "bf16"], changes: dict[str, Any]
) -> None:
    task = replace(
        task,
        machine=replace(task.machine, precision=precision),
        recipe=RECIPE.changed(**changes),
    )
    uninterrupted = fit(replace(reload(task), checkpoint_file=None))

    def press_ctrl_c(event: Event) -> None:
        if event.held_out_bits_per_byte is not None and event.done < event.total:
            os.kill(os.getpid(), signal.SIGINT)

    stops = 0
    while True:
        try:
            ended = fit(reload(task), press_ctrl_c)
            break
        except Interrupted:
            stops += 1
    assert stops == EPOCHS
    assert ended.history == uninterrupted.history
    assert (ended.best, ended.steps, ended.tokens) == (
        uninterrupted.best,
        uninterrupted.steps,
        uninterrupted.tokens,
    )


def test_stopping_during_interpolation_does_not_change_the_result(
    task: TrainingTask, posts: list[str], tmp_path: Path
) -> None:
    # on a base that has learned such posts, ten more at a high rate raise the loss on any processor
    recipe = RECIPE.changed(learning_rate=1e-2, epochs=2)
    pretrained = replace(task, train=[posts[:200]], recipe=recipe)
    fit(replace(pretrained, checkpoint_file=None))
    pretrained.base.save(tmp_path / "pretrained")
    base = language_model.load(tmp_path / "pretrained")
    recipe = recipe.changed(learning_rate=5e-3)
    task = replace(task, base=base, train=[posts[200:210]], recipe=recipe)
    uninterrupted = fit(replace(reload(task), checkpoint_file=None))
    assert uninterrupted.way, uninterrupted.history
    to_stop = reload(task)

    def press_ctrl_c(event: Event) -> None:
        if event.held_out_bits_per_byte is not None and event.done == uninterrupted.steps:
            to_stop.interrupt.requested = True

    with pytest.raises(Interrupted, match=rf"Stopped at step {uninterrupted.steps} of"):
        fit(to_stop, press_ctrl_c)
    ended = fit(reload(task))
    assert (ended.best, ended.way) == (uninterrupted.best, uninterrupted.way)
    assert ended.history == uninterrupted.history


def test_best_weights_in_an_older_checkpoint_are_used(stopped: TrainingTask) -> None:
    """Older checkpoints include them instead of a separate file."""
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


def test_training_continues_if_the_stop_is_not_confirmed(task: TrainingTask) -> None:
    calls = []

    def decline() -> bool:
        calls.append(1)
        return False

    interrupt = Interrupt(decline)
    interrupt.requested = True
    ended = fit(replace(task, interrupt=interrupt))
    assert calls == [1]
    assert ended.history == fit(replace(reload(task), checkpoint_file=None)).history


def test_ctrl_c_during_confirmation_means_yes_and_handlers_are_restored() -> None:
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
def test_a_checkpoint_with_other_settings_is_refused(stopped: TrainingTask, what: str) -> None:
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
def test_a_damaged_checkpoint_is_reported_in_one_sentence(stopped: TrainingTask, left: int) -> None:
    file = stopped.checkpoint_file
    assert file
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(
        BotError, match=r"^The checkpoint .* is damaged .*\. Train the bot again\.$"
    ):
        fit(stopped)


def test_another_safetensors_file_is_not_accepted_as_checkpoint(stopped: TrainingTask) -> None:
    assert stopped.checkpoint_file
    model = f"{stopped.base.source}/model.safetensors"
    shutil.copy(model, stopped.checkpoint_file)
    with pytest.raises(BotError, match="is damaged"):
        fit(stopped)


def test_the_previous_checkpoint_remains_when_writing_fails(
    stopped: TrainingTask, tmp_path: Path
) -> None:
    code = """
import resource, sys
from pathlib import Path
import torch
from huggingtweets.errors import StorageError
from huggingtweets.storage import checkpoint
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


@pytest.fixture
def stopped_twice(stopped: TrainingTask) -> TrainingTask:
    """A training with two checkpoints, of its first and second step, both after the base's."""
    stopped.interrupt.requested = True
    with pytest.raises(Interrupted):
        fit(stopped)
    return reload(stopped)


def flip_bit(file: Path, byte: int) -> None:
    """Flip the lowest bit of a byte, as a failing disk would; links to the file keep the old."""
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.unlink()
    file.write_bytes(content)


def regions(file: Path) -> dict[str, int]:
    """A byte in each region of a safetensors file: its header, its metadata, every tensor."""
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = content[8 : 8 + size].decode()
    places = {
        "length of the header": 0,
        "name of a tensor": 8 + text.index("weight."),
        "type of a tensor": 8 + text.index("F32"),
        "progress": 8 + text.index("step", text.index("progress")) + 9,
        "checksum": 8 + text.index("crc32:") + 7,
        "last byte": len(content) - 1,
    }
    del header["__metadata__"]
    kinds = {name.partition(".")[0]: tensor["data_offsets"] for name, tensor in header.items()}
    return places | {kind: 8 + size + (a + b) // 2 for kind, (a, b) in kinds.items()}


def test_a_flipped_bit_anywhere_in_a_checkpoint_does_not_change_the_weights(
    stopped_twice: TrainingTask,
) -> None:
    task = stopped_twice
    file, folder = task.checkpoint_file, task.checkpoint_file and task.checkpoint_file.parent
    assert file
    assert folder
    expected = reload(task)
    history = fit(replace(expected, checkpoint_file=None)).history
    weights = expected.base.model.state_dict()
    shutil.copytree(folder, folder.with_name("kept"))
    places = regions(file)
    assert {"weight", "exp_avg", "exp_avg_sq", "step", "rng"} <= places.keys()
    for place, byte in places.items():
        shutil.rmtree(folder)
        shutil.copytree(folder.with_name("kept"), folder)
        flip_bit(file, byte)
        messages: list[str] = []
        resumed = reload(task)
        ended = fit(resumed, lambda event, said=messages: said.append(event.message))  # type: ignore[misc]
        assert ended.history == history, place
        assert all((w == weights[n]).all() for n, w in resumed.base.model.state_dict().items())
        assert sum("so the one before it is used" in text for text in messages) == 1, place


def test_damaged_best_weights_start_the_training_again(task: TrainingTask) -> None:
    expected = fit(replace(reload(task), checkpoint_file=None))
    steps = expected.history[1]["step"]

    def stop_after_an_epoch(event: Event) -> None:
        task.interrupt.requested = event.done > (steps or 0)

    with pytest.raises(Interrupted):
        fit(task, stop_after_an_epoch)
    assert task.checkpoint_file
    best = task.checkpoint_file.parent / "best.safetensors"
    flip_bit(best, best.stat().st_size - 5)
    messages: list[str] = []
    ended = fit(reload(task), lambda event: messages.append(event.message))
    assert ended.history == expected.history
    assert any("starts from the beginning" in text for text in messages)


def test_a_checkpoint_without_checksum_is_resumed(stopped: TrainingTask) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = stopped.checkpoint_file
    assert file
    with safe_open(file, framework="pt") as opened:
        metadata = {"progress": opened.metadata()["progress"]}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file(tensors, file, metadata=metadata)
    ended = fit(stopped)
    assert ended.history == fit(replace(reload(stopped), checkpoint_file=None)).history
