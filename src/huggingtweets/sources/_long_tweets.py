"""The long posts of an X archive: whole in ``note-tweet.js``, cut short in ``tweets.js``.

Two shapes are known. Most archives have ``{"noteTweet": {"noteTweetId", "createdAt", "core":
{"text"}}}``, where no id leads to the tweet: it was written in the same second and begins alike.
Some name the tweet: ``{"noteTweet": {"tweetId", "noteTweetResults": {"text"}}}``.
"""

from __future__ import annotations

import re
from html import unescape
from os import SEEK_END
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import id_of, text_of, time_of
from huggingtweets.storage.files import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_TEXTS = ("core", "noteTweetResults", "noteTweetContents", "result")
_MENTIONS = re.compile(r"(?:@\w+\s+)+")
_LINK = re.compile(r"https?://\S+")
_MARK = "\x1a"  # stands for a link
_COMPARED = 100  # characters; a cut tweet has some 270
_FEWEST_COMPARED = 10
_IN_MEMORY = 32 * 1024**2
"""Bytes; a few thousand long posts are a tenth of it."""

_MOST = 1_000_000
"""Long posts; each takes some 300 bytes of memory for its place."""

_Place = tuple[int, int]
"""Where a text begins in the file and how many bytes it has."""


class LongTweetStore:
    """The long posts of one archive, however large; use it in ``with closing(...)``.

    Only the places of the texts are held in memory; the texts lie in a file, once they have more
    than a few MB.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - see close()
        self._by_id: dict[str, _Place] = {}
        self._by_second: dict[int, list[_Place]] = {}
        self._count = 0

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, items: Iterable[object], where: str) -> None:
        """Take the items of a ``note-tweet.js``; what is no note is passed over."""
        for item in items:
            note = item.get("noteTweet") if isinstance(item, dict) else None
            text = text_of(_text_in(note), where)
            if not isinstance(note, dict) or not text:
                continue
            tweet = id_of(note.get("tweetId"))
            second = _second(time_of(note.get("createdAt")))
            if tweet is not None:
                self._by_id[tweet] = self._put(text, where)
            elif second is not None:
                self._by_second.setdefault(second, []).append(self._put(text, where))

    def whole(self, text: str, tweet: str | None, time: datetime | None) -> str:
        """Return the long post that this text of a tweet was cut from, or the text itself."""
        if tweet is not None and tweet in self._by_id:
            return self._get(self._by_id[tweet])
        if time is None or not self._by_second:
            return text
        second = int(time.timestamp())
        for near in (second, second - 1, second + 1):
            for place in self._by_second.get(near, ()):
                note = self._get(place)
                if len(note) > len(text) // 2 and _begin_alike(text, note):
                    return note
        return text

    def _put(self, text: str, where: str) -> _Place:
        self._count += 1
        if self._count > _MOST:
            raise SourceError(
                f"{where} holds over {_MOST:,} long posts, more than anybody wrote; "
                "download the archive again."
            )
        encoded = text.encode()
        with wrap_os_errors(Path(gettempdir())):
            start = self._file.seek(0, SEEK_END)
            self._file.write(encoded)
        return start, len(encoded)

    def _get(self, place: _Place) -> str:
        start, length = place
        self._file.seek(start)
        return self._file.read(length).decode()


def _text_in(note: object) -> object:
    if not isinstance(note, dict):
        return None
    inner = next((note[name] for name in _TEXTS if isinstance(note.get(name), dict)), None)
    return note.get("text") if inner is None else _text_in(inner)


def _second(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


def _begin_alike(tweet: str, note: str) -> bool:
    """Compare without entities, addresses, and the mentions a reply begins with.

    Of a link one text has the address, the other what X made of it.
    """
    begins = [_beginning(unescape(tweet)), _beginning(note)]
    length = min(map(len, begins))
    return length >= _FEWEST_COMPARED and begins[0][:length] == begins[1][:length]


def _beginning(text: str) -> str:
    own = _MENTIONS.sub("", text[:2000], count=1) if text.startswith("@") else text[:2000]
    cut = _LINK.sub(_MARK, own).split("…")[0]
    return " ".join(cut.split()).rstrip(f" {_MARK}")[:_COMPARED]
