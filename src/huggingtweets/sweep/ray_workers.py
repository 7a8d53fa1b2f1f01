"""Workers on a Ray cluster, of this machine or of several.

Each author's posts are put into the cluster once; a task is one job on one core. Ray sends the
posts only to the machines of the user's cluster, where huggingtweets must be installed.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.sweep.posts import load_authors
from huggingtweets.sweep.trial import Outcome, run_job
from huggingtweets.sweep.workers import WorkerDied

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.sweep.posts import AuthorPosts
    from huggingtweets.sweep.trial import Job

_CORES_PER_JOB = 1  # also the number of threads, which Ray sets


def load_ray() -> Any:  # noqa: ANN401 - a module
    """Import Ray with its usage statistics turned off.

    Raises:
        InputError: Ray isn't installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--workers ray needs Ray. Install it with: pip install 'huggingtweets[sweep,ray]'"
        ) from error
    return ray


class RayWorkers:
    """All cores of a Ray cluster.

    Args:
        spec: ``ray`` for the cluster of this machine, started if there is none, or
            ``ray://HOST:PORT``.
        authors: the sweep's Parquet file of posts.

    Raises:
        InputError: the cluster can't be reached.
    """

    def __init__(self, spec: str, authors: Path) -> None:
        self._ray = load_ray()
        _connect(self._ray, spec)
        self.count = max(1, int(self._ray.cluster_resources().get("CPU", 1)) // _CORES_PER_JOB)
        self._posts = {a: self._ray.put(posts) for a, posts in load_authors(authors).items()}
        self._train = self._ray.remote(num_cpus=_CORES_PER_JOB, max_retries=0)(_train)
        self._running: set[Any] = set()
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="sweep")

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        return self._threads.submit(self._run, job)

    def close(self) -> None:
        """Cancel running jobs and disconnect; a cluster started here ends."""
        for reference in tuple(self._running):
            with suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(reference, force=True)
        self._threads.shutdown(cancel_futures=True)
        self._ray.shutdown()

    def _run(self, job: Job) -> Outcome:
        failures = self._ray.exceptions
        reference = self._train.remote(self._posts[job.author], job)
        self._running.add(reference)
        try:
            answer = self._ray.get(reference)
        except (
            failures.WorkerCrashedError,
            failures.NodeDiedError,
            failures.OutOfMemoryError,
            failures.ObjectLostError,
            failures.TaskCancelledError,
        ) as error:
            reason = str(error).strip().split("\n", 1)[0].rstrip(".")
            raise WorkerDied(
                f"a Ray worker ended while training {job.author} ({type(error).__name__}: "
                f"{reason[:100]})"
            ) from error
        except failures.RayError as error:
            raise TrainingError(f"Ray can't train: {str(error).strip()[-300:]}") from error
        finally:
            self._running.discard(reference)
        if "fault" in answer:
            raise TrainingError(answer["fault"])
        return Outcome(**answer["outcome"])


def _train(posts: AuthorPosts, job: Job) -> dict[str, Any]:
    return run_job(posts, job)


def _connect(ray: Any, spec: str) -> None:  # noqa: ANN401 - a module
    if ray.is_initialized():
        return
    address = None if spec == "ray" else spec
    try:
        ray.init(
            address=address,
            logging_level="ERROR",
            log_to_driver=False,
            **({} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}),
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The Ray cluster {spec} can't be reached: {reason[:200]}") from error
