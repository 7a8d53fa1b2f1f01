"""Workers: processes on this machine, or a Ray cluster. They run the jobs of sweeps and fleets.

A job's result depends on nothing but the job. So any worker can run it, and the job of a dead
worker is run again.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class WorkerDied(Exception):  # noqa: N818 - an event; the job is retried
    """A worker died during a job."""


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
