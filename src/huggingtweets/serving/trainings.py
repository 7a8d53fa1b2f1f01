"""The trainings of a server: queued, under way, stopped, gone on with, followed."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.serving import bot_views
from huggingtweets.serving.jobs import ENDED, Job, JobStore
from huggingtweets.serving.queue import Queue
from huggingtweets.serving.run_progress import ProgressReader
from huggingtweets.serving.schemas import Status
from huggingtweets.serving.worker_pool import WorkerPool
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.serving.schemas import RunState, Settings, TrainingRequest
    from huggingtweets.serving.workspaces import Workspaces

_MOST_DEATHS = 3
_SECONDS_TO_STOP = 60.0


class Trainings:
    """What visitors want trained, and the worker processes that do it.

    Args:
        settings: of the server.
        workspaces: where runs are.
    """

    def __init__(self, settings: Settings, workspaces: Workspaces) -> None:
        self._settings, self._workspaces = settings, workspaces
        self._jobs = JobStore(workspaces.home)
        self._queue = Queue(workspaces.home, settings.queue)
        self._pool = WorkerPool(settings, workspaces.home, self._worker_died)
        self._watcher = ProgressReader()
        self._lock = threading.Lock()

    def queue_again(self) -> None:
        """Queue what was unfinished when the server ended."""
        with self._lock:
            self._queue.empty()
            for job in self._jobs.unfinished():
                if job.wanted == "run":
                    self._put(self._jobs.again(job, deaths=0))

    def start(self) -> None:
        """Start the worker processes."""
        self._pool.start()

    def stop(self) -> None:
        """Let the workers save what they do, and end."""
        self._pool.stop()
        self._queue.close()

    def submit(
        self,
        visitor: str,
        order: TrainingRequest,
        specs: Sequence[str | Path],
        authors: Sequence[str],
    ) -> str:
        """Queue a training; returns the run's name.

        Args:
            visitor: whose.
            order: checked already.
            specs: what its sources are to the pipeline.
            authors: of the posts that were found, as far as is known.

        Raises:
            InputError: too many trainings wait.
            StorageError: the name is taken.
        """
        with self._lock:
            number_of_mine = self._check_room(visitor)
            name = self._free_name(visitor, order, specs, authors)
            before = self._find(visitor, name)
            job = Job(
                visitor,
                name,
                replace(order, name=name),
                # Above that of an earlier job of the same name, whose progress may still lie there.
                turn=before.turn + 1 if before else 1,
                priority=-number_of_mine,
                number=self._jobs.next_number(),
            )
            self._jobs.save(job)
            self._put(job)
            return name

    def status(self, visitor: str, name: str) -> Status:
        """How far a run of this visitor is.

        Raises:
            BotError: there is none of this name.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        job = self._find(visitor, name)
        if job is None:
            return self._course(name, self._workspaces.own_run(visitor, name), None)
        progress = self._jobs.progress(job)
        if progress.state == "waiting" and job.wanted == "run":
            waiting = [one.id for one in self._jobs.waiting()]
            place = waiting.index(job.id) + 1 if job.id in waiting else None
            return replace(self._course(name, run, "waiting"), place=place)
        state: RunState = "stopped" if progress.state == "waiting" else progress.state
        told = self._course(name, run, state)
        if state == "reading":
            told = replace(told, done=progress.done, total=progress.total)
        stopping = job.wanted == "stop" and state not in ENDED
        return replace(
            told,
            message="stopping" if stopping else progress.message or told.message,
            error=progress.error or told.error,
            counts=told.counts or progress.counts,
        )

    def unfinished(self, visitor: str) -> list[Status]:
        """Those of a visitor that wait or are under way, in the order they come."""
        mine = [job for job in self._jobs.unfinished() if job.visitor == visitor]
        return [self.status(visitor, job.name) for job in mine]

    def sources_in_use(self) -> set[Path]:
        """Files that unfinished trainings still read."""
        unfinished = self._jobs.unfinished()
        return {Path(one) for job in unfinished if job.order for one in job.order.sources}

    def stop_run(self, visitor: str, name: str) -> None:
        """Save and stop; a waiting one leaves the queue.

        Raises:
            BotError: there is no unfinished run of this name.
        """
        self._workspaces.run_path(visitor, name)
        with self._lock:
            job = self._find(visitor, name)
            if job is None or not self._jobs.is_unfinished(job):
                raise BotError(f"No training called {name[:100]!r} is under way here.")
            self._jobs.save(replace(job, wanted="stop"))

    def resume(self, visitor: str, name: str) -> None:
        """Queue a stopped or failed run again; it goes on where it was.

        Raises:
            BotError: there is none of this name, or it is done or under way.
            InputError: too many trainings wait.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        with self._lock:
            job = self._find(visitor, name)
            if job is None:
                run = self._workspaces.own_run(visitor, name)
            there = run.record_file.is_file()
            if there and run.record().state == "done" and not run.record().forgotten:
                raise BotError(f"{name} is done; there is nothing to resume.")
            if (job and self._jobs.is_unfinished(job)) or (there and run.is_live()):
                raise BotError(f"{name} is under way already.")
            priority, number = -self._check_room(visitor), self._jobs.next_number()
            if job is None:
                job = Job(visitor, name, None, turn=0)
            self._put(self._jobs.again(job, priority=priority, number=number, deaths=0))

    def end(self, visitor: str, name: str) -> list[Path]:
        """Stop a training, if it is under way, and wait for it; returns files that it read.

        Raises:
            BotError: there is neither a training nor a run of this name.
            StorageError: it doesn't stop.
        """
        run = RunFolder(self._workspaces.run_path(visitor, name))
        job = self._find(visitor, name)
        if job is None:
            self._workspaces.own_run(visitor, name)
        with self._lock:
            if job and self._jobs.is_unfinished(job):
                self._jobs.save(replace(job, wanted="stop"))
        ends = time.monotonic() + _SECONDS_TO_STOP
        while (job and self._jobs.is_unfinished(self._jobs.find(job.id) or job)) or (
            run.path.is_dir() and run.is_live()
        ):
            if time.monotonic() > ends:
                raise StorageError(f"{run.path.name} is still being worked on; try again soon.")
            time.sleep(0.1)
        return [Path(one) for one in job.order.sources] if job and job.order else []

    def forget(self, visitor: str, name: str) -> None:
        """Leave nothing of an ended training."""
        self._jobs.remove(Job(visitor, name, None).id)

    def _find(self, visitor: str, name: str) -> Job | None:
        return self._jobs.find(Job(visitor, name, None).id)

    def _put(self, job: Job) -> None:
        self._queue.put(job.id, job.turn, job.priority)

    def _check_room(self, visitor: str) -> int:
        """How many unfinished trainings a visitor has; one more must be allowed."""
        unfinished = self._jobs.unfinished()
        mine = sum(job.visitor == visitor for job in unfinished)
        if mine >= self._settings.most_waiting:
            raise InputError(
                f"{mine} trainings of yours are under way or wait; let one end, or stop it."
            )
        if len(unfinished) >= self._settings.most_waiting_in_all:
            raise InputError("Too many trainings wait on this server; try again later.")
        return mine

    def _free_name(
        self,
        visitor: str,
        order: TrainingRequest,
        specs: Sequence[str | Path],
        authors: Sequence[str],
    ) -> str:
        """The name an order asks for, or a free one made of the authors or sources."""

        def taken(name: str) -> bool:
            job = self._find(visitor, name)
            ended = job is None or not self._jobs.is_unfinished(job)
            return self._workspaces.run_path(visitor, name).exists() or not ended

        if order.name:
            if taken(order.name):
                raise StorageError(f"There is a bot {order.name} already; choose another name.")
            return order.name
        parts = authors or [_stem(spec) for spec in specs]
        wanted = order.author or "-and-".join(parts)
        plain = re.sub(r"[^\w.-]+", "_", wanted).strip("._-")[:80].strip("._-") or "bot"
        names = (plain if i == 1 else f"{plain}-{i}" for i in range(1, 100_000))
        return next(name for name in names if not taken(name))

    def _course(self, name: str, run: RunFolder, state: RunState | None) -> Status:
        """What the run folder tells, if there is one."""
        if not run.record_file.is_file():
            return Status(name, state or "waiting")
        record = run.record()
        state = state or bot_views.state_of(run)
        course = self._watcher.look(run)
        last = course.last
        training = state in ("training", "waiting", "stopped") and last.get("stage") == "train"
        current = training or (state == "judging" and last.get("stage") == "evaluate")
        return Status(
            name,
            state,
            done=course.step if training else last.get("done", 0) if current else 0,
            total=last.get("total", 0) if current else 0,
            tokens_per_second=course.speed,
            seconds_left=last.get("seconds_left") if state == "training" else None,
            curve=tuple(course.curve),
            held_out=tuple(course.held_out),
            samples=tuple(course.samples),
            message=self._workspaces.without_paths(last.get("message", "")) if current else "",
            error=self._workspaces.without_paths(record.error) if record.error else None,
            counts=record.counts,
        )

    def _worker_died(self, process: int) -> None:
        """Queue what a dead worker had taken again, unless it keeps killing workers."""
        with self._lock:
            for job in self._jobs.unfinished():
                progress = self._jobs.progress(job)
                if progress.worker != process:
                    continue
                if job.wanted == "stop":
                    self._jobs.tell(job, replace(progress, state="stopped", message=""))
                elif job.deaths + 1 >= _MOST_DEATHS:
                    error = (
                        f"Its process died {_MOST_DEATHS} times; perhaps there was not enough "
                        "memory. Resume it when there is more, or choose a smaller base."
                    )
                    self._jobs.tell(job, replace(progress, state="failed", error=error))
                else:
                    self._put(self._jobs.again(job, deaths=job.deaths + 1))


def _stem(spec: str | Path) -> str:
    """What a source's bot may be called before its posts are read."""
    if isinstance(spec, Path):
        return spec.name.split(".")[0]
    return spec.rstrip("/").split("/")[-1].split(":")[-1].lstrip("@")
