"""trackio: all on this machine, without an account."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingtweets.track.protocol import Job


class TrackioService:
    """Writes to trackio's folder (``$TRACKIO_DIR``)."""

    def __init__(self, project: str) -> None:
        for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
            os.environ.pop(name, None)  # meant for other projects: here posts stay on the machine
        os.environ["HF_HUB_OFFLINE"] = "1"  # it would ask who is logged in
        self.module: Any = importlib.import_module("trackio")
        self.adding: Mapping[str, Any] = {}
        self._project = project
        self._job: Job | None = None

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of trackio
        """Open a run in place of those of the same job, as trackio can't write over one."""
        for earlier in self._runs_of(job):
            earlier.delete()
        self._job = job
        return self.module.init(
            project=self._project,
            name=job.name,
            group=job.group,
            config={**job.config, "id": job.id, "job_type": job.kind},
            embed=False,
            auto_log_cpu=False,  # of this process, which does nothing worth telling
            auto_log_gpu=False,
        )

    def use(self, run: Any, made: Any, digest: str) -> None:  # noqa: ANN401 - of trackio
        """Say that a run works on an artifact."""
        run.use_artifact(f"{made.name}:{digest}", type=made.type)

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - of trackio
        """Write what is left, and see whether it is there: trackio's own faults are only warnings.

        Raises:
            StorageError: it isn't.
        """
        del ok
        run.finish()
        if self._job is not None and not any(self._runs_of(self._job)):
            raise StorageError(f"trackio could not write to {self.module.utils.TRACKIO_DIR}.")

    def message(self) -> str:
        """Nothing: a default that worked is not worth a line."""
        return ""

    def _runs_of(self, job: Job) -> Iterator[Any]:
        with suppress(ValueError):  # there is no such project yet
            for run in self.module.Api().runs(self._project):
                if run.name == job.name and (run.config or {}).get("id") == job.id:
                    yield run
