"""Posts that their authors deleted: which ones are meant, and that they stay forgotten.

A post is told by its id alone where no other post can have it: the numbers and addresses that
networks give, and what :mod:`huggingtweets.sources` makes up from the text. Files and chats count
from 1; there an id only means something together with its author, written ``@author id``.
``CONFIG/forgotten.txt`` holds one such line a post and nothing of what it said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.errors import InputError
from huggingtweets.storage import files
from huggingtweets.storage.user_dirs import config_folder, locked_config_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_UNIQUE = re.compile(r"\d{12,}|[0-9a-f]{16}|[2-7a-z]{13}|.*:.*")
_ONE = re.compile(r"[^@\s]\S{0,299}|@\S.{0,99} \S{1,300}")
_PAGE = re.compile(r"https?://\S*?([^/?#\s]+)/?(?:[?#]\S*)?", re.IGNORECASE)
_SPREADSHEET = re.compile(r"\d+[.,]\d*[eE]\+?\d+|\d+\.0")


@dataclass(frozen=True, slots=True)
class PostIds:
    """Posts that are meant.

    Attributes:
        ids: of posts, whoever wrote them; of an id that is an address, its last part will do.
        of_authors: ``@author id``, the author in lower case.
    """

    ids: frozenset[str] = frozenset()
    of_authors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, wanted: Iterable[str]) -> PostIds:
        """Those that lines such as ``123`` and ``@author 123`` mean."""
        lines = frozenset(wanted)
        pairs = frozenset(line for line in lines if line.startswith("@") and " " in line)
        return cls(lines - pairs, pairs)

    def __bool__(self) -> bool:
        return bool(self.ids or self.of_authors)

    def has(self, author: str, name: str) -> bool:
        """Whether the post ``name`` of ``author`` is one of them."""
        if name in self.ids or ("://" in name and name.rpartition("/")[2] in self.ids):
            return True
        return bool(self.of_authors) and line_of(author, name) in self.of_authors

    def mask(self, posts: pl.DataFrame) -> pl.Series:
        """Which rows of a table of posts are some of them."""
        rows = posts.select("author", "id").iter_rows()
        return pl.Series([self.has(*row) for row in rows], dtype=pl.Boolean)


def line_of(author: str, name: str) -> str:
    """What means one post of one author."""
    return " ".join(f"@{author.lower()} {name}".split())


def stable_id(author: str, name: str) -> str:
    """What means this post for good: its id, with its author where others may have it, too."""
    return name if is_unique(name) else line_of(author, name)


def is_unique(name: str) -> bool:
    """Whether no post of anybody else can have this id; ``@author id`` says whose it is."""
    return bool(_UNIQUE.fullmatch(name)) or (name.startswith("@") and " " in name)


def parse_post_id(text: str) -> str | None:
    """An id, ``@author id`` or the address of a post's page as it is compared, or None."""
    text = " ".join(text.split())
    if page := _PAGE.fullmatch(text):
        text = page[1]
    if not _ONE.fullmatch(text) or _SPREADSHEET.fullmatch(text):
        return None
    if text.startswith("@") and " " in text:
        author, _, name = text[1:].rpartition(" ")
        return line_of(author, name)
    return text


def deleted_posts_file() -> Path:
    """Where forgotten posts are remembered; it need not exist."""
    return config_folder() / "forgotten.txt"


def remembered() -> frozenset[str]:
    """All posts that are to stay forgotten.

    Raises:
        InputError: the file can't be read.
    """
    file = deleted_posts_file()
    try:
        status = file.stat()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise InputError(f"{file} can't be read: {error.strerror or error}.") from error
    return _read(file, status.st_mtime_ns, status.st_size)


def remember(lines: Iterable[str]) -> int:
    """Note posts that are to stay forgotten; returns how many are new.

    Raises:
        StorageError: the note can't be written.
    """
    with locked_config_dir():
        known = remembered()
        new = {parse_post_id(line) or line for line in lines} - known
        if new:
            text = "".join(f"{line}\n" for line in sorted(known | new))
            files.write_text(deleted_posts_file(), text)
    return len(new)


@lru_cache(maxsize=4)  # it is asked for with every page of a download
def _read(file: Path, changed: int, size: int) -> frozenset[str]:
    del changed, size  # another file by then
    found = set()
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as text: {error}.") from error
    for number, line in enumerate(lines, start=1):
        one = parse_post_id(line)
        if one is None and line.strip():
            raise InputError(f"Line {number} of {file} is no post's id: {line[:80]!r}.")
        found.add(one or "")
    return frozenset(found - {""})
