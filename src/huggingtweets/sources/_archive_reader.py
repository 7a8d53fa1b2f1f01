"""Read the files of an export from a zip, a tar.gz or a folder."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import decode_utf8, file_chunks
from huggingtweets.sources.safe_tar import TAR_ENDINGS, SafeTar
from huggingtweets.sources.safe_zip import SafeZip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_FOLDERS = ("", "data", "js", "js/tweets", "data/js", "data/js/tweets")


class ArchiveReader(Protocol):
    """Named files, opened only on request."""

    def names(self) -> list[str]:
        """Return the names of all files, with forward slashes."""

    def check(self, names: list[str]) -> None:
        """Refuse files that aren't safe to read."""

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        """Stream one file that :meth:`check` has passed."""

    def close(self) -> None:
        """Close the archive."""


def open_archive(path: Path, siblings: tuple[str, ...] = ()) -> ArchiveReader:
    """Open a zip, a tar.gz, a folder or a single file.

    Args:
        path: as the user gave it.
        siblings: for a single file, the names of files in the same folder that belong to it.
    """
    name = path.name.lower()
    if not path.is_dir() and name.endswith(".zip"):
        return SafeZip(path)
    if not path.is_dir() and name.endswith(TAR_ENDINGS):
        return SafeTar(path)
    return _Folder(path, siblings)


def read_text(members: ArchiveReader, name: str, where: str) -> Iterator[str]:
    """Stream the text of one file."""
    with closing(members.chunks(name)) as chunks:
        yield from decode_utf8(chunks, where)


def display_path(path: Path, name: str) -> str:
    """Return how error messages name a file of an archive."""
    return str(path) if name == path.name else f"{name} in {path}"


@dataclass(frozen=True, slots=True)
class _Folder:
    """An unpacked export, its ``data`` folder, or the folder around a single file."""

    path: Path
    siblings: tuple[str, ...]

    def close(self) -> None:
        """Do nothing: each file is closed after it was read."""

    def names(self) -> list[str]:
        try:
            if not self.path.is_dir():
                existing = [name for name in self.siblings if (self.path.parent / name).is_file()]
                return [self.path.name, *(name for name in existing if name != self.path.name)]
            names: list[str] = []
            for folder in _FOLDERS:
                directory = self.path / folder
                if directory.is_dir():
                    entries = sorted(entry.name for entry in directory.iterdir())
                    names += [f"{folder}/{name}".removeprefix("/") for name in entries]
        except OSError as error:
            raise SourceError(f"{self.path} can't be read: {error.strerror or error}.") from error
        return [name for name in names if name not in _FOLDERS]

    def check(self, names: list[str]) -> None:
        """Do nothing: the user's own folder can't hide a bomb."""

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        folder = self.path if self.path.is_dir() else self.path.parent
        return file_chunks(folder / name)
