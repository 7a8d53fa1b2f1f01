"""Read the files of an unpacked export that has folders in folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import file_chunks

if TYPE_CHECKING:
    from collections.abc import Generator

_MOST_FILES = 300_000
_DEEPEST = 8
ENDINGS = (".json", ".csv", ".html")
"""Extensions of the files that matter; the others are photos and sounds."""


@dataclass(frozen=True, slots=True)
class DeepFolder:
    """A folder with all its files, without following links."""

    path: Path
    files: tuple[str, ...]

    def close(self) -> None:
        """Do nothing: each file is closed after it was read."""

    def names(self) -> list[str]:
        """Return the names of the files, with forward slashes."""
        return list(self.files)

    def check(self, names: list[str]) -> None:
        """Do nothing: the user's own folder can't hide a bomb."""

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        """Stream one file."""
        return file_chunks(self.path / name)


def open_folder(path: Path) -> DeepFolder:
    """List the files of an unpacked export.

    Raises:
        SourceError: there are too many.
    """
    names: list[str] = []
    for folder, folders, files in os.walk(path):
        inside = Path(folder).relative_to(path)
        if len(inside.parts) >= _DEEPEST:
            folders.clear()
        names += [(inside / name).as_posix() for name in files if name.lower().endswith(ENDINGS)]
        if len(names) > _MOST_FILES:
            raise SourceError(f"{path} holds over {_MOST_FILES:,} files, more than any export.")
    return DeepFolder(path, tuple(sorted(names)))
