"""How long a server that got too many requests wants to be left alone."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from huggingtweets.sources._fields import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNTOLD = 60.0  # where it doesn't say


def retry_after_seconds(headers: Mapping[str, str], present: float) -> float:
    """Read how many seconds a server wants to be left alone, at least one.

    Networks write a number of seconds, a time since 1970 or a date, under four names.
    """
    for name in ("retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"):
        if (seconds := _seconds_until(headers.get(name, "").strip(), present)) is not None:
            return max(1.0, seconds)
    return _UNTOLD


def _seconds_until(value: str, present: float) -> float | None:
    if re.fullmatch(r"\d{1,12}(\.\d+)?", value):
        number = float(value)
        return number - present if number > 1e9 else number
    with suppress(ValueError, TypeError, OverflowError):
        date = parsedate_to_datetime(value)
        aware = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        return aware.timestamp() - present
    time_then = time_of(value) if value else None
    return (time_then - datetime.fromtimestamp(present, UTC)).total_seconds() if time_then else None
