"""One tracker for W&B and trackio, which are much alike; :class:`Service` is how they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.track.protocol import Artifact, Job


class Service(Protocol):
    """What W&B and trackio do in ways of their own."""

    module: Any
    """``wandb`` or ``trackio``."""
    adding: Mapping[str, Any]
    """Arguments of ``add_file`` beside path and name."""

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a run of the module, which has no types
        """Open a run for a job."""

    def use(self, run: Any, made: Any, digest: str) -> None:  # noqa: ANN401 - the module's
        """Say that a run works on an artifact."""

    def end(self, run: Any, *, ok: bool) -> None:  # noqa: ANN401 - the module's
        """Write what is left and close a run."""

    def message(self) -> str:
        """One line for the user, or empty."""


class Adapter:
    """A :class:`~huggingtweets.track.protocol.Tracker` that writes to a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._run: Any = None

    def start(self, job: Job) -> None:
        """Begin a job."""
        self._run = self._service.begin(job)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step."""
        self._run.log(dict(values), step=step)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """A table as it stands at a step."""
        made = self._service.module.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: made}, step=step)

    def artifact(self, artifact: Artifact) -> None:
        """The job made this."""
        self._run.log_artifact(self._made(artifact), aliases=["latest", artifact.digest()])

    def use(self, artifact: Artifact) -> None:
        """The job works on this."""
        self._service.use(self._run, self._made(artifact), artifact.digest())

    def finish(self, *, ok: bool) -> None:
        """End the job."""
        self._service.end(self._run, ok=ok)
        self._run = None

    def message(self) -> str:
        """One line for the user, or empty."""
        return self._service.message()

    def _made(self, artifact: Artifact) -> Any:  # noqa: ANN401 - the module's
        made = self._service.module.Artifact(
            artifact.name, artifact.kind, metadata=dict(artifact.metadata)
        )
        for name, path in sorted(artifact.files.items()):
            made.add_file(str(path), name, **self._service.adding)
        return made
