"""Trainings in real worker processes that are stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts, write_csv
from tests.serving.conftest import ANN, BOB, until

from huggingtweets import pipeline
from huggingtweets.errors import StorageError
from huggingtweets.pipeline import preparing
from huggingtweets.serving.jobs import ENDED
from huggingtweets.serving.schemas import LOCAL_USER, Settings, Status, TrainingRequest
from huggingtweets.serving.watchdog import Watchdog
from huggingtweets.serving.worker_pool import WorkerPool
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES, Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.serving.service import Service

    Start = Callable[..., Service]

pytestmark = pytest.mark.timeout(1200)  # a worker takes half a minute to start on a busy machine
LONG = 12
"""Epochs, so many that a training of a tiny model lasts long enough to be killed."""
SLOWLY = 1e-4
"""A learning rate at which the held-out loss falls in each of them; else it would end early."""


@pytest.fixture(scope="module")
def undisturbed_loss(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> float:
    """Best held-out loss of a long training that is never stopped or killed."""
    folder = tmp_path_factory.mktemp("undisturbed_loss")
    source = write_csv(folder / "ann.csv", "ann", made_up_posts(300))
    recipe = RECIPES["fast"].changed(epochs=LONG, learning_rate=SLOWLY)
    options = pipeline.TrainOptions(base=str(tiny_base), recipe=recipe, out=folder / "runs")
    made = preparing.read_and_prepare([source], options, lambda _: None)
    pipeline._train(made, lambda _: None, Interrupt())
    return float(made.record().result["best"])


def long_request(service: Service, csv: Path, visitor: str = LOCAL_USER) -> TrainingRequest:
    upload = str(service.keep_upload(visitor, csv, "ann.csv"))
    return TrainingRequest((upload,), epochs=LONG, learning_rate=SLOWLY)


def is_training(service: Service, name: str = "ann") -> Callable[[], bool]:
    def has_trained() -> bool:
        status = service.status(LOCAL_USER, name)
        assert status.state not in ENDED, status
        return status.state == "training" and status.done >= 8

    return has_trained


def ended(service: Service, name: str = "ann", visitor: str = LOCAL_USER) -> Status:
    until(lambda: service.status(visitor, name).state in ENDED, f"the end of {name}")
    return service.status(visitor, name)


def test_stopped_and_resumed_training_ends_like_an_undisturbed_one(
    tmp_path: Path, start_service: Start, csv: Path, undisturbed_loss: float
) -> None:
    service = start_service(workers=1)
    order = long_request(service, csv)
    name = service.submit(LOCAL_USER, order)
    assert name == "ann"
    seen: set[str] = set()

    def training() -> bool:
        seen.add(service.status(LOCAL_USER, name).state)
        return is_training(service)()

    until(training, "training")
    assert {"reading", "training"} <= seen <= {"waiting", "reading", "training"}
    service.stop_run(LOCAL_USER, name)
    stopped = ended(service)
    assert stopped.state == "stopped"
    assert 0 < stopped.done < stopped.total
    assert stopped.curve
    assert not list((tmp_path / "runs/.app/uploads").rglob("*.csv"))  # no longer needed

    service.resume_run(LOCAL_USER, name)
    done = ended(service)
    assert (done.state, done.error) == ("done", None)
    assert min(point.bits_per_byte for point in done.held_out) == undisturbed_loss
    steps = [point.step for point in done.curve]
    assert steps == sorted(steps)
    assert done.samples
    assert done.tokens_per_second
    assert done.counts["kept"] == 300
    assert service.trainings(LOCAL_USER) == []
    assert len(list(service.write(LOCAL_USER, name, n=3))) == 3
    assert (tmp_path / "runs/ann/report/likeness.html").is_file()


def test_training_survives_a_killed_worker(
    start_service: Start, csv: Path, undisturbed_loss: float
) -> None:
    service = start_service(workers=1)
    name = service.submit(LOCAL_USER, long_request(service, csv))
    until(is_training(service), "training")
    (worker,) = service._trainings._pool.processes
    os.kill(worker, signal.SIGKILL)
    until(lambda: service._trainings._pool.processes != [worker], "another worker")
    done = ended(service)
    assert (done.state, done.error) == ("done", None)
    assert RunFolder(service.settings.out / name).record().result["best"] == undisturbed_loss


SERVER = """
    import sys, time
    from pathlib import Path
    from huggingtweets.serving.service import Service
    from huggingtweets.serving.schemas import TrainingRequest, Settings

    out, base, upload, epochs, rate = sys.argv[1:]
    service = Service(Settings(out=Path(out), base=base))
    service.start()
    kept = service.keep_upload("me", Path(upload), "ann.csv")
    first = TrainingRequest((str(kept),), epochs=int(epochs), learning_rate=float(rate))
    service.submit("me", first)
    service.submit("me", TrainingRequest((str(kept),), epochs=1, name="second"))
    print(*service._trainings._pool.processes, flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def server(tmp_path: Path, tiny_base: Path, csv: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in its own process that trains one bot while another waits."""
    command = [sys.executable, "-c", textwrap.dedent(SERVER)]
    arguments = [str(tmp_path / "runs"), str(tiny_base), str(csv), str(LONG), str(SLOWLY)]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_trainings_survive_a_killed_server(
    tmp_path: Path,
    start_service: Start,
    server: subprocess.Popen[str],
    undisturbed_loss: float,
) -> None:
    assert server.stdout is not None
    worker = int(server.stdout.readline())
    events = RunFolder(tmp_path / "runs/ann").events_file

    def training() -> bool:
        assert server.poll() is None
        return events.exists() and '"epoch": 2' in events.read_text()

    until(training, "training")
    server.kill()
    server.wait()
    until(lambda: not _is_running(worker), "the end of the worker")
    saved = (tmp_path / "runs/ann/checkpoint/state.safetensors").is_file()
    assert saved or '"evaluate"' in events.read_text()  # on a fast machine it may be past training

    service = start_service(workers=1)
    states = [(one.name, one.place) for one in service.trainings(LOCAL_USER)]
    assert [name for name, _ in states] == ["ann", "second"]
    done = ended(service)
    assert (done.state, done.error) == ("done", None)
    assert RunFolder(tmp_path / "runs/ann").record().result["best"] == undisturbed_loss
    assert ended(service, "second").state == "done"  # the first one kept the shared upload
    assert not list((tmp_path / "runs/.app/uploads").rglob("*.csv"))


def test_trainings_run_in_fair_order_and_failures_say_why(
    tmp_path: Path, start_service: Start
) -> None:
    before = start_service(shared=True)
    order = []
    for visitor, name, posts in ((ANN, "one", 3), (ANN, "two", 3), (BOB, "three", 3)):
        csv = write_csv(tmp_path / f"{name}.csv", name, made_up_posts(posts))
        kept = before.keep_upload(visitor, csv, f"{name}.csv")
        before.submit(visitor, TrainingRequest((str(kept),), name=name))
    before.stop()

    service = start_service(shared=True, workers=1)  # finds the waiting trainings
    everybody = ((ANN, "one"), (BOB, "three"), (ANN, "two"))

    def all_ended() -> bool:
        for visitor, name in everybody:
            if name not in order and service.status(visitor, name).state in ENDED:
                order.append(name)
        return len(order) == 3

    until(all_ended, "the end of all")
    assert order.index("three") < order.index("two")
    failed = service.status(ANN, "one")
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.startswith("Only 3") or "characters in 3 posts" in failed.error
    assert not (tmp_path / "runs/.app/visitors" / ANN / "runs" / "one").exists()
    service.delete(ANN, "one")
    jobs = [path.name for path in (tmp_path / "runs/.app/jobs").iterdir()]
    assert not any("one" in name for name in jobs)


def test_training_that_keeps_killing_its_worker_fails(start_service: Start, csv: Path) -> None:
    service = start_service()
    service.submit(LOCAL_USER, long_request(service, csv))
    for died in (101, 102, 103):
        (job,) = service._trainings._jobs.unfinished()
        progress = service._trainings._jobs.progress(job)
        service._trainings._jobs.set_progress(job, replace(progress, state="training", worker=died))
        assert service.status(LOCAL_USER, "ann").state == "training"
        service._trainings._worker_died(died)
    failed = service.status(LOCAL_USER, "ann")
    assert failed.state == "failed"
    assert "died 3 times" in (failed.error or "")
    service.resume_run(LOCAL_USER, "ann")
    assert service.status(LOCAL_USER, "ann").state == "waiting"


def _is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_dead_worker_is_replaced_although_the_first_try_fails(
    tmp_path: Path, tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    died: list[int] = []

    def on_death(process: int) -> None:
        died.append(process)
        if len(died) == 1:
            raise StorageError("Can't write the queue: the disk is full.")

    home = tmp_path / ".app"
    home.mkdir()
    pool = WorkerPool(Settings(out=tmp_path, base=str(tiny_base)), home, Watchdog(), on_death)
    pool.start()
    try:
        [process] = pool.processes
        os.kill(process, signal.SIGKILL)
        until(lambda: pool.processes != [process], "another worker")
        assert died == [process, process]
        assert "can't be started again: Can't write the queue" in caplog.text
    finally:
        pool.stop()
