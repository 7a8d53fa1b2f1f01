"""A fast parser for ``tweets.js``: a million tweets are over a gigabyte of JSON.

X writes the file as a list of ``{"tweet": {...}}``. The parser splits it between two items, about a
megabyte at a time, and msgspec decodes each piece, building only the few fields that make a post. A
wrong split can't go unnoticed, because only complete items are valid JSON. Items in an unusual form
(a numeric id, half an emoji) are decoded by the standard library. A file that is not such a list,
or is broken, is read again by :mod:`._js_array`, which accepts any list and reports where it is
broken.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

import polars as pl

from huggingtweets.sources._js_array import js_items
from huggingtweets.sources._json_reader import DECODER, MAX_ITEM_CHARS
from huggingtweets.sources._text import decode_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_SPACE = rb"[ \t\r\n]*"
_FIRST = re.compile(
    rb"\A(?:\xef\xbb\xbf)?%b(?:(?!\[)[ -<>-~\t\r\n]{1,900}=)?%b\[(?=%b\{%b\"tweet\"%b:)"
    % ((_SPACE,) * 5)
)
_END = re.compile(rb"\]%b;?%b\Z" % ((_SPACE,) * 2))
_NEXT = re.compile(rb"\}%b(,)%b\{%b\Z" % ((_SPACE,) * 3))  # precedes `"tweet"`
_NAME = b'"tweet"'
_MAX_GAP = 200  # bytes of white space between an item and the name in the next one


class _User(TypedDict, total=False):
    screen_name: str | None
    username: str | None


class _Tweet(TypedDict, total=False):
    """The fields that make a post, with the types that X writes."""

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
    edit_info: dict[str, object] | None
    extended_tweet: dict[str, object] | None
    note_tweet: dict[str, object] | None
    promoted: bool | None
    deleted_at: str | None
    visibility: str | None


class _Item(TypedDict):
    tweet: _Tweet


class _FallbackToSlowParser(Exception):  # noqa: N818 - not an error
    """The file, or the rest of it, has another form or is broken."""


def tweet_items(chunks: Callable[[], Generator[bytes, None, None]], where: str) -> Iterator[object]:
    """Yield the items of the list that a file assigns to a variable of any name.

    A tweet wrapped as ``{"tweet": {...}}`` may lack fields that posts don't need.

    Args:
        chunks: opens the file each time it is called.
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
        yield from islice(js_items(decode_utf8(opened, where), where), done, None)


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split the list into pieces of complete items, without its brackets."""
    buffer = next(chunks, b"")
    first = _FIRST.match(buffer)
    if first is None:
        raise _FallbackToSlowParser
    buffer = buffer[first.end() :]
    searched = 0  # no item ends before this index
    for chunk in chunks:
        comma = _last_separator(buffer, searched)
        if comma is not None:
            yield buffer[:comma]
            buffer = buffer[comma + 1 :]
        searched = 0 if comma is not None else max(0, len(buffer) - _MAX_GAP)
        buffer += chunk
        if len(buffer) > MAX_ITEM_CHARS:
            raise _FallbackToSlowParser
    end = _END.search(buffer, max(0, len(buffer) - _MAX_GAP))
    if end is None:
        raise _FallbackToSlowParser
    yield buffer[: end.start()]


def _last_separator(text: bytes, start: int) -> int | None:
    """Find the last comma between two items."""
    name = len(text)
    while (name := text.rfind(_NAME, start, name)) >= 0:
        if found := _NEXT.search(text, max(0, name - _MAX_GAP), name):
            return found.start(1)
    return None


def _decode(piece: bytes) -> Sequence[object]:
    import msgspec

    from huggingtweets.decoding import decoder

    document = b"[%b]" % piece
    try:
        _check_utf8(document)
        return decoder(list[_Item]).decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_unusual(document)


def _check_utf8(text: bytes) -> None:
    """Check skipped fields as well; polars is three times as fast at it as Python."""
    try:
        pl.Series([text]).cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _FallbackToSlowParser from error


def _decode_unusual(document: bytes) -> Sequence[object]:
    try:
        items: list[object] = DECODER.decode(document.decode())
    except (json.JSONDecodeError, RecursionError) as error:
        raise _FallbackToSlowParser from error
    return items
