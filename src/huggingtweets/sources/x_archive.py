"""Read X (Twitter) archives: the zip, the unpacked folder, or a ``tweets.js`` alone.

Only these members are opened: ``tweets.js`` (``tweet.js`` in older archives) and its parts
``tweets-part1.js``..., ``community-tweet.js``, ``note-tweet.js`` with the long tweets, and
``account.js`` for the handle. In archives from before 2019 these are the months
``data/js/tweets/2012_05.js`` and ``data/js/user_details.js``, or else ``tweets.csv``. Messages,
likes, deleted posts and posts for a circle are never opened. Everything is streamed, so memory does
not grow with the archive.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import (
    ArchiveReader,
    display_path,
    open_archive,
    read_text,
)
from huggingtweets.sources._csv_rows import csv_rows_from_text
from huggingtweets.sources._fields import (
    author_from_filename,
    hashed_id,
    parse_id,
    parse_name,
    parse_time,
)
from huggingtweets.sources._js_array import js_items, js_object
from huggingtweets.sources._latest_versions import LatestVersions
from huggingtweets.sources._long_tweets import LongTweetStore
from huggingtweets.sources._post_kind import NO_POST, in_brackets, parse_kind, reason_to_leave_out
from huggingtweets.sources._row_text import row_text
from huggingtweets.sources._text import file_chunks, list_names
from huggingtweets.sources._tweets_js import tweet_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# `data/` at the top level or in one folder, as when the unpacked folder was zipped again.
_DATA = r"(?:(?:[^/\0-\x1f]+/)?data/)?"
_PART = re.compile(_DATA + r"tweets?(?:-part(\d+))?\.js")
_NOTE = re.compile(_DATA + r"note-tweets?(?:-part(\d+))?\.js")
_COMMUNITY = re.compile(_DATA + r"community-tweets?(?:-part(\d+))?\.js")
_NEVER = re.compile(r"(?:deleted-|twitter-circle|direct-message|protected-)[\w-]*\.js")
"""Files of an archive with what its owner deleted or showed only to some."""

_NEVER_VARIABLE = re.compile(rb"\.(?:deleted|twitter_circle|direct_message|protected)\w*\.part\d")
"""Begins the same files, whatever they are called."""

_MONTH = re.compile(rf"(?:{_DATA}js/tweets/)?(\d{{4}}_\d\d)\.js")
_TABLE = re.compile(r"(?:[^/\0-\x1f]+/)?tweets\.csv")
_USER_DETAILS = "user_details.js"
_TEXT_FIELDS = frozenset({"full_text", "text"})
_ID_FIELDS = frozenset({"id_str", "id"})
_ID_OR_TIME_FIELDS = _ID_FIELDS | {"created_at"}
_MAX_SHOWN = 5
_MAX_VARIABLE = 200  # bytes


@dataclass(frozen=True, slots=True)
class XArchive:
    """The tweets of one archive, in the order of its files.

    Attributes:
        path: a zip, a folder, or a ``.js`` file with tweets.
        author: the handle to use instead of the one in the archive.
        left_out: number of records left out at the last reading, by reason.
    """

    path: Path
    author: str | None = None
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str] = "x-archive"

    def posts(self) -> Iterator[Post]:
        """Yield every tweet; other items are skipped."""
        self.left_out.clear()
        versions = LatestVersions(self.left_out)
        opened = open_archive(self.path, ("account.js", "note-tweet.js"))
        with closing(opened) as archive, closing(LongTweetStore()) as long_tweets:
            names = archive.names()
            parts = self._parts(names)
            notes = _sorted_by_number(_NOTE, names)
            accounts = {_account_file(part) for part in parts}.intersection(names)
            archive.check([*parts, *notes, *accounts])
            for note in notes:
                long_tweets.add(self._items(archive, note), display_path(self.path, note))
            # Read once: an archive may have thousands of parts.
            authors = {} if self.author else {at: self._username(archive, at) for at in accounts}
            found = False
            for part in parts:
                author = self.author or authors.get(_account_file(part))
                for post in self._tweets(archive, part, author, long_tweets, versions):
                    found = True
                    yield post
            for post in versions.rest():
                found = True
                yield post
        if not found:
            raise SourceError(
                f"{self.path} holds no tweets{in_brackets(self.left_out)}; "
                "give the archive that X sent."
            )

    def handle(self) -> str | None:
        """Return the handle that the archive names; None if it names none.

        Raises:
            SourceError: it can't be read.
        """
        with closing(open_archive(self.path, ("account.js",))) as archive:
            names = archive.names()
            parts = self._parts(names)
            accounts = sorted({_account_file(part) for part in parts}.intersection(names))
            archive.check(accounts)
            return next((name for at in accounts if (name := self._username(archive, at))), None)

    def _parts(self, names: list[str]) -> list[str]:
        if _NEVER.fullmatch(self.path.name.lower()) or self._begins_like_never_read():
            raise SourceError(
                f"{self.path} holds posts or messages that are not public, which are never read; "
                "give the archive's tweets.js."
            )
        if self.path.suffix.lower() == ".js" and self.path.name in names:
            return [self.path.name]
        parts = _sorted_by_number(_PART, names) + _sorted_by_number(_MONTH, names)
        parts += _sorted_by_number(_COMMUNITY, names)
        parts = parts or [name for name in names if _TABLE.fullmatch(name)][:1]
        if not parts:
            raise SourceError(
                f"{self.path} holds no data/tweets.js; is it an X archive? "
                f"It holds: {list_names(sorted(names), _MAX_SHOWN)}."
            )
        return parts

    def _begins_like_never_read(self) -> bool:
        if self.path.suffix.lower() != ".js":
            return False
        with closing(file_chunks(self.path)) as chunks:
            return _NEVER_VARIABLE.search(next(chunks, b"")[:_MAX_VARIABLE]) is not None

    def _items(self, archive: ArchiveReader, member: str) -> Iterator[object]:
        where = display_path(self.path, member)
        yield from js_items(read_text(archive, member, where), where)

    def _username(self, archive: ArchiveReader, member: str) -> str | None:
        if member.endswith(_USER_DETAILS):
            where = display_path(self.path, member)
            return parse_name(js_object(read_text(archive, member, where), where))
        for item in self._items(archive, member):
            account = item.get("account") if isinstance(item, dict) else None
            if isinstance(account, dict):
                return parse_name(account.get("username"))
        return None

    def _tweets(
        self,
        archive: ArchiveReader,
        part: str,
        author: str | None,
        long_tweets: LongTweetStore,
        versions: LatestVersions,
    ) -> Iterator[Post]:
        where = display_path(self.path, part)
        for position, item in enumerate(_tweet_items(archive, part, where)):
            tweet = _tweet_in(item)
            reason = NO_POST if tweet is None else reason_to_leave_out(tweet)
            if tweet is None or reason:
                self.left_out[str(reason)] += 1
                continue
            tweet_author = author or parse_name(tweet.get("user"))
            post = self._post(tweet, position, tweet_author, where, long_tweets)
            if latest := versions.latest(post, tweet):
                yield latest

    def _post(
        self,
        tweet: Mapping[str, object],
        position: int,
        author: str | None,
        where: str,
        long_tweets: LongTweetStore,
    ) -> Post:
        text = row_text(tweet, where)
        tweet_id = parse_id(tweet.get("id_str") or tweet.get("id"))
        time = parse_time(tweet.get("created_at"))
        kind = parse_kind(text, tweet)
        return Post(
            author=author or author_from_filename(self.path),
            id=tweet_id or hashed_id(position, text),
            text=text if kind == "repost" else long_tweets.full_text(text, tweet_id, time),
            created_at=time,
            kind=kind,
            lang=parse_name(tweet.get("lang")),
            source=self.name,
        )


def has_tweets(names: Iterable[str]) -> bool:
    """Return whether these are the files of an X archive."""
    return any(pattern.fullmatch(name) for name in names for pattern in (_PART, _MONTH, _TABLE))


def grailbird_author(folder: Path) -> str | None:
    """Return the handle of an unpacked archive from before 2019, for its ``tweets.csv``."""
    details = folder / "data" / "js" / _USER_DETAILS
    if not details.is_file():
        return None
    with closing(open_archive(details)) as archive:
        where = str(details)
        return parse_name(js_object(read_text(archive, details.name, where), where))


def _sorted_by_number(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    """Return the names that match, sorted by their numbers: part 2 before part 10."""
    matches = [(match[1] or "", name) for name in names if (match := pattern.fullmatch(name))]
    return [name for _, name in sorted(matches, key=lambda pair: (len(pair[0]), *pair))]


def _account_file(part: str) -> str:
    """Return the member with the handle of the author of a part."""
    path = PurePosixPath(part)
    if _TABLE.fullmatch(part):
        return str(path.with_name("data") / "js" / _USER_DETAILS)
    if _MONTH.fullmatch(part) and path.parent.name == "tweets":
        return str(path.parents[1] / _USER_DETAILS)
    return str(path.with_name("account.js"))


def _tweet_items(archive: ArchiveReader, part: str, where: str) -> Iterator[object]:
    if _TABLE.fullmatch(part):
        return (row for _, row in csv_rows_from_text(read_text(archive, part, where), where))
    return tweet_items(lambda: archive.chunks(part), where)


def _tweet_in(item: object) -> Mapping[str, object] | None:
    """Return the tweet of an item, wrapped as ``{"tweet": {...}}`` or bare; None otherwise."""
    if not isinstance(item, dict):
        return None
    wrapped = item.get("tweet")
    if isinstance(wrapped, dict):
        has_field = not (_TEXT_FIELDS.isdisjoint(wrapped) and _ID_FIELDS.isdisjoint(wrapped))
        return wrapped if has_field else None
    is_tweet = not (_TEXT_FIELDS.isdisjoint(item) or _ID_OR_TIME_FIELDS.isdisjoint(item))
    return item if is_tweet else None
