"""Values as files hold them to the fields of a post.

Archives and exports write the same things as strings, numbers, nulls or nested objects. These
functions take any of them and never fail on a shape: a date that can't be read is no date, a text
that is no text is an empty one (curation counts it as short), so the counts still add up. The only
error is a text that is far too long to be a post.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._text import LONGEST_POST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.data.posts import Kind

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # polars takes UTF-8: no lone surrogates
_X_DATE = re.compile(r"\w{3} (\w{3}) (\d\d?) (\d\d):(\d\d):(\d\d) ([+-]\d{4}) (\d{4})", re.ASCII)
# Not strptime: it is slow, and its names of months depend on the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_SET = frozenset({"", "0", "f", "false", "n", "nan", "no", "none", "null"})
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("retweet", "retweeted", "repost", "rt", "reblog", "boost"), "repost"),
    **dict.fromkeys(("reply", "replied_to"), "reply"),
    **dict.fromkeys(("quote", "quoted"), "quote"),
}
_REPOST_FIELDS = frozenset({"retweeted_status", "is_repost"})
_KIND_FIELDS: dict[Kind, frozenset[str]] = {
    "reply": frozenset(
        {
            *("in_reply_to_status_id_str", "in_reply_to_status_id"),
            *("in_reply_to_user_id_str", "in_reply_to_user_id"),
        }
    ),
    "quote": frozenset({"quoted_status_id_str", "quoted_status_id", "is_quote_status"}),
}
_SPREADSHEET_ID = re.compile(r"\d+[.,]\d*[eE]\+?\d+|\d+\.0")


def as_dict(value: object) -> dict[str, object]:
    """Return an object of JSON, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a list of JSON, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def text_of(value: object, where: str) -> str:
    """Text as polars can hold it; what is no text is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)
    if len(text) > LONGEST_POST:
        raise SourceError(
            f"A post in {where} is over {LONGEST_POST:,} characters long; take it out."
        )
    return _storable(text)


def _storable(text: str) -> str:
    # Most texts are told to be fine much sooner than a search through them would.
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def name_of(value: object) -> str | None:
    """Read a handle, a language code or the like: short, without ``@``; None when there is none."""
    if isinstance(value, dict):  # the `user` object of the X API
        value = value.get("screen_name") or value.get("username")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _clean_name(str(value)[:100])


@lru_cache(maxsize=1024)  # a file names a few authors and languages, a million times
def _clean_name(name: str) -> str | None:
    return _UNSTORABLE.sub("\ufffd", name).strip().removeprefix("@") or None


def name_of_file(path: Path) -> str:
    """Return the author's name where only the file has one; its name may be no UTF-8 either."""
    return name_of(path.stem) or "unknown"


def id_of(value: object) -> str | None:
    """Read an id, or None when there is none to trust.

    Spreadsheets turn 603275497183846402 into 6.03275E+17, which many posts share: not an id.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    if not 0 < len(text) <= 100:
        return None
    if text.isdigit():  # as nearly all are
        return text
    return None if _SPREADSHEET_ID.fullmatch(text) else _storable(text)


def made_id(position: int, text: str) -> str:
    """Make an id where the source has none: from text and place, the same at each reading.

    Of the text alone, a post written twice would be one and the counts wouldn't add up; of the
    place alone, two files of one author would take each other's ids.
    """
    seed = f"{position}\n{text}".encode()
    return hashlib.blake2b(seed, digest_size=8).hexdigest()


def time_of(value: object) -> datetime | None:
    """Read a time in X's form, ISO 8601 or (milli)seconds since 1970; without a zone it is UTC."""
    try:
        time = _parse_time(value)
        if time is None or time.tzinfo is UTC:
            return time
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February, the year 0, a date beyond the year 9999
        return None


def _parse_time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()[:40]
    if match := _X_DATE.fullmatch(text):
        return _x_time(match)
    if re.fullmatch(r"\d{9,13}(\.\d+)?", text):
        seconds = float(text)
        return _EPOCH + timedelta(seconds=seconds / 1000 if seconds >= 1e11 else seconds)
    return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" +", "+"))


def _x_time(match: re.Match[str]) -> datetime:
    month, day, hour, minute, second, zone, year = match.groups()
    number = _MONTHS.index(month) + 1
    if zone == "+0000":  # as X writes them all
        numbers = (int(year), number, int(day), int(hour), int(minute), int(second))
        return datetime(*numbers, tzinfo=UTC)
    return datetime.fromisoformat(f"{year}-{number:02}-{day:0>2}T{hour}:{minute}:{second}{zone}")


def is_set(value: object) -> bool:
    """Tell whether a flag, an id or an object is there, also where it is written as a string."""
    if isinstance(value, str):
        return value.strip().lower() not in _NOT_SET
    return bool(value) and value == value  # noqa: PLR0124 - NaN, a missing number, isn't itself


def kind_of(text: str, fields: Mapping[str, object]) -> Kind:
    """Tell what kind of post it is, by X's field names and a ``kind`` column where there is one.

    Archives set ``retweeted`` to false for retweets, so the text tells them: ``RT @`` at its start.
    """
    if text.startswith("RT @") or _any_set(fields, _REPOST_FIELDS):
        return "repost"
    named = fields.get("kind")
    if isinstance(named, str) and (kind := _KINDS.get(named.strip().lower())):
        return kind
    for kind, names in _KIND_FIELDS.items():
        if _any_set(fields, names):
            return kind
    return "original"


def _any_set(fields: Mapping[str, object], names: frozenset[str]) -> bool:
    # Most rows have none of the names: told without looking at each.
    return not names.isdisjoint(fields) and any(is_set(fields.get(name)) for name in names)
