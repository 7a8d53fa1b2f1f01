"""trackio: local tracking without an account."""

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
            os.environ.pop(name, None)  # runs stay on this machine
        os.environ["HF_HUB_OFFLINE"] = "1"  # trackio would look up the logged-in user
        self.module: Any = importlib.import_module("trackio")
        self.add_file_options: Mapping[str, Any] = {}
        self._project = project
        self._job: Job | None = None

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of trackio
        """Open a run and delete earlier runs of the same job, which trackio can't overwrite."""
        for earlier in self._runs_of(job):
            earlier.delete()
        self._job = job
        return self.module.init(
            project=self._project,
            name=job.name,
            group=job.group,
            config={**job.config, "id": job.id, "job_type": job.kind},
            embed=False,
            auto_log_cpu=False,  # would measure this process, not the training
            auto_log_gpu=False,
        )

    def use(self, run: Any, artifact: Any, digest: str) -> None:  # noqa: ANN401 - of trackio
        """Record that a run uses an artifact."""
        run.use_artifact(f"{artifact.name}:{digest}", type=artifact.type)

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - of trackio
        """Close a run and check that it was stored, as trackio reports failures only as warnings.

        Raises:
            StorageError: the run was not stored.
        """
        del ok
        run.finish()
        if self._job is not None and not any(self._runs_of(self._job)):
            raise StorageError(f"trackio could not write to {self.module.utils.TRACKIO_DIR}.")

    def message(self) -> str:
        """Empty: trackio is the default and needs no message."""
        return ""

    def _runs_of(self, job: Job) -> Iterator[Any]:
        with suppress(ValueError):  # the project doesn't exist yet
            for run in self.module.Api().runs(self._project):
                if run.name == job.name and (run.config or {}).get("id") == job.id:
                    yield run
