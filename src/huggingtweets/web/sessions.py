"""Who is there: a signed cookie for every browser, and the password of a shared server.

A cookie holds a random id and two signatures of it, one that this server gave it out and one, with
the password in it, that its browser has logged in. So ids can't be guessed or made up, nothing has
to be stored, and a new password logs everybody out without taking their bots away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass

from huggingtweets.serving.schemas import LOCAL_USER

_FORM = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})(?:\.([0-9a-f]{64}))?")
_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks for something.

    Attributes:
        id: what the service knows them by.
        may_enter: whether they have given the password, or none is needed.
        is_new: whether their browser must be given its cookie yet.
    """

    id: str
    may_enter: bool
    is_new: bool = False


class SessionAuth:
    """Knows visitors by their cookies and lets in those who know the password.

    Args:
        secret: of this server, at least 32 bytes.
        password: None for a server that one person uses alone.
        framed: whether the page stands in a frame of another site, as on Hugging Face Spaces, where
            browsers send a cookie only if it says so.
    """

    def __init__(self, secret: bytes, password: str | None, *, framed: bool = False) -> None:
        self._secret, self._password = secret, password
        self._framed = framed
        # browsers keep one jar for all ports of a host, so each server has a name of its own
        self.cookie_name = f"huggingtweets_{self._sign('name')[:8]}"

    @property
    def is_shared(self) -> bool:
        """Whether there is a password, and so more than one visitor."""
        return self._password is not None

    def visitor(self, cookie: str | None) -> Visitor:
        """Who has this cookie; somebody new where it is missing or not ours."""
        if not self.is_shared:
            return Visitor(LOCAL_USER, may_enter=True)
        match = _FORM.fullmatch(cookie or "")
        if match is None or not hmac.compare_digest(match[2], self._sign(match[1])):
            return Visitor(secrets.token_hex(16), may_enter=False, is_new=True)
        entered = match[3] is not None and hmac.compare_digest(match[3], self._pass(match[1]))
        return Visitor(match[1], may_enter=entered)

    def is_password(self, given: str) -> bool:
        """Whether it is the password; how long that takes tells nothing about it."""
        wanted = (self._password or "").encode()
        return self.is_shared and hmac.compare_digest(
            hashlib.sha256(given.encode()).digest(), hashlib.sha256(wanted).digest()
        )

    def header(self, visitor_id: str, *, entered: bool) -> str:
        """The ``Set-Cookie`` that makes a browser come back as this visitor."""
        value = f"{visitor_id}.{self._sign(visitor_id)}"
        if entered:
            value += f".{self._pass(visitor_id)}"
        site = "SameSite=None; Secure; Partitioned" if self._framed else "SameSite=Lax"
        return f"{self.cookie_name}={value}; Path=/; Max-Age={_SECONDS}; HttpOnly; {site}"

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()

    def _pass(self, visitor_id: str) -> str:
        return self._sign(f"entered {visitor_id} {self._password}")


class LoginThrottle:
    """Counts wrong passwords, of each address and of all, so that guessing takes for ever.

    Args:
        most: within the window, from one address; ten times as many from all together.
        window: seconds.
    """

    def __init__(self, most: int = 8, window: float = 60.0) -> None:
        self._most, self._window = most, window
        self._failed: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def too_many(self, address: str) -> bool:
        """Whether this address has to wait."""
        with self._lock:
            since = time.monotonic() - self._window
            self._failed = [(at, who) for at, who in self._failed if at > since]
            own = sum(who == address for _, who in self._failed)
            return own >= self._most or len(self._failed) >= 10 * self._most

    def failed(self, address: str) -> None:
        """Remember a wrong password."""
        with self._lock:
            self._failed.append((time.monotonic(), address))
