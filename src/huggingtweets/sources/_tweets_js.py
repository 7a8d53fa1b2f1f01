"""The tweets of a ``tweets.js``, as quickly as can be: a million have over a gigabyte of JSON.

As X writes it the file is a list of ``{"tweet": {...}}``. It is cut in front of one such item, a
megabyte at a time, and msgspec decodes the piece, building only the few fields that make a post.
Whether the cut was right needs no guess: only whole items between brackets are valid JSON. What is
anything but the common form (an id that is a number, half of an emoji) is decoded by the standard
library, and a file that is no such list, or broken, is read again by :mod:`._js_array`, which can
read any and tells where it is broken.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

import polars as pl

from huggingtweets.sources._js_array import js_items
from huggingtweets.sources._json_reader import DECODER, LONGEST_ITEM
from huggingtweets.sources._text import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import msgspec

_SPACE = rb"[ \t\r\n]*"
_FIRST = re.compile(
    rb"\A(?:\xef\xbb\xbf)?%b(?:(?!\[)[ -<>-~\t\r\n]{1,900}=)?%b\[(?=%b\{%b\"tweet\"%b:)"
    % ((_SPACE,) * 5)
)
_END = re.compile(rb"\]%b;?%b\Z" % ((_SPACE,) * 2))
_NEXT = re.compile(rb"\}%b(,)%b\{%b\Z" % ((_SPACE,) * 3))  # stands before `"tweet"`
_NAME = b'"tweet"'
_LONGEST_GAP = 200  # bytes from one item to the name in the next; they are white space


class _User(TypedDict, total=False):
    screen_name: str | None
    username: str | None


class _Tweet(TypedDict, total=False):
    """The fields that make a post, of the types X gives them."""

    id_str: str | None
    id: str | None
    full_text: str | None
    text: str | None
    created_at: str | None
    lang: str | None
    kind: str | None
    user: _User | None
    retweeted_status: dict[str, object] | None
    is_repost: bool | None
    in_reply_to_status_id_str: str | None
    in_reply_to_status_id: str | None
    in_reply_to_user_id_str: str | None
    in_reply_to_user_id: str | None
    quoted_status_id_str: str | None
    quoted_status_id: str | None
    is_quote_status: bool | None


class _Item(TypedDict):
    tweet: _Tweet


class _FallbackToSlowParser(Exception):  # noqa: N818 - no fault: another reader takes over
    """The file, or the rest of it, is of another form, or broken."""


def tweet_items(chunks: Callable[[], Generator[bytes, None, None]], where: str) -> Iterator[object]:
    """Yield the items of the list that a file assigns to a variable of any name.

    A tweet that is wrapped as ``{"tweet": {...}}`` may lack the fields that no post needs.

    Args:
        chunks: opens the file, as often as it is called.
        where: the file's name for error messages.
    """
    done = 0
    try:
        with closing(chunks()) as opened:
            for piece in _pieces(opened):
                items = _decode(piece)
                yield from items
                done += len(items)
            return
    except _FallbackToSlowParser:
        pass
    with closing(chunks()) as opened:
        yield from islice(js_items(decoded(opened, where), where), done, None)


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut the list into pieces of whole items, without its brackets."""
    waiting = next(chunks, b"")
    first = _FIRST.match(waiting)
    if first is None:
        raise _FallbackToSlowParser
    waiting = waiting[first.end() :]
    looked = 0  # up to where no item ends
    for chunk in chunks:
        cut = _last_cut(waiting, looked)
        if cut is not None:
            yield waiting[:cut]
            waiting = waiting[cut + 1 :]
        looked = 0 if cut is not None else max(0, len(waiting) - _LONGEST_GAP)
        waiting += chunk
        if len(waiting) > LONGEST_ITEM:
            raise _FallbackToSlowParser
    end = _END.search(waiting, max(0, len(waiting) - _LONGEST_GAP))
    if end is None:
        raise _FallbackToSlowParser
    yield waiting[: end.start()]


def _last_cut(text: bytes, start: int) -> int | None:
    """Find the last comma between two items."""
    name = len(text)
    while (name := text.rfind(_NAME, start, name)) >= 0:
        if found := _NEXT.search(text, max(0, name - _LONGEST_GAP), name):
            return found.start(1)
    return None


def _decode(piece: bytes) -> Sequence[object]:
    import msgspec

    whole = b"[%b]" % piece
    try:
        _check_utf8(whole)
        return _decoder().decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_unusual(whole)


def _check_utf8(text: bytes) -> None:
    """Check the fields, too, that aren't decoded; polars does it at three times Python's speed."""
    try:
        pl.Series([text]).cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _FallbackToSlowParser from error


def _decode_unusual(whole: bytes) -> Sequence[object]:
    try:
        items: list[object] = DECODER.decode(whole.decode())
    except (json.JSONDecodeError, RecursionError) as error:
        raise _FallbackToSlowParser from error
    return items


@cache
def _decoder() -> msgspec.json.Decoder[list[_Item]]:
    import msgspec

    return msgspec.json.Decoder(list[_Item])
