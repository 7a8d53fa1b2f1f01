"""Local workers without a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import InputError
from huggingtweets.processes import ChildProcess
from huggingtweets.workers import WorkerDied, local, ray_cluster

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
