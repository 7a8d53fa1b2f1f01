"""Visitors' sessions: a signed cookie for every browser, and the password of a shared server.

A cookie holds a random visitor id and a signature which shows that this server issued it. A login
adds a random session id, its time and a signature that depends on the password. So ids can't be
forged, and a new password logs everyone out without taking their bots away. The server stores only
the sessions that ended by logging out, until their cookies would have expired.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from itsdangerous import Signer, TimestampSigner

_COOKIE_SECONDS = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request.

    Attributes:
        id: identifies the visitor to the service.
        may_enter: whether the visitor has given the password, or none is needed.
        is_new: whether the browser needs a cookie.
        session: id of the login, empty without one.
    """

    id: str
    may_enter: bool
    is_new: bool = False
    session: str = ""


class RevokedSessions:
    """The sessions that ended by logging out, in a file that outlives the server.

    Args:
        file: one session a line, with the second it was revoked; None keeps them in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._sessions = _still_valid(file) if file else {}

    def __contains__(self, session: str) -> bool:
        return session in self._sessions

    def add(self, session: str) -> None:
        """Revoke a session.

        Raises:
            StorageError: the file can't be written; the session is revoked until the server stops.
        """
        with self._lock:
            self._sessions[session] = time.time()
            if self._file is None:
                return
            with files.wrap_os_errors(self._file):
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                with os.fdopen(os.open(self._file, flags, 0o600), "a") as opened:
                    # a line that was cut off by a crash must not swallow this one
                    opened.write(f"\n{session} {self._sessions[session]:.0f}\n")
                    opened.flush()
                    os.fsync(opened.fileno())


def _still_valid(file: Path) -> dict[str, float]:
    """Read the file, without sessions whose cookies have expired."""
    sessions: dict[str, float] = {}
    with suppress(OSError):
        for line in file.read_text("ascii", "ignore").splitlines():
            session, _, moment = line.partition(" ")
            if moment.isdecimal() and time.time() - int(moment) < _COOKIE_SECONDS:
                sessions[session] = float(moment)
    return sessions


class SessionAuth:
    """Identifies visitors by their cookies and checks the password.

    Args:
        secret: key of this server, at least 32 bytes.
        password: None for a server that one person uses alone.
        framed: whether the page is in a frame of another site, as on Hugging Face Spaces; browsers
            then need further attributes to accept the cookie.
        revoked: the sessions that have ended.
    """

    def __init__(
        self,
        secret: bytes,
        password: str | None,
        *,
        framed: bool = False,
        revoked: RevokedSessions | None = None,
    ) -> None:
        self._password, self._framed = password, framed
        self._revoked = RevokedSessions() if revoked is None else revoked
        self._id_signer, self._login_signer = _signers(secret, password)
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
        visitor_id, id_signature, session, *_ = [*(cookie or "").split("."), "", "", ""]
        if not self._id_signer.validate(f"{visitor_id}.{id_signature}"):
            return Visitor(secrets.token_hex(16), may_enter=False, is_new=True)
        if session in self._revoked or not self._login_signer.validate(
            cookie or "", max_age=_COOKIE_SECONDS
        ):
            return Visitor(visitor_id, may_enter=False)
        return Visitor(visitor_id, may_enter=True, session=session)

    def is_password(self, attempt: str) -> bool:
        """Whether this is the password, compared in constant time."""
        password = (self._password or "").encode()
        return self.is_shared and hmac.compare_digest(
            hashlib.sha256(attempt.encode()).digest(), hashlib.sha256(password).digest()
        )

    def log_out(self, visitor: Visitor) -> None:
        """End the visitor's session, so that no copy of its cookie is accepted.

        Raises:
            StorageError: the end can't be recorded for the next start of the server.
        """
        if visitor.session:
            self._revoked.add(visitor.session)

    def header(self, visitor_id: str, *, logged_in: bool, encrypted: bool = False) -> str:
        """The ``Set-Cookie`` header for a visitor.

        Args:
            visitor_id: of the visitor.
            logged_in: whether to begin a session.
            encrypted: whether the request came over TLS; the cookie then never travels without.
        """
        cookie = self._id_signer.sign(visitor_id)
        if logged_in:
            cookie = self._login_signer.sign(cookie + b"." + secrets.token_hex(16).encode())
        site = "SameSite=None; Secure; Partitioned" if self._framed else "SameSite=Lax"
        secure = "; Secure" if encrypted and not self._framed else ""
        return (
            f"{self.cookie_name}={cookie.decode()}; Path=/; Max-Age={_COOKIE_SECONDS}; HttpOnly; "
            f"{site}{secure}"
        )


def _signers(secret: bytes, password: str | None) -> tuple[Signer, TimestampSigner]:
    """Return the signers of ids and of logins."""
    from itsdangerous import Signer, TimestampSigner

    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return (
        Signer(secret, b"visitor", **how),  # type: ignore[arg-type]
        TimestampSigner(secret, f"login {password}".encode(), **how),  # type: ignore[arg-type]
    )


@dataclass(slots=True)
class _Attempts:
    failures: int = 0
    next_at: float = 0.0
    last_at: float = 0.0


class LoginDelays:
    """Delays attempts to log in, longer after each wrong password of the same client.

    The first three attempts are answered at once, further ones after 1, 2, 4, 8 and then 15 seconds
    each, one after the other. No client is locked out, and none delays another.

    Args:
        now: monotonic clock, in seconds.
    """

    LONGEST_WAIT = 20.0
    """Seconds an attempt is held at most; one that would wait longer has to come again."""

    _FREE = 3
    _LONGEST_DELAY = 15.0
    _FORGET_SECONDS = 900.0
    _MAX_CLIENTS = 10_000

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._clients: OrderedDict[str, _Attempts] = OrderedDict()
        self._lock = threading.Lock()

    def take_turn(self, client: str) -> float:
        """Count an attempt, as a wrong one until :meth:`succeeded`.

        Returns:
            The seconds until the password may be checked. Over :attr:`LONGEST_WAIT`, the attempt is
            not counted and must not be checked.
        """
        now = self._now()
        with self._lock:
            attempts = self._clients.get(client)
            if attempts is None or now - attempts.last_at > self._FORGET_SECONDS:
                attempts = self._clients[client] = _Attempts()
            self._clients.move_to_end(client)
            while len(self._clients) > self._MAX_CLIENTS:
                self._clients.popitem(last=False)
            start = max(now, attempts.next_at)
            if start - now > self.LONGEST_WAIT:
                return start - now
            attempts.failures += 1
            attempts.last_at = now
            over = attempts.failures - self._FREE
            delay = min(self._LONGEST_DELAY, 2.0 ** min(over, 10)) if over >= 0 else 0.0
            attempts.next_at = start + delay
            return start - now

    def succeeded(self, client: str) -> None:
        """Take back the last attempt of a client: it had the password."""
        with self._lock:
            if attempts := self._clients.get(client):
                attempts.failures = max(0, attempts.failures - 1)
