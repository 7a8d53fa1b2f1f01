"""One tracker for W&B and trackio. :class:`Service` covers the differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.track.protocol import Artifact, Job


class Service(Protocol):
    """The operations in which W&B and trackio differ."""

    module: Any
    """``wandb`` or ``trackio``."""
    add_file_options: Mapping[str, Any]
    """Further arguments of ``add_file``."""

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of the module, which has no types
        """Open a run for a job."""

    def use(self, run: Any, artifact: Any, digest: str) -> None:  # noqa: ANN401 - the module's
        """Record that a run uses an artifact."""

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - the module's
        """Close a run."""

    def message(self) -> str:
        """A line for the user, or empty."""


class Adapter:
    """A :class:`~huggingtweets.track.protocol.Tracker` that writes to a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._run: Any = None

    def start(self, job: Job) -> None:
        """Start a job."""
        self._run = self._service.begin(job)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step."""
        self._run.log(dict(values), step=step)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """Log a table at a step."""
        table = self._service.module.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: table}, step=step)

    def artifact(self, artifact: Artifact) -> None:
        """Log an artifact that the job has created."""
        self._run.log_artifact(self._convert(artifact), aliases=["latest", artifact.digest()])

    def use(self, artifact: Artifact) -> None:
        """Record that the job uses an artifact."""
        self._service.use(self._run, self._convert(artifact), artifact.digest())

    def finish(self, *, ok: bool) -> None:
        """End the job."""
        self._service.end(self._run, ok=ok)
        self._run = None

    def message(self) -> str:
        """A line for the user, or empty."""
        return self._service.message()

    def _convert(self, artifact: Artifact) -> Any:  # noqa: ANN401 - the module's
        converted = self._service.module.Artifact(
            artifact.name, artifact.kind, metadata=dict(artifact.metadata)
        )
        for name, path in sorted(artifact.files.items()):
            converted.add_file(str(path), name, **self._service.add_file_options)
        return converted
