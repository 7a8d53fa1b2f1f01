"""A worker process that trains and updates: ``python -m huggingtweets.serving.worker OUT``.

It claims one job after the other from the queue. When the server exits or is killed, the
worker's standard input closes; the worker then saves a checkpoint and exits.
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
from huggingtweets.privacy import opt_out
from huggingtweets.processes import lower_priority
from huggingtweets.serving.jobs import JobStore
from huggingtweets.serving.schemas import Settings
from huggingtweets.serving.updates import run_update
from huggingtweets.serving.workspaces import Workspaces
from huggingtweets.sources.reading import VISITORS, ReadOptions
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES, Interrupt

if TYPE_CHECKING:
    from huggingtweets.events import Event
    from huggingtweets.serving.jobs import Job
    from huggingtweets.serving.schemas import RunState, TrainingRequest

_NICE = 10  # after the server and the previews, which people wait for
_POLL_SECONDS = 0.3
_REPORT_SECONDS = 0.5
_SECONDS_TO_SAVE = 60.0
_STATES: dict[str, RunState] = {
    **dict.fromkeys(("encode", "train"), "training"),
    "evaluate": "judging",
}


class Worker:
    """Runs the queued trainings of a server one by one.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workspaces = Workspaces(settings)
        self.jobs = JobStore(self.workspaces.home)
        self.ending = threading.Event()

    def run(self) -> None:
        """Run trainings until the server ends."""
        while not self.ending.is_set():
            if job := self.jobs.claim():
                Training(self, job).run()
            else:
                self.ending.wait(_POLL_SECONDS)


class Training:
    """One turn of a claimed job."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self.worker, self.job = worker, job
        self.workspaces, self.jobs = worker.workspaces, worker.jobs
        self.interrupt = Interrupt()
        self.progress = self.jobs.progress(job)
        self.reported_at = 0.0

    def run(self) -> None:
        """Train or update; any outcome is recorded in the job's progress."""
        finished = threading.Event()
        watch = threading.Thread(target=self._watch_for_stop, args=(finished,), daemon=True)
        watch.start()
        try:
            message = self._update() if self.job.update else self._train()
        except Interrupted:
            if not self.worker.ending.is_set():
                self._report(state="stopped", message="")
            else:  # the next server continues it
                self._report(state="waiting", message="")
        except HuggingTweetsError as error:
            self._report(state="failed", error=self.workspaces.without_paths(str(error)))
        except Exception as error:  # noqa: BLE001 - the worker must live on for the next training
            kind = type(error).__name__
            self._report(state="failed", error=f"Internal error ({kind}); see worker.log.")
            sys.excepthook(*sys.exc_info())
        else:
            self._report(state="done", message=self.workspaces.without_paths(message))
        finally:
            finished.set()
            watch.join()

    def _train(self) -> str:
        """Read, train and evaluate; the end needs no message."""
        job = self.job
        run = RunFolder(self.workspaces.run_path(job.visitor, job.name))
        if run.record_file.is_file():
            record = run.record()
            if record.state != "done" or record.forgotten:
                pipeline.resume(run.path, self._on_event, self.interrupt)
        elif job.order is None:
            raise BotError(f"The bot {job.name!r} no longer exists.")
        else:
            specs = self.workspaces.sources(job.visitor, job.order.sources)
            options = options_of(job.order, self.worker.settings, run.path.parent, job.name)
            pipeline.train(specs, options, self._on_event, self.interrupt, reading=self._reading())
        self._remove_uploads()
        return ""

    def _update(self) -> str:
        """Update the bot and return what came of it."""
        job = self.job
        assert job.update is not None  # noqa: S101 - checked by the caller
        try:
            run = self.workspaces.own_run(job.visitor, job.name)
            opt_out.check_run(run.record())
            specs = self.workspaces.sources(job.visitor, job.update.sources)
            return run_update(
                run,
                job.update,
                specs,
                listen=self._on_event,
                interrupt=self.interrupt,
                reading=self._reading(),
            )
        finally:
            if not self.worker.ending.is_set():  # else the next server needs them
                self._remove_uploads()

    def _reading(self) -> ReadOptions:
        """How visitors' sources are read."""
        return ReadOptions(
            limits=self.worker.settings.download_limits,
            file_limits=VISITORS,
            is_cancelled=lambda: self.interrupt.requested,
        )

    def _watch_for_stop(self, finished: threading.Event) -> None:
        """Interrupt the training when its visitor stops it or the server ends."""
        while not finished.wait(_POLL_SECONDS):
            job = self.jobs.find(self.job.id)
            stopped = job is None or job.wanted == "stop" or job.turn != self.job.turn
            if stopped or self.worker.ending.is_set():
                self.interrupt.requested = True

    def _on_event(self, event: Event) -> None:
        if event.stage == "track":  # it comes after the end
            return
        state = _STATES.get(event.stage, "reading")
        if state != "training" and self.interrupt.requested:
            # only training has a checkpoint to save; the other stages can simply be repeated
            raise Interrupted("Stopped.")
        if state == "training" and self.progress.state != "training" and not self.job.update:
            self._remove_uploads()  # the run folder holds the posts now
        is_new = state != self.progress.state or bool(event.counts)
        is_due = time.monotonic() - self.reported_at >= _REPORT_SECONDS
        if is_new or (state == "reading" and is_due):
            self._report(
                state=state,
                message=self.workspaces.without_paths(event.message),
                counts=event.counts or self.progress.counts,
                done=event.done,
                total=event.total,
            )

    def _report(self, **changes: object) -> None:
        """Write changed fields of the job's progress."""
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]
        self.reported_at = time.monotonic()
        self.jobs.set_progress(self.job, self.progress)

    def _remove_uploads(self) -> None:
        """Delete the uploads this bot is made from, unless another job needs them."""
        others = [job for job in self.jobs.unfinished() if job.id != self.job.id]
        needed = {file for job in others for file in self._uploads_of(job)}
        for file in self._uploads_of(self.job) - needed:
            self.workspaces.received.remove(file)

    def _uploads_of(self, job: Job) -> set[Path]:
        found = {self.workspaces.upload_file(job.visitor, source) for source in job.sources}
        return {file for file in found if file is not None}


