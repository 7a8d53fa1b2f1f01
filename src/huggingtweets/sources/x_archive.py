"""X (Twitter) archives: the zip as downloaded, the unpacked folder, or a ``tweets.js`` alone.

Only three kinds of member are ever opened: ``tweets.js`` (``tweet.js`` in older archives), its
further parts ``tweets-part1.js``..., and ``account.js`` for the handle. The direct messages that
lie beside them stay closed. Everything is streamed, so memory does not grow with the archive.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Protocol

from huggingtweets.errors import SourceError
from huggingtweets.posts import Post
from huggingtweets.sources._fields import (
    id_of,
    kind_of,
    made_id,
    name_of,
    name_of_file,
    text_of,
    time_of,
)
from huggingtweets.sources._js_array import js_items
from huggingtweets.sources._text import decoded, file_chunks, listed
from huggingtweets.sources.safe_zip import SafeZip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

# `data/` at the top or in one folder, as when somebody zips the unpacked folder again.
_PART = re.compile(r"(?:(?:[^/\0-\x1f]+/)?data/)?tweets?(?:-part(\d+))?\.js")
_SHOWN_NAMES = 5


class _Members(Protocol):
    """The files of an archive, whatever holds them."""

    def names(self) -> list[str]: ...

    def check(self, names: list[str]) -> None: ...

    def chunks(self, name: str) -> Generator[bytes, None, None]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class XArchive:
    """The tweets of one archive, in the order of its files.

    Attributes:
        path: a zip, a folder, or a ``.js`` file with tweets.
        author: the handle, where it should not be the one in the archive.
    """

    path: Path
    author: str | None = None
    name: ClassVar[str] = "x-archive"

    def posts(self) -> Iterator[Post]:
        """Yield every tweet; an item that is no tweet is passed over."""
        with closing(self._open()) as members:
            names = members.names()
            parts = self._parts(names)
            accounts = {beside for part in parts if (beside := _account(part)) in names}
            members.check([*parts, *accounts])
            found = False
            for part in parts:
                account = _account(part)
                author = self.author
                if author is None and account in accounts:
                    author = self._username(members, account)
                for post in self._tweets(members, part, author):
                    found = True
                    yield post
        if not found:
            raise SourceError(f"{self.path} holds no tweets; give the archive that X sent.")

    def _open(self) -> _Members:
        if self.path.suffix.lower() == ".zip" and not self.path.is_dir():
            return SafeZip(self.path)
        return _Folder(self.path)

    def _parts(self, names: list[str]) -> list[str]:
        if self.path.suffix.lower() == ".js" and self.path.name in names:
            return [self.path.name]
        numbered = [(match, name) for name in names if (match := _PART.fullmatch(name))]
        if not numbered:
            raise SourceError(
                f"{self.path} holds no data/tweets.js; is it an X archive? "
                f"It holds: {listed(sorted(names), _SHOWN_NAMES)}."
            )
        numbered.sort(key=lambda pair: (len(pair[0][1] or ""), pair[0][1] or "", pair[1]))
        return [name for _, name in numbered]

    def _where(self, member: str) -> str:
        return str(self.path) if member == self.path.name else f"{member} in {self.path}"

    def _items(self, members: _Members, member: str) -> Iterator[object]:
        where = self._where(member)
        with closing(members.chunks(member)) as chunks:
            yield from js_items(decoded(chunks, where), where)

    def _username(self, members: _Members, member: str) -> str | None:
        for item in self._items(members, member):
            account = item.get("account") if isinstance(item, dict) else None
            if isinstance(account, dict):
                return name_of(account.get("username"))
        return None

    def _tweets(self, members: _Members, part: str, author: str | None) -> Iterator[Post]:
        where = self._where(part)
        for position, item in enumerate(self._items(members, part)):
            tweet = _tweet_in(item)
            if tweet is not None:
                yield self._post(tweet, position, author, where)

    def _post(
        self, tweet: Mapping[str, object], position: int, author: str | None, where: str
    ) -> Post:
        text = text_of(tweet.get("full_text") or tweet.get("text"), where)
        return Post(
            author=author or name_of(tweet.get("user")) or name_of_file(self.path),
            id=id_of(tweet.get("id_str") or tweet.get("id")) or made_id(position, text),
            text=text,
            created_at=time_of(tweet.get("created_at")),
            kind=kind_of(text, tweet),
            lang=name_of(tweet.get("lang")),
            source=self.name,
        )


@dataclass(frozen=True, slots=True)
class _Folder:
    """An unpacked archive, its ``data`` folder, or the folder around a single file."""

    path: Path

    def close(self) -> None:
        """Do nothing: each file is closed when it has been read."""

    def names(self) -> list[str]:
        try:
            if not self.path.is_dir():
                account = self.path.with_name("account.js")
                return [self.path.name, *([account.name] if account.is_file() else [])]
            data = self.path / "data"
            inside = [f"data/{entry.name}" for entry in data.iterdir()] if data.is_dir() else []
            return [entry.name for entry in self.path.iterdir() if entry != data] + inside
        except OSError as error:
            raise SourceError(f"{self.path} can't be read: {error.strerror or error}.") from error

    def check(self, names: list[str]) -> None:
        """Do nothing: the user's own folder can't hide a bomb."""

    def chunks(self, name: str) -> Generator[bytes, None, None]:
        folder = self.path if self.path.is_dir() else self.path.parent
        return file_chunks(folder / name)


def _account(part: str) -> str:
    """Name the member that tells the handle of the one whose tweets are in ``part``."""
    return str(PurePosixPath(part).with_name("account.js"))


def _tweet_in(item: object) -> Mapping[str, object] | None:
    """Return the tweet of an item, wrapped as ``{"tweet": {...}}`` or bare; None if it is none."""
    if not isinstance(item, dict):
        return None
    wrapped = item.get("tweet")
    if isinstance(wrapped, dict):
        return wrapped if wrapped.keys() & {"full_text", "text", "id_str", "id"} else None
    if item.keys() & {"full_text", "text"} and item.keys() & {"id_str", "id", "created_at"}:
        return item
    return None
