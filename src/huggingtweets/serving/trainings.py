"""The trainings and updates of a server: queue, stop, resume and report progress."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.serving import bot_views
from huggingtweets.serving.jobs import ENDED, Job, JobStore
from huggingtweets.serving.run_progress import ProgressReader
from huggingtweets.serving.schemas import Status
from huggingtweets.serving.worker_pool import WorkerPool
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.serving.run_progress import TrainingProgress
    from huggingtweets.serving.schemas import RunState, Settings, TrainingRequest, UpdateRequest
    from huggingtweets.serving.watchdog import Watchdog
    from huggingtweets.serving.workspaces import Workspaces

_MOST_DEATHS = 3
_SECONDS_TO_STOP = 60.0


class Trainings:
    """The visitors' trainings and updates, and the worker processes that run them.

    Args:
        settings: of the server.
        workspaces: locate the visitors' runs.
        watchdog: watches the thread that restarts workers.
    """

    def __init__(self, settings: Settings, workspaces: Workspaces, watchdog: Watchdog) -> None:
        self._settings, self._workspaces = settings, workspaces
        self._jobs = JobStore(workspaces.home)
        self._pool = WorkerPool(settings, workspaces.home, watchdog, self._worker_died)
        self._progress_reader = ProgressReader()
        self._lock = threading.Lock()

    def requeue_unfinished(self) -> None:
        """Queue every training that was unfinished when the server ended.

        One whose request is damaged continues from its run folder. Without a folder it has to be
        requested again.
        """
        with self._lock:
            for lost in self._jobs.set_damaged_aside():
                self._rebuild(lost)
            for job in self._jobs.unfinished():
                if job.wanted == "run":
                    self._jobs.requeue(job, deaths=0)

    def _rebuild(self, lost: Job) -> None:
        """Queue a training whose request was lost, if its run folder is unfinished."""
        try:
            run = self._workspaces.own_run(lost.visitor, lost.name)
            finished = run.record().state in ("done", "failed")
        except (InputError, ValueError):  # no such visitor, no folder, or that is damaged as well
            return
        last = self._jobs.last_progress(lost)
        if finished or (last and last.state in ENDED):
            return
        turn = last.turn if last else 1
        self._jobs.save(replace(lost, turn=turn, number=self._jobs.next_number()))

    def start(self) -> None:
        """Start the worker processes."""
        self._pool.start()

    def stop(self) -> None:
        """Stop the workers after they have saved their checkpoints."""
        self._pool.stop()

    def submit(
        self,
        visitor: str,
        order: TrainingRequest,
        specs: Sequence[str | Path],
        authors: Sequence[str],
        client: str = "",
    ) -> str:
        """Queue a training and return the run's name.

        Args:
            visitor: who requests it.
            order: a validated request.
            specs: its sources as the pipeline reads them.
            authors: of the posts, if the sources were previewed.
            client: from where; empty if that is the same as who.

        Raises:
            InputError: the visitor, the client or the server has too many unfinished trainings.
            StorageError: the name is taken.
        """
        with self._lock:
            unfinished = self._check_capacity(visitor, client)
            name = self._choose_name(visitor, order, specs, authors)
            previous = self._find(visitor, name)
            job = Job(
                visitor,
                name,
                replace(order, name=name),
                # above an earlier job of the same name, whose progress file may still exist
                turn=previous.turn + 1 if previous else 1,
                priority=-unfinished,
                number=self._jobs.next_number(),
                client=client,
            )
            self._jobs.save(job)
            return name

    def submit_update(
        self, visitor: str, name: str, request: UpdateRequest, client: str = ""
    ) -> None:
        """Queue an update of a finished bot.

        Raises:
            BotError: the visitor has no bot of this name, or it is waiting or running.
            InputError: the visitor, the client or the server has too many unfinished trainings.
        """
        run = self._workspaces.own_run(visitor, name)
        with self._lock:
            self._check_idle(visitor, name, run)
            self._queue_again(visitor, name, client, update=request)

    def check_idle(self, visitor: str, name: str) -> None:
        """Check that a run of the visitor's is neither waiting nor running.

        Raises:
            BotError: it is, or there is no such run.
        """
        self._check_idle(visitor, name, self._workspaces.own_run(visitor, name))

    def _check_idle(self, visitor: str, name: str, run: RunFolder) -> None:
        job = self._find(visitor, name)
        queued = job is not None and self._jobs.is_unfinished(job)
        if queued or (run.record_file.is_file() and run.is_live()):
            raise BotError(f"{name} is already waiting or running.")

    def _queue_again(
        self, visitor: str, name: str, client: str, update: UpdateRequest | None = None
    ) -> None:
        """Queue the job of a run for another turn."""
        priority = -self._check_capacity(visitor, client)
        number = self._jobs.next_number()
        job = self._find(visitor, name) or Job(visitor, name, None, turn=0)
        self._jobs.requeue(
            job, priority=priority, number=number, deaths=0, client=client, update=update
        )

    def status(self, visitor: str, name: str) -> Status:
        """The status of one of the visitor's runs.

        Raises:
            BotError: the visitor has no run of this name.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        job = self._find(visitor, name)
        if job is None:
            return self._folder_status(name, self._workspaces.own_run(visitor, name), None)
        progress = self._jobs.progress(job)
        is_waiting = progress.state == "waiting" and job.wanted == "run"
        state: RunState = progress.state
        if state == "waiting" and not is_waiting:
            state = "stopped"
        if job.update:
            status = self._update_status(job, run, state)
        else:
            status = self._folder_status(name, run, state)
        if is_waiting:
            waiting = [other.id for other in self._jobs.waiting()]
            return replace(status, place=waiting.index(job.id) + 1 if job.id in waiting else None)
        if state == "reading":
            status = replace(status, done=progress.done, total=progress.total)
        stopping = job.wanted == "stop" and state not in ENDED
        return replace(
            status,
            message="stopping" if stopping else progress.message or status.message,
            error=progress.error or status.error,
            counts=status.counts or progress.counts,
        )

    def unfinished(self, visitor: str) -> list[Status]:
        """The visitor's waiting and running trainings and updates, in queue order."""
        jobs = [job for job in self._jobs.unfinished() if job.visitor == visitor]
        return [self.status(visitor, job.name) for job in jobs]

    def sources_in_use(self) -> set[Path]:
        """Source files of unfinished trainings."""
        unfinished = self._jobs.unfinished()
        return {file for job in unfinished for file in self._uploads_of(job)}

    def _uploads_of(self, job: Job) -> list[Path]:
        found = (self._workspaces.upload_file(job.visitor, source) for source in job.sources)
        return [file for file in found if file is not None]

    def stop_run(self, visitor: str, name: str) -> None:
        """Stop a run after it has saved a checkpoint, or take a waiting one off the queue.

        Raises:
            BotError: the visitor has no unfinished training of this name.
        """
        self._workspaces.run_path(visitor, name)
        with self._lock:
            job = self._find(visitor, name)
            if job is None or not self._jobs.is_unfinished(job):
                raise BotError(f"No training called {name[:100]!r} is waiting or running.")
            self._jobs.save(replace(job, wanted="stop"))

    def resume(self, visitor: str, name: str, client: str = "") -> None:
        """Queue a stopped or failed run, which continues from its checkpoint.

        Raises:
            BotError: the visitor has no run of this name, or it is done or running.
            InputError: the visitor or the server has too many unfinished trainings.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        with self._lock:
            job = self._find(visitor, name)
            if job is None:
                run = self._workspaces.own_run(visitor, name)
            exists = run.record_file.is_file()
            if exists and run.record().state == "done" and not run.record().forgotten:
                raise BotError(f"{name} is done; there is nothing to resume.")
            self._check_idle(visitor, name, run)
            self._queue_again(visitor, name, client)

    def stop_and_wait(self, visitor: str, name: str) -> list[Path]:
        """Stop a training, wait until it has stopped, and return its source files.

        Raises:
            BotError: the visitor has neither a training nor a run of this name.
            StorageError: the training doesn't stop within a minute.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        job = self._find(visitor, name)
        if job is None:
            self._workspaces.own_run(visitor, name)
        with self._lock:
            if job and self._jobs.is_unfinished(job):
                self._jobs.save(replace(job, wanted="stop"))
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while (job and self._jobs.is_unfinished(self._jobs.find(job.id) or job)) or (
            run.path.is_dir() and run.is_live()
        ):
            if time.monotonic() > deadline:
                raise StorageError(f"{run.path.name} is still stopping; try again in a moment.")
            time.sleep(0.1)
        return self._uploads_of(job) if job else []

    def remove(self, visitor: str, name: str) -> None:
        """Delete the job of an ended training."""
        self._jobs.remove(Job(visitor, name, None).id)

    def _find(self, visitor: str, name: str) -> Job | None:
        return self._jobs.find(Job(visitor, name, None).id)

    def _check_capacity(self, visitor: str, client: str) -> int:
        """Return the client's number of unfinished trainings, if one more is allowed."""
        unfinished = self._jobs.unfinished()
        own = sum(job.visitor == visitor for job in unfinished)
        if own >= self._settings.most_waiting:
            raise InputError(
                f"You have {own} unfinished trainings, which is the limit. Stop one, or wait until "
                "one is done."
            )
        of_client = sum((job.client or job.visitor) == (client or visitor) for job in unfinished)
        if client and of_client >= self._settings.most_waiting_per_client:
            raise InputError(
                f"{of_client} trainings from your network address are unfinished, which is the "
                "limit; try again when one is done."
            )
        if len(unfinished) >= self._settings.most_waiting_in_all:
            raise InputError("The server's training queue is full; try again later.")
        return of_client

    def _choose_name(
        self,
        visitor: str,
        order: TrainingRequest,
        specs: Sequence[str | Path],
        authors: Sequence[str],
    ) -> str:
        """The requested name, or an unused one built from the authors or sources."""

        def is_taken(name: str) -> bool:
            job = self._find(visitor, name)
            queued = job is not None and self._jobs.is_unfinished(job)
            return queued or self._workspaces.run_path(visitor, name).exists()

        if order.name:
            if is_taken(order.name):
                raise StorageError(f"A bot named {order.name} already exists; choose another name.")
            return order.name
        parts = authors or [_source_name(spec) for spec in specs]
        base = order.author or "-and-".join(parts)
        base = re.sub(r"[^\w.-]+", "_", base).strip("._-")[:80].strip("._-") or "bot"
        names = (base if i == 1 else f"{base}-{i}" for i in range(1, 100_000))
        return next(name for name in names if not is_taken(name))

    def _folder_status(self, name: str, run: RunFolder, state: RunState | None) -> Status:
        """The status that the run folder records.

        Args:
            name: of the run.
            run: its folder, which may not exist yet.
            state: of the job; None derives it from the folder.
        """
        if not run.record_file.is_file():
            return Status(name, state or "waiting")
        record = run.record()
        state = state or bot_views.state_of(run)
        return replace(
            self._with_progress(Status(name, state), self._progress_reader.update(run)),
            error=self._workspaces.without_paths(record.error) if record.error else None,
            counts=record.counts,
        )

    def _update_status(self, job: Job, run: RunFolder, state: RunState) -> Status:
        """The status of an update, with the progress of the version that it makes."""
        status = Status(job.name, state, is_update=True)
        if state in ("training", "judging"):
            with suppress(OSError):  # it begins, or has just ended
                progress = self._progress_reader.update(run.staging, job.turn)
                return self._with_progress(status, progress)
        return status

    def _with_progress(self, status: Status, progress: TrainingProgress) -> Status:
        """Add to a status what a run has logged."""
        state, last = status.state, progress.last
        training = state in ("training", "waiting", "stopped") and last.get("stage") == "train"
        current = training or (state == "judging" and last.get("stage") == "evaluate")
        return replace(
            status,
            done=progress.step if training else last.get("done", 0) if current else 0,
            total=last.get("total", 0) if current else 0,
            tokens_per_second=progress.speed,
            seconds_left=last.get("seconds_left") if state == "training" else None,
            curve=tuple(progress.curve),
            held_out=tuple(progress.held_out),
            samples=tuple(progress.samples),
            message=self._workspaces.without_paths(last.get("message", "")) if current else "",
        )

    def _worker_died(self, process: int) -> None:
        """Requeue the job of a dead worker, unless too many workers have died of it."""
        with self._lock:
            for job in self._jobs.unfinished():
                progress = self._jobs.progress(job)
                if progress.worker != process:
                    continue
                if job.wanted == "stop":
                    self._jobs.set_progress(job, replace(progress, state="stopped", message=""))
                elif job.deaths + 1 >= _MOST_DEATHS:
                    error = (
                        f"The training process died {_MOST_DEATHS} times, perhaps for lack of "
                        "memory. Free some memory and try again, or choose a smaller base."
                    )
                    self._jobs.set_progress(job, replace(progress, state="failed", error=error))
                else:
                    self._jobs.requeue(job, deaths=job.deaths + 1)


def _source_name(spec: str | Path) -> str:
    """The name of a source's bot while its authors are unknown."""
    if isinstance(spec, Path):
        return spec.name.split(".")[0]
    return spec.rstrip("/").split("/")[-1].split(":")[-1].lstrip("@")
