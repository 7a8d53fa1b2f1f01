"""Posts that their authors deleted: how they are identified, and the list that excludes them.

A globally unique id identifies a post by itself: the numbers and addresses of networks, and the
hashes that :mod:`huggingtweets.sources` generates from texts. Files and chats count from 1, so
their ids need the author, written ``@author id``. ``CONFIG/forgotten.txt`` holds one such line per
post and nothing of its text.
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

JOINED = "+"
"""Between the ids of messages of a chat that were joined to one post. Forgetting one of them
forgets the post, and forgetting the post forgets each of them."""

_UNIQUE = re.compile(r"\d{12,}|[0-9a-f]{16}|[2-7a-z]{13}|.*:.*")
_POST_ID = re.compile(r"[^@\s]\S{0,299}|@\S.{0,99} \S{1,300}")
_PAGE = re.compile(r"https?://\S*?([^/?#\s]+)/?(?:[?#]\S*)?", re.IGNORECASE)
_SPREADSHEET = re.compile(r"\d+[.,]\d*[eE]\+?\d+|\d+\.0")


@dataclass(frozen=True, slots=True)
class PostIds:
    """A set of posts, given by their ids.

    Attributes:
        ids: of posts of any author; for an id that is an address, its last part also matches.
        of_authors: ``@author id`` lines with the author in lower case.
    """

    ids: frozenset[str] = frozenset()
    of_authors: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> PostIds:
        """Parse lines such as ``123`` and ``@author 123``."""
        ids = frozenset(part for line in lines for part in (line, *_parts(line)))
        pairs = frozenset(line for line in ids if line.startswith("@") and " " in line)
        return cls(ids - pairs, pairs)

    def __bool__(self) -> bool:
        return bool(self.ids or self.of_authors)

    def has(self, author: str, post_id: str) -> bool:
        """Return whether the post ``post_id`` of ``author``, or a part of it, is in the set."""
        return self._has(author, post_id) or any(
            self._has(author, part) for part in _parts(post_id)
        )

    def _has(self, author: str, post_id: str) -> bool:
        if post_id in self.ids or ("://" in post_id and post_id.rpartition("/")[2] in self.ids):
            return True
        return bool(self.of_authors) and author_line(author, post_id) in self.of_authors

    def mask(self, posts: pl.DataFrame) -> pl.Series:
        """Return which rows of a table of posts are in the set."""
        rows = posts.select("author", "id").iter_rows()
        return pl.Series([self.has(*row) for row in rows], dtype=pl.Boolean)


def _parts(line: str) -> list[str]:
    """Return the ids that a joined id consists of, each with the author that precedes it."""
    if JOINED not in line:
        return []
    author, space, post_id = line.rpartition(" ")
    return [f"{author}{space}{part}" for part in post_id.split(JOINED) if part]


def author_line(author: str, post_id: str) -> str:
    """Return the line that identifies one post of one author."""
    return " ".join(f"@{author.lower()} {post_id}".split())


def stable_id(author: str, post_id: str) -> str:
    """Return a lasting identifier: the id, with its author unless it is globally unique."""
    return post_id if is_unique(post_id) else author_line(author, post_id)


def is_unique(post_id: str) -> bool:
    """Return whether an id is globally unique, or qualified as ``@author id``."""
    return bool(_UNIQUE.fullmatch(post_id)) or (post_id.startswith("@") and " " in post_id)


def parse_post_id(text: str) -> str | None:
    """Normalize an id, ``@author id`` or the address of a post's page; None if it is neither."""
    text = " ".join(text.split())
    if page := _PAGE.fullmatch(text):
        text = page[1]
    if not _POST_ID.fullmatch(text) or _SPREADSHEET.fullmatch(text):
        return None
    if text.startswith("@") and " " in text:
        author, _, post_id = text[1:].rpartition(" ")
        return author_line(author, post_id)
    return text


def deleted_posts_file() -> Path:
    """Return the path of the list of deleted posts; it may not exist."""
    return config_folder() / "forgotten.txt"


def remembered() -> frozenset[str]:
    """Return the lines of all deleted posts.

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
    """Add deleted posts to the list; return how many are new.

    Raises:
        StorageError: the list can't be written.
    """
    with locked_config_dir():
        known = remembered()
        new = {parse_post_id(line) or line for line in lines} - known
        if new:
            text = "".join(f"{line}\n" for line in sorted(known | new))
            files.write_text(deleted_posts_file(), text)
    return len(new)


@lru_cache(maxsize=4)  # called for every page of a download
def _read(file: Path, modified: int, size: int) -> frozenset[str]:
    del modified, size  # part of the cache key, so that a changed file is read again
    ids = set()
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as text: {error}.") from error
    for number, line in enumerate(lines, start=1):
        post_id = parse_post_id(line)
        if post_id is None and line.strip():
            raise InputError(f"Line {number} of {file} is not a post id: {line[:80]!r}.")
        ids.add(post_id or "")
    return frozenset(ids - {""})
