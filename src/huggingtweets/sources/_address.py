"""Parse URLs and check that they may be requested."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from huggingtweets.sources._guard import Guard

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def split_url(url: str) -> SplitResult:
    """Split a URL.

    Raises:
        SourceError: it is malformed or holds a login.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SourceError("An address to read from is not a valid URL; check it.") from error
    if parts.username or parts.password:
        raise SourceError(f"The URL at {parts.hostname} contains a login; leave it out.")
    return parts


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: what two URLs of one server have in common."""
    parts = split_url(url)
    return parts.scheme, parts.hostname, parts.port


def check_address(url: str, guard: Guard) -> None:
    """Refuse other schemes than http(s), plain http to another machine, and private addresses."""
    parts = split_url(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise SourceError(
            f"{parts.scheme or 'An empty address'} is not http or https; check the URL."
        )
    if parts.scheme == "http" and not (guard.loopback and is_loopback(host)):
        guard.check_literal(host)
        raise SourceError(f"http://{host} isn't encrypted; use https.")
    guard.check_literal(host)
