"""X (Twitter) archives: the zip as downloaded, the unpacked folder, or a ``tweets.js`` alone.

Only these members are ever opened: ``tweets.js`` (``tweet.js`` in older archives) and its further
parts ``tweets-part1.js``..., ``note-tweet.js`` with the long posts, and ``account.js`` for the
handle; in archives from before 2019 the months ``data/js/tweets/2012_05.js`` and
``data/js/user_details.js``, or where those are gone the ``tweets.csv`` that lay beside them. The
messages and likes that lie beside them stay closed. Everything is streamed, so memory does not grow
with the archive.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import (
    ArchiveReader,
    display_path,
    open_members,
    read_text,
)
from huggingtweets.sources._csv_rows import csv_rows_of
from huggingtweets.sources._fields import (
    id_of,
    kind_of,
    made_id,
    name_of,
    name_of_file,
    text_of,
    time_of,
)
from huggingtweets.sources._js_array import js_items, js_object
from huggingtweets.sources._long_tweets import LongTweetStore
from huggingtweets.sources._text import listed
from huggingtweets.sources._tweets_js import tweet_items

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# `data/` at the top or in one folder, as when somebody zips the unpacked folder again.
_DATA = r"(?:(?:[^/\0-\x1f]+/)?data/)?"
_PART = re.compile(_DATA + r"tweets?(?:-part(\d+))?\.js")
_NOTE = re.compile(_DATA + r"note-tweets?(?:-part(\d+))?\.js")
_MONTH = re.compile(rf"(?:{_DATA}js/tweets/)?(\d{{4}}_\d\d)\.js")
_TABLE = re.compile(r"(?:[^/\0-\x1f]+/)?tweets\.csv")
_USER_DETAILS = "user_details.js"
_SAYS = frozenset({"full_text", "text"})
_TELLS = frozenset({"id_str", "id"})
_TELLS_BARE = _TELLS | {"created_at"}
_SHOWN_NAMES = 5


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
        opened = open_members(self.path, ("account.js", "note-tweet.js"))
        with closing(opened) as members, closing(LongTweetStore()) as long:
            names = members.names()
            parts = self._parts(names)
            notes = _numbered(_NOTE, names)
            accounts = {beside for part in parts if (beside := _account(part)) in names}
            members.check([*parts, *notes, *accounts])
            for note in notes:
                long.add(self._items(members, note), display_path(self.path, note))
            found = False
            for part in parts:
                account = _account(part)
                author = self.author
                if author is None and account in accounts:
                    author = self._username(members, account)
                for post in self._tweets(members, part, author, long):
                    found = True
                    yield post
        if not found:
            raise SourceError(f"{self.path} holds no tweets; give the archive that X sent.")

    def _parts(self, names: list[str]) -> list[str]:
        if self.path.suffix.lower() == ".js" and self.path.name in names:
            return [self.path.name]
        parts = _numbered(_PART, names) + _numbered(_MONTH, names)
        parts = parts or [name for name in names if _TABLE.fullmatch(name)][:1]
        if not parts:
            raise SourceError(
                f"{self.path} holds no data/tweets.js; is it an X archive? "
                f"It holds: {listed(sorted(names), _SHOWN_NAMES)}."
            )
        return parts

    def _items(self, members: ArchiveReader, member: str) -> Iterator[object]:
        where = display_path(self.path, member)
        yield from js_items(read_text(members, member, where), where)

    def _username(self, members: ArchiveReader, member: str) -> str | None:
        if member.endswith(_USER_DETAILS):
            where = display_path(self.path, member)
            return name_of(js_object(read_text(members, member, where), where))
        for item in self._items(members, member):
            account = item.get("account") if isinstance(item, dict) else None
            if isinstance(account, dict):
                return name_of(account.get("username"))
        return None

    def _tweets(
        self, members: ArchiveReader, part: str, author: str | None, notes: LongTweetStore
    ) -> Iterator[Post]:
        where = display_path(self.path, part)
        for position, item in enumerate(_tweet_items(members, part, where)):
            tweet = _tweet_in(item)
            if tweet is not None:
                yield self._post(
                    tweet, position, author or name_of(tweet.get("user")), where, notes
                )

    def _post(
        self,
        tweet: Mapping[str, object],
        position: int,
        author: str | None,
        where: str,
        notes: LongTweetStore,
    ) -> Post:
        text = text_of(tweet.get("full_text") or tweet.get("text"), where)
        name = id_of(tweet.get("id_str") or tweet.get("id"))
        time = time_of(tweet.get("created_at"))
        kind = kind_of(text, tweet)
        return Post(
            author=author or name_of_file(self.path),
            id=name or made_id(position, text),
            text=text if kind == "repost" else notes.whole(text, name, time),
            created_at=time,
            kind=kind,
            lang=name_of(tweet.get("lang")),
            source=self.name,
        )


def grailbird_author(folder: Path) -> str | None:
    """Return the handle in an unpacked archive of before 2019, for the ``tweets.csv`` in it."""
    details = folder / "data" / "js" / _USER_DETAILS
    if not details.is_file():
        return None
    with closing(open_members(details)) as members:
        where = str(details)
        return name_of(js_object(read_text(members, details.name, where), where))


def _numbered(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    """Return the names that match, in the order of their numbers: part 2 before part 10."""
    matches = [(match[1] or "", name) for name in names if (match := pattern.fullmatch(name))]
    return [name for _, name in sorted(matches, key=lambda pair: (len(pair[0]), *pair))]


def _account(part: str) -> str:
    """Name the member that tells the handle of the one whose tweets are in ``part``."""
    path = PurePosixPath(part)
    if _TABLE.fullmatch(part):
        return str(path.with_name("data") / "js" / _USER_DETAILS)
    if _MONTH.fullmatch(part) and path.parent.name == "tweets":
        return str(path.parents[1] / _USER_DETAILS)
    return str(path.with_name("account.js"))


def _tweet_items(members: ArchiveReader, part: str, where: str) -> Iterator[object]:
    if _TABLE.fullmatch(part):
        return (row for _, row in csv_rows_of(read_text(members, part, where), where))
    return tweet_items(lambda: members.chunks(part), where)


def _tweet_in(item: object) -> Mapping[str, object] | None:
    """Return the tweet of an item, wrapped as ``{"tweet": {...}}`` or bare; None if it is none."""
    if not isinstance(item, dict):
        return None
    wrapped = item.get("tweet")
    if isinstance(wrapped, dict):
        return None if _SAYS.isdisjoint(wrapped) and _TELLS.isdisjoint(wrapped) else wrapped
    return None if _SAYS.isdisjoint(item) or _TELLS_BARE.isdisjoint(item) else item
