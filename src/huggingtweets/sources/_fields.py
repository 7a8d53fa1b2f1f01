"""Parse the values in files into the fields of a post.

Archives and exports write the same things as strings, numbers, nulls or nested objects. These
functions accept any of them and never fail on an unexpected type: an unreadable date becomes None
and an unreadable text becomes empty (curation counts it as short), so the counts still add up. The
only error is a text that is far too long to be a post.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.data.posts import Name
from huggingtweets.errors import SourceError
from huggingtweets.sources._dates import plain_value, read_date
from huggingtweets.sources._text import MAX_POST_CHARS

if TYPE_CHECKING:
    from pathlib import PurePath

    from huggingtweets.sources._zip_member import Member

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # polars stores UTF-8, without lone surrogates
_NOT_SET = frozenset({"", "0", "f", "false", "n", "nan", "no", "none", "null"})
_REMOVED = frozenset(
    {"[deleted]", "[removed]", "[deleted by user]", "[ removed by reddit ]", "[removed by reddit]"}
)
"""What Reddit puts in place of a text."""

_SPREADSHEET_ID = re.compile(r"\d+[.,]\d*[eE]\+?\d+|\d+\.0")


_PROFILE = re.compile(r"https?://[^/\s]+/(?:@|users/|profile/)?([^/?#\s]+)/?")
"""The address of an account, as snscrape writes it for a user."""

_HANDLES = (
    *("screen_name", "userName", "username", "screenName", "acct", "handle", "user_name"),
    *("uniqueName", "preferredUsername", "login", "account"),
)
"""Names of handles in the objects of users: X, Apify, snscrape, Mastodon, Bluesky."""


def as_dict(value: object) -> dict[str, object]:
    """Return a JSON object, or an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def parse_object(text: str) -> dict[str, object]:
    """Parse an object, as JSON or as Python writes it; empty if it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return as_dict(parse(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return {}


def as_list(value: object) -> list[object]:
    """Return a JSON list, or an empty one for any other value."""
    return value if isinstance(value, list) else []


def parse_text(value: object, where: str) -> str:
    """Return a text that polars can store, or an empty one if the value is not a text.

    Raises:
        SourceError: the text is too long to be a post.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)
    if len(text) > MAX_POST_CHARS:
        raise SourceError(
            f"A post in {where} is over {MAX_POST_CHARS:,} characters long; remove it."
        )
    return _storable(text)


def titled(title: object, text: str, where: str) -> str:
    """Put the title of a post before its text, unless the text begins with it."""
    heading = parse_text(title, where).strip()
    heading = "" if heading.lower() in _REMOVED else heading
    start = heading.removesuffix("…").removesuffix("...").rstrip()
    body = text.strip()
    if not start or " ".join(body.split()).startswith(" ".join(start.split())):
        return text
    return f"{heading}\n{text}" if body else heading


def spoken_text(text: str) -> str:
    """Return the words of a text in a form of its own.

    YouTube writes comments as JSON, ``{"takeoutSegments": [{"text": "..."}]}`` or, since 2024,
    ``{"text": "..."},{"text": "..."}``. Reddit replaces what was removed by a word in brackets.
    """
    if text.strip().lower() in _REMOVED:
        return ""
    if not text.startswith(('{"takeoutSegments"', '{"text"')):
        return text
    try:
        segments = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        return text
    if "takeoutSegments" in segments[0]:
        segments = as_list(segments[0]["takeoutSegments"])
    pieces = (as_dict(segment).get("text") for segment in segments)
    return _storable("".join(piece for piece in pieces if isinstance(piece, str)))


def _storable(text: str) -> str:
    # For most texts this check is much faster than a regex search.
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def parse_name(value: object) -> str | None:
    """Parse a short name such as a handle or a language code, without ``@``; None if missing."""
    if isinstance(value, str) and value[:1] == "{" and value.rstrip()[-1:] == "}":
        value = parse_object(value) or value
    if isinstance(value, dict):  # such as the `user` object of the X API
        names = (*_HANDLES, "name") if "nickName" in value else _HANDLES  # TikTok's `authorMeta`
        value = next((value[name] for name in names if value.get(name)), None)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _clean_name(str(value)[:100])


@lru_cache(maxsize=1024)  # a file repeats a few authors and languages a million times
def _clean_name(name: str) -> str | None:
    name = match[1] if (match := _PROFILE.fullmatch(name.strip())) else name
    return _UNSTORABLE.sub("\ufffd", name).strip().removeprefix("@") or None


def author_from_filename(path: PurePath | Member) -> Name:
    """Return the file's name as the author; it may be invalid UTF-8."""
    return Name(parse_name(path.stem) or "unknown")


def parse_chosen_author(value: str | None) -> str | None:
    """Parse the author that a user chose: a handle if it begins with ``@``, else a name."""
    name = parse_name(value)
    is_handle = value is not None and value.strip().startswith("@")
    return name if name is None or is_handle else Name(name)


def parse_id(value: object) -> str | None:
    """Parse an id; None if missing or rounded.

    Spreadsheets turn 603275497183846402 into 6.03275E+17, which many posts would share.
    """
    value = plain_value(value.get("$oid", value) if isinstance(value, dict) else value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    if not 0 < len(text) <= 100:
        return None
    if text.isdigit():  # the common case
        return text
    return None if _SPREADSHEET_ID.fullmatch(text) else _storable(text)


def hashed_id(position: int, text: str) -> str:
    """Hash position and text into a reproducible id, for sources without ids.

    With the text alone, two equal posts would collide and the counts wouldn't add up. With the
    position alone, two files of one author would share ids.
    """
    seed = f"{position}\n{text}".encode()
    return hashlib.blake2b(seed, digest_size=8).hexdigest()


def parse_time(value: object) -> datetime | None:
    """Read a date as :func:`~huggingtweets.sources._dates.read_date`; None if that is unsure."""
    found = read_date(value)
    return found if isinstance(found, datetime) else None


def is_set(value: object) -> bool:
    """Return whether a flag, id or object is set, including flags written as strings."""
    if isinstance(value, str):
        return value.strip().lower() not in _NOT_SET
    return bool(value) and value == value  # noqa: PLR0124 - False for NaN, a missing number
