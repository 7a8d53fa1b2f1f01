"""Restore the long tweets of an X archive: full in ``note-tweet.js``, truncated in ``tweets.js``.

Two formats are known. Most archives have ``{"noteTweet": {"noteTweetId", "createdAt", "core":
{"text"}}}`` without the id of the tweet, which was written in the same second and begins with the
same text. Some name the tweet: ``{"noteTweet": {"tweetId", "noteTweetResults": {"text"}}}``.
"""

from __future__ import annotations

import re
from html import unescape
from os import SEEK_END
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import parse_id, parse_text, parse_time
from huggingtweets.storage.files import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_TEXT_FIELDS = ("core", "noteTweetResults", "noteTweetContents", "result")
_MENTIONS = re.compile(r"(?:@\w+\s+)+")
_LINK = re.compile(r"https?://\S+")
_LINK_MARK = "\x1a"  # stands for a link
_MAX_COMPARED = 100  # characters; a truncated tweet has about 270
_MIN_COMPARED = 10
_MAX_IN_MEMORY = 32 * 1024**2
"""Bytes; a few thousand long tweets take a tenth of it."""

_MAX_POSTS = 1_000_000
"""Each takes about 300 bytes of memory for its location."""

_MAX_PER_SECOND = 1_000
"""Each tweet is compared with all long tweets of its second."""

_Location = tuple[int, int]
"""Offset and size of a text in the file, in bytes."""


class LongTweetStore:
    """The long tweets of one archive; use it in ``with closing(...)``.

    Only the locations of the texts stay in memory. Beyond 32 MB the texts are in a temporary file.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_MAX_IN_MEMORY)  # noqa: SIM115 - see close()
        self._by_id: dict[str, _Location] = {}
        self._by_second: dict[int, list[_Location]] = {}
        self._count = 0

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, items: Iterable[object], where: str) -> None:
        """Add the items of a ``note-tweet.js``; other items are skipped."""
        for item in items:
            note = item.get("noteTweet") if isinstance(item, dict) else None
            text = parse_text(_text_in(note), where)
            if not isinstance(note, dict) or not text:
                continue
            tweet = parse_id(note.get("tweetId"))
            second = _second(parse_time(note.get("createdAt")))
            if tweet is not None:
                self._by_id[tweet] = self._put(text, where)
            elif second is not None:
                same_second = self._by_second.setdefault(second, [])
                if len(same_second) >= _MAX_PER_SECOND:
                    raise _too_many(f"over {_MAX_PER_SECOND:,} long posts of one second", where)
                same_second.append(self._put(text, where))

    def full_text(self, text: str, tweet: str | None, time: datetime | None) -> str:
        """Return the long tweet that a text was truncated from, or the text itself.

        Args:
            text: of the tweet in ``tweets.js``.
            tweet: its id.
            time: when it was written.
        """
        if tweet is not None and tweet in self._by_id:
            return self._get(self._by_id[tweet])
        if time is None or not self._by_second:
            return text
        second = int(time.timestamp())
        for near in (second, second - 1, second + 1):
            for location in self._by_second.get(near, ()):
                note = self._get(location)
                if len(note) > len(text) // 2 and _have_same_beginning(text, note):
                    return note
        return text

    def _put(self, text: str, where: str) -> _Location:
        self._count += 1
        if self._count > _MAX_POSTS:
            raise _too_many(f"over {_MAX_POSTS:,} long posts", where)
        encoded = text.encode()
        with wrap_os_errors(Path(gettempdir())):
            start = self._file.seek(0, SEEK_END)
            self._file.write(encoded)
        return start, len(encoded)

    def _get(self, location: _Location) -> str:
        start, length = location
        self._file.seek(start)
        return self._file.read(length).decode()


def _too_many(what: str, where: str) -> SourceError:
    return SourceError(
        f"{where} holds {what}, more than anybody writes; download the archive again."
    )


def _text_in(note: object) -> object:
    if not isinstance(note, dict):
        return None
    inner = next((note[name] for name in _TEXT_FIELDS if isinstance(note.get(name), dict)), None)
    return note.get("text") if inner is None else _text_in(inner)


def _second(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


def _have_same_beginning(tweet: str, note: str) -> bool:
    """Compare two texts without entities, links, and the leading mentions of a reply.

    Links differ: one text has the full address, the other X's short one.
    """
    beginnings = [_beginning(unescape(tweet)), _beginning(note)]
    length = min(map(len, beginnings))
    return length >= _MIN_COMPARED and beginnings[0][:length] == beginnings[1][:length]


def _beginning(text: str) -> str:
    body = _MENTIONS.sub("", text[:2000], count=1) if text.startswith("@") else text[:2000]
    body = _LINK.sub(_LINK_MARK, body).split("…")[0]
    return " ".join(body.split()).rstrip(f" {_LINK_MARK}")[:_MAX_COMPARED]