def options_of(
    order: TrainingRequest, settings: Settings, out: Path, name: str | None
) -> pipeline.TrainOptions:
    """The pipeline's options for a request.

    Raises:
        InputError: the request holds an invalid value.
    """
    return pipeline.TrainOptions(
        base=order.base or settings.base,
        recipe=RECIPES[order.recipe].changed(
            epochs=order.epochs, learning_rate=order.learning_rate
        ),
        name=name,
        out=out,
        speaker=order.speaker or None,
        text_column=order.text_column or None,
        author=order.author or None,
        join=order.join,
        keep_names=order.keep_names,
        i_am_the_author=order.i_am_the_author,
        # a tracker would show the server's owner every visitor's training by name
        track="none" if settings.shared else None,
    )


def main() -> None:
    """Run a worker until the server ends."""
    parser = argparse.ArgumentParser(prog="huggingtweets.serving.worker", description=__doc__)
    parser.add_argument("out", type=Path, help="runs folder of the server")
    parser.add_argument("--shared", action="store_true", help="give each visitor a folder")
    parser.add_argument("--local-accounts", action="store_true", help="allow private addresses")
    parser.add_argument("--base", default=bases.default(), help="base of requests that name none")
    parser.add_argument("--number", type=int, default=0, help="index of this worker, from 0")
    args = parser.parse_args()
    settings = Settings(
        out=args.out, shared=args.shared, base=args.base, local_accounts=args.local_accounts
    )
    os.umask(0o077)  # the packages that it uses write files with posts
    lower_priority(_NICE)
    worker = Worker(settings)
    threading.Thread(target=_exit_with_server, args=(worker,), daemon=True).start()
    lock = FileLock(worker.workspaces.home / f"worker-{args.number}.lock")
    while not worker.ending.is_set():  # a worker of the previous server may still be saving
        with suppress(Timeout), lock.acquire(timeout=_POLL_SECONDS):
            worker.run()


def _exit_with_server(worker: Worker) -> None:
    """Wait until standard input closes, then exit after at most a minute for saving."""
    with suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    worker.ending.set()
    time.sleep(_SECONDS_TO_SAVE)
    os._exit(1)


if __name__ == "__main__":
    main()
