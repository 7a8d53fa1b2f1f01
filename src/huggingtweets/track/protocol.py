"""The interface of a tracker and its value types."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """One stage of a run; every run folder is tracked as three jobs.

    Attributes:
        id: the same each time the same run folder is tracked.
        kind: ``download``, ``preprocess`` or ``train``.
        name: display name.
        group: shared by the jobs of one run folder.
        config: JSON values.
    """

    id: str
    kind: str
    name: str
    group: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named set of files whose content determines the version.

    Attributes:
        name: the same for all versions.
        kind: ``raw-dataset``, ``train-dataset``, ``pretrained-model`` or ``finetuned-model``.
        files: paths by name inside the artifact; the files must not move.
        metadata: JSON values.
    """

    name: str
    kind: str
    files: Mapping[str, Path]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """A hash of the files' names and content, 12 hexadecimal digits long."""
        digest = hashlib.sha256()
        for name, path in sorted(self.files.items()):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{name} {content}\n".encode())
        return digest.hexdigest()[:12]


class Tracker(Protocol):
    """Stores runs. Jobs don't overlap: each goes from ``start`` to ``finish``."""

    def start(self, job: Job) -> None:
        """Start a job; an earlier job with the same id is replaced."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step; steps never decrease."""

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """Log a table at a step."""

    def artifact(self, artifact: Artifact) -> None:
        """Log an artifact that the job has created; unchanged files make no new version."""

    def use(self, artifact: Artifact) -> None:
        """Record that the job uses an artifact of an earlier job."""

    def finish(self, *, ok: bool) -> None:
        """End the job."""

    def message(self) -> str:
        """A line that tells the user where the run is stored, or empty."""
