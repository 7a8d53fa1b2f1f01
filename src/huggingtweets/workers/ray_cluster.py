"""Workers on a Ray cluster, of this machine or of several.

A task is one job on one core; Ray chooses its machine, on which huggingtweets must be installed.
Objects that many tasks need are put into the cluster once.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.workers import WorkerDied
from huggingtweets.workers.ray_mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_CORES_PER_JOB = 1  # also the number of threads, which Ray sets
_MOST_JOBS = 512
_COUNT_SECONDS = 5.0  # machines join and leave
_TRIES, _SECONDS_BETWEEN_TRIES = 3, 2.0
_BUSY = "Initialization failure from server"
"""What Ray's client says if the head, too busy, took over 30 seconds to start a process for it."""
_ADDRESS = re.compile(r"ray://[^\s/:]+:\d{1,5}|ray://\[[0-9A-Fa-f:]+\]:\d{1,5}")


def check_address(spec: str) -> None:
    """Check the form of an address, and that Ray is installed.

    Raises:
        InputError: the address is invalid, or a package is missing.
    """
    if spec != "ray" and not _ADDRESS.fullmatch(spec):
        raise InputError(
            f"--workers {spec!r} is not the address of a Ray cluster; write ray://HOST:PORT, such "
            "as ray://192.168.0.10:10001."
        )
    if spec != "ray":
        _use_saved_token()  # Ray reads it when it is imported
    load_ray()
    if spec != "ray" and find_spec("grpc") is None:
        raise InputError(
            "--workers ray://HOST:PORT needs Ray's client. Install it with: "
            "pip install 'huggingtweets[ray]'"
        )


def _use_saved_token() -> None:
    """Let Ray's client send this user's token, as all else of Ray does that joins a cluster.

    Once there is one, ``ray start --head`` asks for it; a client without it is not told so.
    """
    given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if given or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


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
            "--workers ray needs Ray. Install it with: pip install 'huggingtweets[ray]'"
        ) from error
    return ray


def fetch(reference: Any) -> Any:  # noqa: ANN401 - of an object; anything that can be pickled
    """Return an object that was put into the cluster; for jobs, on the machine where they run."""
    return load_ray().get(reference)


class RayWorkers:
    """All cores of a Ray cluster.

    Args:
        spec: ``ray`` for the cluster of this machine, started if there is none, or
            ``ray://HOST:PORT``.
        function: runs a job; it gets the objects of the job as its arguments.
        memory: bytes that a job needs, so that Ray gives no machine more jobs than it can hold;
            0 if that is no concern.

    Raises:
        InputError: the cluster can't be reached, or none of its machines has that much memory.
    """

    def __init__(self, spec: str, function: Callable[..., Any], memory: int = 0) -> None:
        self._ray = load_ray()
        _connect(self._ray, spec)
        _check_memory(self._ray, spec, memory)
        options = {"num_cpus": _CORES_PER_JOB, "max_retries": 0}
        if memory:
            options["memory"] = memory
        self._run_job = self._ray.remote(**options)(function)
        self._running: set[Any] = set()
        self._threads = ThreadPoolExecutor(_MOST_JOBS, thread_name_prefix="ray")
        self._count, self._counted = 1, float("-inf")
        self._mailboxes: list[Mailbox] = []

    @property
    def count(self) -> int:
        """Number of cores of the machines that are in the cluster now."""
        if time.monotonic() > self._counted + _COUNT_SECONDS:
            with suppress(Exception):  # many kinds, gRPC's too; the jobs report a lost connection
                cores = int(self._ray.cluster_resources().get("CPU", 1)) // _CORES_PER_JOB
                self._count = min(_MOST_JOBS, max(1, cores))
            self._counted = time.monotonic()
        return self._count

    def put(self, value: Any) -> Any:  # noqa: ANN401 - anything that can be pickled
        """Put an object into the cluster and return its reference, an argument of jobs."""
        return self._ray.put(value)

    def mailbox(self, receive: Callable[[str, Any], None]) -> Any:  # noqa: ANN401 - an actor
        """Return an argument for jobs, with which they send messages while they run.

        Args:
            receive: called in a thread with the sender and the message.
        """
        self._mailboxes.append(Mailbox(self._ray, receive))
        return self._mailboxes[-1].address

    def submit(self, author: str, job: tuple[Any, ...], read: Callable[[Any], T]) -> Future[T]:
        """Start a job: the arguments of the function, values or references."""
        return self._threads.submit(self._run, author, job, read)

    def close(self) -> None:
        """Cancel running jobs and disconnect; a cluster started here ends."""
        for reference in tuple(self._running):
            with suppress(Exception):  # a lost cluster has nothing to cancel
                self._ray.cancel(reference, force=True)
        self._threads.shutdown(cancel_futures=True)
        for mailbox in self._mailboxes:
            mailbox.close()
        with suppress(Exception):
            self._ray.shutdown()

    def _run(self, author: str, job: tuple[Any, ...], read: Callable[[Any], T]) -> T:
        failures = self._ray.exceptions
        reference = None
        try:
            reference = self._run_job.remote(*job)
            self._running.add(reference)
            answer = self._ray.get(reference)
        except (
            failures.WorkerCrashedError,
            failures.NodeDiedError,
            failures.OutOfMemoryError,
            failures.ObjectLostError,
            failures.TaskCancelledError,
        ) as error:
            raise WorkerDied(
                f"a Ray worker ended while training {author} ({_first_sentence(error)})"
            ) from error
        except failures.RayError as error:
            raise TrainingError(f"Ray can't train: {str(error).strip()[-300:]}") from error
        except Exception as error:  # Ray's client raises many kinds, gRPC's too
            raise TrainingError(
                f"The connection to the Ray cluster is lost ({_first_sentence(error)})."
            ) from error
        finally:
            self._running.discard(reference)
        return read(answer)


def _first_sentence(error: BaseException) -> str:
    """Return what Ray says first; the rest is about its own logs."""
    line = str(error).strip().split("\n", 1)[0]
    return shorten(line.split(". ", 1)[0].rstrip("."), 120, placeholder=" …")


def _connect(ray: Any, spec: str) -> None:  # noqa: ANN401 - a module
    if ray.is_initialized():
        return
    try:
        for _ in range(_TRIES - 1):
            try:
                _initialize(ray, spec)
            except ConnectionError as error:
                if _BUSY not in str(error):
                    raise
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                return
        _initialize(ray, spec)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"The Ray cluster {spec} can't be reached: {reason[:200]}. Check the address. Ray "
            "doesn't say when a token is missing: if the cluster's first machine has the file "
            "~/.ray/auth_token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to what it holds."
        ) from error


def _initialize(ray: Any, spec: str) -> None:  # noqa: ANN401 - a module
    address = None if spec == "ray" else spec
    own = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    logging.getLogger("ray.util.client").setLevel(logging.CRITICAL)  # errors say the same
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error says the same
        ray.init(address=address, logging_level="ERROR", log_to_driver=False, **own)


def _check_memory(ray: Any, spec: str, memory: int) -> None:  # noqa: ANN401 - a module
    """Raise an error if no machine could ever run a job; Ray would wait for one forever."""
    nodes = [node["Resources"].get("memory", 0.0) for node in ray.nodes() if node["Alive"]]
    most = max(nodes, default=0.0)
    if memory > most:
        ray.shutdown()
        raise InputError(
            f"A job needs {memory / 1e9:.1f} GB of memory and no machine of the Ray cluster {spec} "
            f"offers more than {most / 1e9:.1f} GB. Choose a smaller --base."
        )
