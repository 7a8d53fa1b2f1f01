"""A process that trains: ``python -m huggingtweets.serving.worker OUT``.

It takes one training after the other from the queue. It ends when its standard input does, which
is when the server ends, however that comes about; the training is saved first.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from huggingtweets import pipeline
from huggingtweets.errors import BotError, HuggingTweetsError, Interrupted
from huggingtweets.nn import bases
from huggingtweets.serving.jobs import JobStore, Progress
from huggingtweets.serving.queue import Queue
from huggingtweets.serving.schemas import Settings
from huggingtweets.serving.workspaces import Workspaces
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES, Interrupt

if TYPE_CHECKING:
    from huggingtweets.events import Event
    from huggingtweets.serving.jobs import Job
    from huggingtweets.serving.schemas import RunState, TrainingRequest

_NICE = 10
"""Writing comes first: a training gets a tenth of a core that both want, else all of it."""

_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_BETWEEN_WORDS = 0.5
_SECONDS_TO_SAVE = 60.0
_STATES: dict[str, RunState] = {
    **dict.fromkeys(("encode", "train"), "training"),
    "evaluate": "judging",
}


class Worker:
    """Works off a queue.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workspaces = Workspaces(settings)
        self.jobs = JobStore(self.workspaces.home)
        self.queue = Queue(self.workspaces.home, settings.queue, self.work)
        self.ending = threading.Event()

    def run(self) -> None:
        """Work until told to end."""
        while not self.ending.is_set():
            if not self.queue.process_next():
                self.ending.wait(_SECONDS_BETWEEN_LOOKS)
        self.queue.close()

    def work(self, job_id: str, turn: int) -> None:
        """Do a training, unless something else is wanted of it by now."""
        job = self.jobs.find(job_id)
        if job is not None and job.turn == turn and job.wanted == "run":
            Training(self, job).run()


class Training:
    """One turn of one job."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self.worker, self.job = worker, job
        self.workspaces, self.jobs = worker.workspaces, worker.jobs
        self.interrupt = Interrupt()
        self.told = Progress(job.turn)
        self.told_at = 0.0

    def run(self) -> None:
        """Read, train and judge; the outcome is in the job's progress, whatever it is."""
        self._tell(state="reading")
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watch.start()
        try:
            self._train()
        except Interrupted:
            if not self.worker.ending.is_set():
                self._tell(state="stopped", message="")
            else:  # it goes on with the next server
                self._tell(state="waiting", message="")
        except HuggingTweetsError as error:
            self._tell(state="failed", error=self.workspaces.without_paths(str(error)))
        except Exception as error:  # noqa: BLE001 - the next training must not suffer
            kind = type(error).__name__
            self._tell(state="failed", error=f"An error of the program ({kind}); see worker.log.")
            sys.excepthook(*sys.exc_info())
        else:
            self._tell(state="done", message="")
        finally:
            over.set()
            watch.join()

    def _train(self) -> None:
        job = self.job
        run = RunFolder(self.workspaces.run_path(job.visitor, job.name))
        if run.record_file.is_file():
            record = run.record()
            if record.state != "done" or record.forgotten:
                pipeline.resume(run.path, self._listen, self.interrupt)
        elif job.order is None:
            raise BotError(f"There is no bot {job.name!r} any more.")
        else:
            specs = self.workspaces.sources(job.visitor, job.order.sources)
            options = options_of(job.order, self.worker.settings, run.path.parent, job.name)
            pipeline.train(specs, options, self._listen, self.interrupt)
        self._forget_uploads()

    def _watch(self, over: threading.Event) -> None:
        """Ask the training to save and stop when its visitor or the server wants that."""
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            job = self.jobs.find(self.job.id)
            stopped = job is None or job.wanted == "stop" or job.turn != self.job.turn
            if stopped or self.worker.ending.is_set():
                self.interrupt.requested = True

    def _listen(self, event: Event) -> None:
        state = _STATES.get(event.stage, "reading")
        if state != "training" and self.interrupt.requested:
            # training saves first; of the other stages nothing is lost
            raise Interrupted("Stopped.")
        if state == "training" and self.told.state != "training":
            self._forget_uploads()  # the posts are in the run folder
        message = self.workspaces.without_paths(event.message)
        if state == "reading" or event.counts or state != self.told.state:
            counts = event.counts or self.told.counts
            changes: dict[str, object] = {"state": state, "message": message, "counts": counts}
            changes |= {"done": event.done, "total": event.total}
            now = time.monotonic()
            new = state != self.told.state or event.counts
            if new or now - self.told_at >= _SECONDS_BETWEEN_WORDS:
                self._tell(**changes)

    def _tell(self, **changes: object) -> None:
        self.told = replace(self.told, **changes)  # type: ignore[arg-type]  # fields of Progress
        self.told_at = time.monotonic()
        self.jobs.tell(self.job, self.told)

    def _forget_uploads(self) -> None:
        """Remove the files this bot was made from, unless another training still needs them."""
        if self.job.order is None:
            return
        others = [job for job in self.jobs.unfinished() if job.id != self.job.id]
        needed = {source for job in others if job.order for source in job.order.sources}
        for source in set(self.job.order.sources) - needed:
            self.workspaces.forget_upload(Path(source))


def options_of(
    order: TrainingRequest, settings: Settings, out: Path, name: str | None
) -> pipeline.TrainOptions:
    """What the pipeline is told.

    Raises:
        InputError: something in the order can't be used.
    """
    return pipeline.TrainOptions(
        base=order.base or settings.base,
        recipe=RECIPES[order.recipe].changed(
            epochs=order.epochs, learning_rate=order.learning_rate
        ),
        name=name,
        out=out,
        speaker=order.speaker or None,
        author=order.author or None,
        i_am_the_author=order.i_am_the_author,
        # a tracker would show everybody's trainings to the server's owner, by name
        track="none" if settings.shared else None,
    )


def main() -> None:
    """Start a worker."""
    parser = argparse.ArgumentParser(prog="huggingtweets.serving.worker", description=__doc__)
    parser.add_argument("out", type=Path, help="the runs folder of the server")
    parser.add_argument("--shared", action="store_true", help="visitors have folders of their own")
    parser.add_argument("--base", default=bases.default(), help="of bots that name none")
    parser.add_argument("--queue", default=None, help="a redis:// address; SQLite if not given")
    parser.add_argument("--number", type=int, default=0, help="of this worker, from 0")
    given = parser.parse_args()
    settings = Settings(out=given.out, shared=given.shared, base=given.base, queue=given.queue)
    _lower_priority()
    worker = Worker(settings)
    threading.Thread(target=_end_with_the_server, args=(worker,), daemon=True).start()
    lock = FileLock(worker.workspaces.home / f"worker-{given.number}.lock")
    while not worker.ending.is_set():  # the worker of an earlier server may still be saving
        with suppress(Timeout), lock.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
            worker.run()


def _lower_priority() -> None:
    """Let the server go first."""
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(_NICE)
    with suppress(OSError):  # Linux may weigh whole sessions, and this process has its own
        Path("/proc/self/autogroup").write_text(str(_NICE), "ascii")


def _end_with_the_server(worker: Worker) -> None:
    """Wait until standard input ends; then there is a minute to save."""
    with suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    worker.ending.set()
    time.sleep(_SECONDS_TO_SAVE)
    os._exit(1)


if __name__ == "__main__":
    main()
