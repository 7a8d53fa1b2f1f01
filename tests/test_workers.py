"""Local workers without a training."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.processes import ChildProcess
from huggingtweets.workers import NoMemoryError, WorkerDied, check_memory, local, ray_cluster

if TYPE_CHECKING:
    from pathlib import Path


def test_worker_that_starts_while_the_pool_closes_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the first moments must not wait for a training."""
    (tmp_path / "sleeper.py").write_text("import time\ndef make():\n    return time.sleep\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    pool = local.LocalWorkers(1, 1, "sleeper:make", [], tmp_path / "log")

    class ClosedMeanwhile(ChildProcess):
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as given
            for worker in pool._all:  # what close() does first
                worker.kill()
            super().__init__(*arguments, **options)

    monkeypatch.setattr(local, "ChildProcess", ClosedMeanwhile)
    with pytest.raises(WorkerDied):
        pool.submit("ann", 100, lambda answer: answer).result()
    pool.close()


def test_a_busy_cluster_is_asked_again_and_a_wrong_address_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Cluster:
        def __init__(self, *answers: str) -> None:
            self.answers = list(answers)

        def is_initialized(self) -> bool:
            return False

        def init(self, **_: object) -> None:
            if self.answers:
                raise ConnectionError(self.answers.pop(0))

    monkeypatch.setattr(ray_cluster, "_SECONDS_BETWEEN_TRIES", 0.0)
    busy = "Initialization failure from server: Starting Ray client server failed"
    ray_cluster._connect(Cluster(busy, busy), "ray://head:10001")
    for answers, left in (((busy, busy, busy), 0), (("nobody answers", busy), 1)):
        cluster = Cluster(*answers)
        with pytest.raises(InputError, match="can't be reached"):
            ray_cluster._connect(cluster, "ray://head:10001")
        assert len(cluster.answers) == left


def test_ray_gets_the_token_of_its_user_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ray start --head`` asks for it as soon as the file exists, and a client isn't told so."""
    pytest.importorskip("ray")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)

    def mode(spec: str) -> str | None:
        ray_cluster.check_address(spec)
        return os.environ.get("RAY_AUTH_MODE")

    assert mode("ray://head:10001") is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    assert mode("ray") is None  # Ray does it itself
    assert mode("ray://head:10001") == "token"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert mode("ray://head:10001") == "disabled"


def test_of_a_dead_worker_the_first_sentence_is_told() -> None:
    told = "The worker died unexpectedly while executing this task"
    error = RuntimeError(f"{told}. Check python-core-worker-*.log files.\n\tmore")
    assert ray_cluster._first_sentence(error) == told
    assert len(ray_cluster._first_sentence(RuntimeError("word " * 100))) <= 120


def test_a_lost_cluster_is_one_sentence_whatever_ray_raises() -> None:
    """Its client raises gRPC's errors, which are no errors of Ray."""
    ray = pytest.importorskip("ray")

    class LostError(Exception):
        pass

    class LostCluster:
        exceptions = ray.exceptions

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a function of Ray
            def fail(*_: object, **__: object) -> None:
                raise LostError("NOT_FOUND. Much more")

            return fail

    class Job:
        def remote(self, *_: object) -> str:
            return "reference"

    workers = ray_cluster.RayWorkers.__new__(ray_cluster.RayWorkers)
    workers.__dict__ |= {
        "_ray": LostCluster(),
        "_run_job": Job(),
        "_running": {"other"},
        "_threads": ThreadPoolExecutor(1),
        "_count": 3,
        "_counted": float("-inf"),
        "_mailboxes": [],
    }
    assert workers.count == 3
    with pytest.raises(TrainingError, match=r"^The connection .* is lost \(NOT_FOUND\)\.$"):
        workers.submit("ann", (), lambda answer: answer).result()
    workers.close()


def test_a_lack_of_memory_is_known_wherever_it_was_raised() -> None:
    def wrapped(cause: Exception) -> Exception:
        error = InputError("The base can't be loaded.")
        error.__cause__ = cause
        return error

    for cause in (
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        with pytest.raises(NoMemoryError):
            check_memory(wrapped(cause))
    check_memory(wrapped(OSError(errno.ENOSPC, "No space left on device")))
    check_memory(InputError("Too few posts."))
