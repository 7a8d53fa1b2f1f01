"""Workers: processes on this machine, or a Ray cluster. They run the jobs of sweeps and fleets.

A job's result depends on nothing but the job. So any worker can run it, and the job of a dead
worker is run again.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")

OUT_OF_MEMORY = 12
"""Exit code of a worker whose memory ran out: ``errno.ENOMEM``."""
_NO_MEMORY = re.compile(
    r"can't start new thread|can't allocate memory|not enough memory", re.IGNORECASE
)
"""In the messages of Python's and torch's errors that have no type of their own."""


class WorkerDied(Exception):  # noqa: N818 - an event; the job is retried
    """A worker died during a job."""


class NoMemoryError(Exception):
    """The memory of this process ran out; another one may do the job."""


def check_memory(error: BaseException) -> None:
    """Check that an error doesn't come from a lack of memory, directly or not.

    Raises:
        NoMemoryError: it does.
    """
    found: BaseException | None = error
    while found is not None:
        is_typed = isinstance(found, MemoryError) or getattr(found, "errno", 0) == errno.ENOMEM
        if is_typed or "OutOfMemory" in type(found).__name__ or _NO_MEMORY.search(str(found)):
            raise NoMemoryError(str(found)) from error
        found = found.__cause__ or found.__context__


@contextmanager
def ending_without_memory() -> Iterator[None]:
    """End this worker if its memory runs out, so that the job is done by another one.

    What it holds may be the reason. Otherwise it would fail one job after the other, and get more
    of them than its neighbours, as it fails at once.
    """
    try:
        yield
    except NoMemoryError:
        traceback.print_exc()
        os._exit(OUT_OF_MEMORY)


class Workers(Protocol):
    """Runs several jobs at once."""

    @property
    def count(self) -> int:
        """Number of concurrent jobs."""

    def submit(self, author: str, job: Any, read: Callable[[Any], T]) -> Future[T]:  # noqa: ANN401
        """Start a job.

        Args:
            author: whose posts it trains on, for messages.
            job: what the worker's function gets.
            read: turns the function's answer into the future's result.

        The future raises :class:`WorkerDied` if the job must be retried, and
        :class:`~huggingtweets.errors.TrainingError` if no worker can do it.
        """

    def close(self) -> None:
        """End all workers at once, including running jobs."""


def is_ray(spec: str) -> bool:
    """Whether ``--workers`` names a Ray cluster."""
    return spec == "ray" or spec.startswith("ray:")


def check(spec: str) -> None:
    """Check ``--workers`` before anything is read or written.

    Raises:
        InputError: ``spec`` is invalid, or Ray is missing.
    """
    if is_ray(spec):
        from huggingtweets.workers.ray_cluster import check_address

        check_address(spec)
    else:
        local_count(spec)


def local_count(spec: str) -> int:
    """Return the N of ``local:N``.

    Raises:
        InputError: ``spec`` has another form.
    """
    match = re.fullmatch(r"local(?::(\d+))?", spec)
    count = int(match[1] or 1) if match else 0
    if not 1 <= count <= 512:
        raise InputError(
            f"--workers must be local:N with N from 1 to 512, ray or ray://HOST:PORT, not {spec!r}."
        )
    return count


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
