"""The queue of trainings and updates, as small files, so that a killed process loses nothing.

.. code-block:: text

    jobs/VISITOR.NAME.json      the request; only the server writes it
    jobs/VISITOR.NAME.progress  the progress; written by the worker that claimed the job, and by
                                the server after that worker died
    jobs/*.damaged-N            a file that couldn't be read when a server started
    jobs/.lock                  held while a job is claimed or its progress is written

Every time a job is queued its turn number goes up. Progress of an earlier turn is ignored, so the
two files never have to change together.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from huggingtweets.decoding import decode
from huggingtweets.errors import InputError
from huggingtweets.serving.schemas import (  # noqa: TC001 - msgspec reads them
    RunState,
    TrainingRequest,
    UpdateRequest,
)
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

ENDED = ("done", "stopped", "failed")

_TIMESTAMP_SECONDS = 5.0
"""A file system may give two changes within this time the same timestamp."""


@dataclass(frozen=True, slots=True)
class Job:
    """A queued training, or a queued update of a finished bot.

    Attributes:
        visitor: id of the visitor who requested it.
        name: of the run.
        order: the request; None resumes an existing run.
        wanted: desired state, ``run`` or ``stop``.
        turn: how often the job was queued, from 1.
        priority: 0 or less: minus the number of unfinished trainings that its client already had,
            so that clients take turns.
        number: decides the order within a priority, lowest first.
        deaths: workers that died while running it since a visitor or the server queued it.
        submitted_at: UTC, ISO 8601.
        client: who sent the request, however many cookies they have; empty for the visitor.
        update: the request of an update; None for a training.
    """

    visitor: str
    name: str
    order: TrainingRequest | None
    wanted: Literal["run", "stop"] = "run"
    turn: int = 1
    priority: int = 0
    number: int = 0
    deaths: int = 0
    submitted_at: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )
    client: str = ""
    update: UpdateRequest | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the request names."""
        request = self.update or self.order
        return request.sources if request else ()

    @property
    def id(self) -> str:
        """The stem of the job's file names. Visitor ids contain no dot."""
        return f"{self.visitor}.{self.name}"


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job, as its worker reports it.

    Attributes:
        turn: of the job.
        state: as in :class:`~huggingtweets.serving.schemas.Status`.
        message: one line for the page; at the end of an update its outcome.
        done: steps done of ``total`` while there is no run folder yet.
        total: 0 if unknown.
        counts: number of posts by curation outcome.
        error: why the job failed.
        worker: process id of the worker.
    """

    turn: int
    state: RunState = "waiting"
    message: str = ""
    done: int = 0
    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    worker: int = field(default_factory=os.getpid)


class JobStore:
    """The jobs of a server, shared by the server and its workers.

    Args:
        home: ``OUT/.app``.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "jobs"
        self._idle_at = 0.0  # when the folder was last changed, if no job was waiting then

    def all(self) -> list[Job]:
        """All jobs in queue order: by priority, then first come, first served."""
        jobs = [job for file in self._folder.glob("*.json") if (job := _read_job(file))]
        return sorted(jobs, key=lambda job: (-job.priority, job.number))

    def find(self, job_id: str) -> Job | None:
        """The job with this id, or None."""
        return _read_job(self._folder / f"{job_id}.json")

    def save(self, job: Job) -> None:
        """Write a job's request file."""
        files.write_json(self._folder / f"{job.id}.json", asdict(job))

    def claim(self) -> Job | None:
        """Take the first waiting job for this process, or return None if no job waits.

        The lock ensures that two workers never claim the same job. A worker that dies before its
        claim is written leaves the job waiting.
        """
        changed_at = self._folder.stat().st_mtime if self._folder.is_dir() else 0.0
        if changed_at == self._idle_at:
            return None  # an idle worker doesn't read all files again and again
        if not self.waiting():
            if time.time() - changed_at > _TIMESTAMP_SECONDS:
                self._idle_at = changed_at
            return None
        with files.waiting_for(self._folder):
            for job in self.waiting():
                self._write_progress(job, Progress(job.turn, "reading"))
                return job
        return None

    def progress(self, job: Job) -> Progress:
        """The progress of a job in its current turn."""
        progress = self.last_progress(job)
        if progress is not None and progress.turn == job.turn:
            return progress
        return Progress(job.turn, worker=0)

    def set_progress(self, job: Job, progress: Progress) -> None:
        """Write a job's progress, unless the job has been claimed again in a later turn."""
        with files.waiting_for(self._folder):
            written = self.last_progress(job)
            if written is None or written.turn <= progress.turn:
                self._write_progress(job, progress)

    def last_progress(self, job: Job) -> Progress | None:
        """The progress of a job in its last turn, whichever that was; None without any."""
        return _read_progress(self._folder / f"{job.id}.progress")

    def _write_progress(self, job: Job, progress: Progress) -> None:
        files.write_json(self._folder / f"{job.id}.progress", asdict(progress))

    def remove(self, job_id: str) -> None:
        """Delete a job's files."""
        for ending in ("json", "progress"):
            (self._folder / f"{job_id}.{ending}").unlink(missing_ok=True)

    def is_unfinished(self, job: Job) -> bool:
        """Whether a worker is running the job or will claim it."""
        state = self.progress(job).state
        return state not in ENDED and (job.wanted == "run" or state != "waiting")

    def unfinished(self) -> list[Job]:
        """Unfinished jobs in queue order."""
        return [job for job in self.all() if self.is_unfinished(job)]

    def waiting(self) -> list[Job]:
        """Unclaimed jobs in queue order."""
        return [job for job in self.unfinished() if self.progress(job).state == "waiting"]

    def set_damaged_aside(self) -> list[Job]:
        """Rename each file that can't be read; each is logged in one line.

        Returns:
            The jobs whose requests were set aside, without their request; a worker can continue
            those that have a run folder.
        """
        if self._folder.exists() and not self._folder.is_dir():
            _set_aside(self._folder)
        lost = []
        for file in sorted(self._folder.glob("*.json")):
            visitor, _, name = file.stem.partition(".")
            job = _read_job(file)
            if job is None or (job.visitor, job.name) != (visitor, name):
                _set_aside(file)
                lost.append(Job(visitor, name, None))
        for file in sorted(self._folder.glob("*.progress")):
            if _read_progress(file) is None:
                _set_aside(file)
        return lost

    def next_number(self) -> int:
        """A number higher than that of every job."""
        return 1 + max((job.number for job in self.all()), default=0)

    def requeue(self, job: Job, **changes: Any) -> None:  # noqa: ANN401 - fields of Job
        """Queue a job for another turn, with some of its fields changed."""
        self.save(replace(job, turn=job.turn + 1, wanted="run", **changes))


def _read_job(file: Path) -> Job | None:
    """The job in a file, or None if the file is missing or damaged."""
    return _read(file, Job)


def _read_progress(file: Path) -> Progress | None:
    """The progress in a file, or None if the file is missing or damaged."""
    return _read(file, Progress)


def _read(file: Path, kind: type[T]) -> T | None:
    """Read a dataclass; keys that another version of the program has written are dropped."""
    try:
        return decode(file.read_bytes(), kind)
    except (OSError, ValueError, InputError):
        return None


def _set_aside(file: Path) -> None:
    """Rename a damaged file, so that it can be looked at and is no longer read."""
    number = next(i for i in count(1) if not _aside(file, i).exists())
    with files.wrap_os_errors(file):
        file.rename(_aside(file, number))
    logging.getLogger(__name__).warning(
        "%s is damaged; it is kept as %s.", file, _aside(file, number).name
    )


def _aside(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.damaged-{number}")
