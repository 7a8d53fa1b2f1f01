"""The workers of a fleet, with as many at once as cores and memory allow."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from huggingtweets import workers
from huggingtweets.errors import StorageError
from huggingtweets.fleet import job, sent_base
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from concurrent.futures import Future

    from huggingtweets.fleet.settings import FleetSettings
    from huggingtweets.storage.fleets import FleetFolder
    from huggingtweets.workers.local import LocalWorkers
    from huggingtweets.workers.ray_cluster import RayWorkers

_BYTES_FOR_PROGRAM = 1_900_000_000
_BYTES_EACH, _BYTES_EACH_TRAINED = 15, 12
"""Memory of a training: Python and torch with the report's models; for each weight of the base; and
for each trained one its fp32 value and two moments. Measured with small bots: 2.3 GB from pocket,
3.5 GB from SmolLM2 (resident, benchmarks/fleet.py)."""


class FleetWorkers(Protocol):
    """Trains several authors at once."""

    @property
    def count(self) -> int:
        """Number of concurrent trainings."""

    def submit(self, name: str, author: str) -> Future[job.Answer]:
        """Train the author of a prepared run folder.

        The future raises :class:`~huggingtweets.workers.WorkerDied` if it must be retried, and
        :class:`~huggingtweets.errors.TrainingError` if no worker can do it.
        """

    def close(self) -> None:
        """End all workers at once, including running jobs."""


def check(spec: str) -> None:
    """Check ``--workers``; ``local`` alone means one for each core.

    Raises:
        InputError: it is invalid, or Ray is missing.
    """
    workers.check(spec)


def open_workers(
    spec: str, fleet: FleetFolder, settings: FleetSettings, parameters: int
) -> tuple[FleetWorkers, str]:
    """Start workers; return them and a line about what limits their number, or an empty one.

    Args:
        spec: ``local``, ``local:N``, ``ray`` or ``ray://HOST:PORT``.
        fleet: the folder.
        settings: of the fleet.
        parameters: number of weights of the base.

    Raises:
        InputError: the cluster can't be reached, or has too little memory.
    """
    needed = memory_needed(parameters, is_small=settings.recipe.adapter != "none")
    if workers.is_ray(spec):
        from huggingtweets.workers.ray_cluster import RayWorkers

        pool = RayWorkers(spec, job.train_remotely, needed)
        return _OnRay(pool, fleet, settings), ""
    from huggingtweets.workers.local import LocalWorkers

    wanted = workers.cores() if spec == "local" else workers.local_count(spec)
    free = available_memory()
    count = wanted if free is None else max(1, min(wanted, free // needed))
    line = ""
    if free is not None and count < wanted:
        line = (
            f"{count} of {wanted} workers: each needs {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free"
        )
    local = LocalWorkers(count, 1, "huggingtweets.fleet.job:runner", [], fleet.log.absolute())
    return _Local(local, fleet), line


def memory_needed(parameters: int, *, is_small: bool) -> int:
    """Return the bytes that one training takes at most.

    Args:
        parameters: number of weights of the base.
        is_small: whether the bots are small ones, for which few weights are trained.
    """
    each = _BYTES_EACH + (0 if is_small else _BYTES_EACH_TRAINED)
    return _BYTES_FOR_PROGRAM + each * parameters


def available_memory() -> int | None:
    """Return the bytes that new processes may use; None where the system doesn't tell."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    except (OSError, ValueError, AttributeError):  # macOS has no /proc, Windows no sysconf
        return None


class _Local:
    """Processes of this machine, with one thread each: more would change the sums of floats."""

    def __init__(self, pool: LocalWorkers, fleet: FleetFolder) -> None:
        self._pool, self._fleet = pool, fleet
        self.count, self.close = pool.count, pool.close

    def submit(self, name: str, author: str) -> Future[job.Answer]:
        """Train an author."""
        return self._pool.submit(
            author, {"run": str((self._fleet.authors / name).absolute())}, _as_is
        )


class _OnRay:
    """A Ray cluster, which gets the base once.

    What the trainings report is appended to the events of their run folders here, so that whoever
    watches sees the same as with local workers.
    """

    def __init__(self, pool: RayWorkers, fleet: FleetFolder, settings: FleetSettings) -> None:
        self._pool, self._fleet, self.close = pool, fleet, pool.close
        self._base = sent_base.send(settings.base, pool.put)
        self._running: dict[str, RunFolder] = {}
        self._reporting = Lock()
        self._mailbox = pool.mailbox(self._report)

    @property
    def count(self) -> int:
        """Number of concurrent trainings."""
        return self._pool.count

    def submit(self, name: str, author: str) -> Future[job.Answer]:
        """Send the run folder of an author; the finished one replaces it."""
        run = RunFolder(self._fleet.authors / name)
        run.record()  # it may have been removed meanwhile
        sent = sent_base.read_files(run.path, _is_input)
        files.write_text(run.events_file, "")  # of an attempt that ended
        sender = secrets.token_hex(8)  # a report of such an attempt may still arrive
        with self._reporting:
            self._running[sender] = run

        def receive(answer: job.Answer) -> job.Answer:
            self._forget(sender)
            received = answer.pop("files", None)
            if received and run.record_file.is_file():  # else the author was removed meanwhile
                with run.locked():
                    sent_base.write_files(received, run.path)
            return answer

        arguments = (sent, self._base, self._mailbox, sender)
        future = self._pool.submit(author, arguments, receive)
        future.add_done_callback(lambda _: self._forget(sender))
        return future

    def _report(self, sender: str, events: list[dict[str, Any]]) -> None:
        with self._reporting, suppress(StorageError):  # a full disk: the training's end reports it
            if run := self._running.get(sender):
                for event in events:
                    run.append_event(event)

    def _forget(self, sender: str) -> None:
        with self._reporting:
            self._running.pop(sender, None)


def _is_input(path: str) -> bool:
    return path == "run.json" or path.startswith("data/")


def _as_is(answer: Any) -> job.Answer:  # noqa: ANN401 - JSON
    return dict(answer)
