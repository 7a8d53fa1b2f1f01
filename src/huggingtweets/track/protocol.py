"""What the story of a run is told to, and the values it is told in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """One tracked run; a run folder makes three of them.

    Attributes:
        id: the same whenever the same run folder is tracked.
        kind: ``download``, ``preprocess`` or ``train``.
        name: shown to people.
        group: what the jobs of one run folder have in common.
        config: plain values.
    """

    id: str
    kind: str
    name: str
    group: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files under a name, told apart by what is in them.

    Attributes:
        name: the same for all versions.
        kind: ``raw-dataset``, ``train-dataset``, ``pretrained-model`` or ``finetuned-model``.
        files: by their names inside the artifact; they must stay where they are.
        metadata: plain values.
    """

    name: str
    kind: str
    files: Mapping[str, Path]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Twelve digits that change with the files' names and content, and with nothing else."""
        whole = hashlib.sha256()
        for name, path in sorted(self.files.items()):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{name} {content}\n".encode())
        return whole.hexdigest()[:12]


class Tracker(Protocol):
    """Where runs are tracked. One job at a time, from ``start`` to ``finish``."""

    def start(self, job: Job) -> None:
        """Begin a job; one that was tracked before is told anew."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step; steps never fall."""

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """A table as it stands at a step."""

    def artifact(self, artifact: Artifact) -> None:
        """The job made this; files that are known already make no new version."""

    def use(self, artifact: Artifact) -> None:
        """The job works on this, which an earlier job has made."""

    def finish(self, *, ok: bool) -> None:
        """End the job."""

    def message(self) -> str:
        """One line for the user on where it all went, or empty."""
