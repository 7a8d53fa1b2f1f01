"""What was ordered and how far it is, as small files: nothing is lost with a process.

.. code-block:: text

    jobs/VISITOR.NAME.json      what is wanted; only the server writes it
    jobs/VISITOR.NAME.progress  how it goes; only the worker that has it writes it

Each time a training is queued it gets another turn. A progress of an earlier turn counts for
nothing, so the two files never have to change together.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.serving.schemas import TrainingRequest
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.serving.schemas import RunState

ENDED = ("done", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Job:
    """A training that a visitor wants.

    Attributes:
        visitor: whose.
        name: of the run.
        order: what was ordered; None goes on with a run that is there.
        wanted: ``run`` or ``stop``.
        turn: how often it was queued, from 1.
        priority: 0 and below: minus the unfinished trainings its visitor had already.
        number: those of the same priority come in this order.
        deaths: workers that died of it in this turn.
        submitted_at: UTC, ISO 8601.
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

    @property
    def id(self) -> str:
        """What its files are called; no visitor's id holds a dot."""
        return f"{self.visitor}.{self.name}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How a training goes, as its worker tells.

    Attributes:
        turn: of the job.
        state: as in :class:`~huggingtweets.serving.schemas.Status`.
        message: one line for people.
        done: of ``total``, before there is a run folder to tell it.
        total: 0 where it isn't known.
        counts: posts by what curation did with them.
        error: the sentence it failed with.
        worker: its process.
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
    """The jobs of a server.

    Args:
        home: ``OUT/.app``.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "jobs"

    def all(self) -> list[Job]:
        """Every job, those that come first in front."""
        if not self._folder.is_dir():
            return []
        found = [job for file in self._folder.glob("*.json") if (job := _job(file))]
        return sorted(found, key=lambda job: (-job.priority, job.number))

    def find(self, job_id: str) -> Job | None:
        """A job, or None where there is none."""
        return _job(self._folder / f"{job_id}.json")

    def save(self, job: Job) -> None:
        """Write what is wanted."""
        values = asdict(job)
        files.write_json(self._folder / f"{job.id}.json", values)

    def progress(self, job: Job) -> Progress:
        """How far a job is in its present turn."""
        with suppress(OSError, ValueError, TypeError):
            values = json.loads((self._folder / f"{job.id}.progress").read_text("utf-8"))
            found = Progress(**_known(Progress, values))
            if found.turn == job.turn:
                return found
        return Progress(job.turn, worker=0)

    def tell(self, job: Job, progress: Progress) -> None:
        """Write how it goes."""
        files.write_json(self._folder / f"{job.id}.progress", asdict(progress))

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        for ending in ("json", "progress"):
            (self._folder / f"{job_id}.{ending}").unlink(missing_ok=True)

    def is_unfinished(self, job: Job) -> bool:
        """Whether a worker has, or will get, something to do with it."""
        state = self.progress(job).state
        return state not in ENDED and (job.wanted == "run" or state != "waiting")

    def unfinished(self) -> list[Job]:
        """Those jobs, in the order they come."""
        return [job for job in self.all() if self.is_unfinished(job)]

    def waiting(self) -> list[Job]:
        """Those whose turn has not come, in the order they come."""
        return [job for job in self.unfinished() if self.progress(job).state == "waiting"]

    def next_number(self) -> int:
        """A number above those of all jobs."""
        return 1 + max((job.number for job in self.all()), default=0)

    def again(self, job: Job, **changes: Any) -> Job:  # noqa: ANN401 - fields of Job
        """The job in another turn, saved."""
        changed = replace(job, turn=job.turn + 1, wanted="run", **changes)
        self.save(changed)
        return changed


def _job(file: Path) -> Job | None:
    try:
        values = _known(Job, json.loads(file.read_text("utf-8")))
        order = values.get("order")
        if order is not None:
            order = TrainingRequest(
                **_known(TrainingRequest, {**order, "sources": tuple(order["sources"])})
            )
        return Job(**{**values, "order": order})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
