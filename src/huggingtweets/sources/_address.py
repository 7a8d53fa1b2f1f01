"""Addresses on the web: which are one, and which may be asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from huggingtweets.sources._guard import Guard

_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Tell whether a host's name is one of this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def parts_of(url: str) -> SplitResult:
    """Split an address; one that is none is an error."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SourceError("An address to read from is no web address; check it.") from error
    if parts.username or parts.password:
        raise SourceError(f"An address at {parts.hostname} holds a login; leave it out.")
    return parts


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return what two addresses of one server have in common."""
    parts = parts_of(url)
    return parts.scheme, parts.hostname, parts.port


def check_address(url: str, guard: Guard) -> None:
    """Refuse what is not http(s), plain http to another machine, and private addresses."""
    parts = parts_of(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise SourceError(f"{parts.scheme or 'An empty address'}: is no web address.")
    if parts.scheme == "http" and not (guard.loopback and is_loopback(host)):
        guard.check_literal(host)
        raise SourceError(f"http://{host} isn't encrypted; only https is read from there.")
    guard.check_literal(host)
