"""Local workers without a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.processes import ChildProcess
from huggingtweets.workers import WorkerDied, local

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
