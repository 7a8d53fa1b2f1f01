"""A file inside a zip, as a source of its own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from huggingtweets.sources.safe_zip import SafeZip

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a zip; like a path, it has a name, a stem and a suffix.

    Attributes:
        archive: the zip.
        inside: the file's name in it.
    """

    archive: Path
    inside: str

    def __str__(self) -> str:
        return f"{self.inside} in {self.archive}"

    @property
    def name(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.inside).name

    @property
    def stem(self) -> str:
        """The last part of the name without its extension."""
        return PurePosixPath(self.inside).stem

    @property
    def suffix(self) -> str:
        """The extension, with its dot."""
        return PurePosixPath(self.inside).suffix

    def chunks(self) -> Generator[bytes, None, None]:
        """Stream the file, after the checks of :class:`SafeZip`.

        Raises:
            SourceError: the zip is damaged, or the file is not safe to read.
        """
        with closing(SafeZip(self.archive)) as archive:
            archive.check([self.inside])
            yield from archive.chunks(self.inside)
