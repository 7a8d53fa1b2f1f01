"""Visitors' sessions: a signed cookie for every browser, and the password of a shared server.

A cookie holds a random visitor id and two signatures: one shows that this server issued the id, the
other, which depends on the password, that the browser has logged in. So ids can't be forged, the
server stores no sessions, and a new password logs everyone out without taking their bots away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.serving.rate_limit import SlidingWindow
from huggingtweets.serving.schemas import LOCAL_USER

if TYPE_CHECKING:
    from itsdangerous import Signer

_COOKIE_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request.

    Attributes:
        id: identifies the visitor to the service.
        may_enter: whether the visitor has given the password, or none is needed.
        is_new: whether the browser needs a cookie.
    """

    id: str
    may_enter: bool
    is_new: bool = False


class SessionAuth:
    """Identifies visitors by their cookies and checks the password.

    Args:
        secret: key of this server, at least 32 bytes.
        password: None for a server that one person uses alone.
        framed: whether the page is in a frame of another site, as on Hugging Face Spaces; browsers
            then need further attributes to accept the cookie.
    """

    def __init__(self, secret: bytes, password: str | None, *, framed: bool = False) -> None:
        self._password, self._framed = password, framed
        self._id_signer = _signer(secret, "visitor")
        self._login_signer = _signer(secret, f"login {password}")
        # browsers share cookies between all ports of a host, so each server needs its own name
        self.cookie_name = f"huggingtweets_{hashlib.sha256(b'name' + secret).hexdigest()[:8]}"

    @property
    def is_shared(self) -> bool:
        """Whether the server has a password, and so several visitors."""
        return self._password is not None

    def visitor(self, cookie: str | None) -> Visitor:
        """The visitor with this cookie; a new one if it is missing or its signature is invalid."""
        if not self.is_shared:
            return Visitor(LOCAL_USER, may_enter=True)
        visitor_id, _, signatures = (cookie or "").partition(".")
        id_signature, _, _ = signatures.partition(".")
        if not self._id_signer.validate(f"{visitor_id}.{id_signature}"):
            return Visitor(secrets.token_hex(16), may_enter=False, is_new=True)
        return Visitor(visitor_id, may_enter=self._login_signer.validate(cookie or ""))

    def is_password(self, attempt: str) -> bool:
        """Whether this is the password, compared in constant time."""
        password = (self._password or "").encode()
        return self.is_shared and hmac.compare_digest(
            hashlib.sha256(attempt.encode()).digest(), hashlib.sha256(password).digest()
        )

    def header(self, visitor_id: str, *, logged_in: bool) -> str:
        """The ``Set-Cookie`` header for a visitor."""
        cookie = self._id_signer.sign(visitor_id)
        if logged_in:
            cookie = self._login_signer.sign(cookie)
        site = "SameSite=None; Secure; Partitioned" if self._framed else "SameSite=Lax"
        return (
            f"{self.cookie_name}={cookie.decode()}; Path=/; Max-Age={_COOKIE_SECONDS}; HttpOnly; "
            f"{site}"
        )


def _signer(secret: bytes, salt: str) -> Signer:
    from itsdangerous import Signer

    return Signer(secret, salt.encode(), key_derivation="hmac", digest_method=hashlib.sha256)


class LoginThrottle:
    """Limits wrong passwords per address and in total.

    Args:
        limit: wrong passwords per window from one address; ten times as many from all together.
        window: in seconds.
    """

    def __init__(self, limit: int = 8, window: float = 60.0) -> None:
        self._per_address = SlidingWindow(limit, window)
        self._total = SlidingWindow(10 * limit, window)
        self._lock = threading.Lock()

    def is_blocked(self, address: str) -> bool:
        """Whether this address has to wait before it may try again."""
        with self._lock:
            return bool(
                self._per_address.seconds_to_wait(address) or self._total.seconds_to_wait("")
            )

    def record_failure(self, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            self._per_address.record(address)
            self._total.record("")
