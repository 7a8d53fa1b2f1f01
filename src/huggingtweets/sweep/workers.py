"""Workers of a sweep. A job is one recipe on one author."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from huggingtweets import workers
from huggingtweets.errors import TrainingError
from huggingtweets.sweep.posts import load_authors
from huggingtweets.sweep.trial import Outcome, run_job

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from huggingtweets.sweep.trial import Job
    from huggingtweets.workers.local import LocalWorkers
    from huggingtweets.workers.ray_cluster import RayWorkers


class SweepWorkers(Protocol):
    """Trains several recipes at once."""

    @property
    def count(self) -> int:
        """Number of concurrent jobs."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job.

        The future raises :class:`~huggingtweets.workers.WorkerDied` if the job must be retried, and
        :class:`~huggingtweets.errors.TrainingError` if no worker can do it.
        """

    def close(self) -> None:
        """End all workers at once, including running jobs."""


def open_workers(spec: str, authors: Path) -> SweepWorkers:
    """Start the workers that ``--workers`` names: ``local:N``, ``ray`` or ``ray://HOST:PORT``.

    Args:
        spec: value of ``--workers``.
        authors: the sweep's Parquet file of posts; the workers' log is in its parent's parent.

    Raises:
        InputError: ``spec`` is invalid, or Ray is missing or can't be reached.
    """
    if workers.is_ray(spec):
        from huggingtweets.workers.ray_cluster import RayWorkers

        return _OnRay(RayWorkers(spec, run_job), authors)
    from huggingtweets.workers.local import LocalWorkers

    count = workers.local_count(spec)
    arguments, log = [str(authors.absolute())], authors.parent.parent / "workers.log"
    function = "huggingtweets.sweep.trial:runner"
    return _Local(LocalWorkers(count, _threads_each(count), function, arguments, log))


def _threads_each(count: int) -> int:
    """Return an even share of the cores, at most ``$OMP_NUM_THREADS``."""
    share = max(1, workers.cores() // count)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) else share


class _Local:
    """Processes of this machine that share its cores evenly; each reads the posts' file."""

    def __init__(self, pool: LocalWorkers) -> None:
        self._pool = pool
        self.count, self.close = pool.count, pool.close

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        return self._pool.submit(job.author, job.as_json(), _outcome)


class _OnRay:
    """A Ray cluster; each author's posts are put into it once."""

    def __init__(self, pool: RayWorkers, authors: Path) -> None:
        self._pool, self.close = pool, pool.close
        self._posts = {author: pool.put(posts) for author, posts in load_authors(authors).items()}

    @property
    def count(self) -> int:
        """Number of concurrent jobs."""
        return self._pool.count

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        return self._pool.submit(job.author, (self._posts[job.author], job), _outcome)


def _outcome(answer: dict[str, Any]) -> Outcome:
    if "fault" in answer:
        raise TrainingError(answer["fault"])
    return Outcome(**answer["outcome"])
