"""Read the tables with posts in exports of Reddit, LinkedIn and YouTube (Google Takeout).

Only the files named here are opened: the others hold messages, contacts and what was watched.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._post_kind import in_brackets
from huggingtweets.sources._zip_member import Member
from huggingtweets.sources.files import FileGroup, PostFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.reading import ReadOptions

# Names as in the files that the services send (Reddit's data request, LinkedIn's "Get a copy of
# your data", Takeout's "YouTube and YouTube Music"); the folders of Takeout are translated.
_TABLES = {
    "reddit": re.compile(r"(?:[^/]+/)?(?:posts|comments)\.csv"),
    "linkedin": re.compile(r"(?:[^/]+/)?(?:Shares|Comments)(?:_\d+)?\.csv"),
    "youtube": re.compile(r"(?:[^/]+/){0,3}(?:comments|live chats)(?:\(\d+\))?\.csv"),
}
_BESIDE = {
    "reddit": re.compile(
        r"(?:.*/)?(?:posts|(?:comment|post)_(?:votes|headers)|statistics|messages)\.csv"
    ),
    "linkedin": re.compile(r"(?:.*/)?(?:Shares|Connections|Profile|Reactions|messages).*\.csv"),
    "youtube": re.compile(r"(?:[^/]+/){0,3}(?:comments|live chats)/[^/]+\.csv"),
}
_REDDIT_NAME = re.compile(r"export_(.+)_\d{8}")
_MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class TableExport:
    """The posts and comments of one export.

    Attributes:
        path: the zip or the folder.
        name: ``reddit``, ``linkedin`` or ``youtube``.
        files: names of the tables in it.
        reading: how to read them.
        left_out: number of records left out at the last reading, by reason.
    """

    path: Path
    name: str
    files: tuple[str, ...]
    reading: ReadOptions
    left_out: Counter[str] = field(default_factory=Counter, compare=False)

    def posts(self) -> Iterator[Post]:
        """Yield every post and comment, even if its text is empty."""
        self.left_out.clear()
        stem = self.path.name if self.path.is_dir() else self.path.stem
        named = _REDDIT_NAME.fullmatch(stem)
        author = named[1] if named else stem or self.name
        found = False
        for number, inside in enumerate(self.files):
            where = self.path / inside if self.path.is_dir() else Member(self.path, inside)
            group = FileGroup(self.name, author, number)
            table = PostFile(where, None, self.reading.author, group, listen=self.reading.listen)
            for post in table.posts():
                found = True
                yield post
            self.left_out.update(table.left_out)
        if not found:
            raise SourceError(f"{self.path} holds no posts{in_brackets(self.left_out)}.")


def open_tables(path: Path, names: Sequence[str], reading: ReadOptions) -> TableExport | None:
    """Find the export that has these files; None for any other."""
    for source, pattern in _TABLES.items():
        tables = tuple(sorted(name for name in names if pattern.fullmatch(name)))
        beside = any(_BESIDE[source].fullmatch(name) for name in names)
        if tables and beside:
            return TableExport(path, source, tables, reading)
    return None


def files_below(folder: Path) -> list[str]:
    """Return the names of the tables in a folder and three levels below, with forward slashes."""
    found = (
        path for level in ("", "*/", "*/*/", "*/*/*/") for path in folder.glob(f"{level}*.csv")
    )
    return [path.relative_to(folder).as_posix() for path in islice(found, _MAX_FILES)]
