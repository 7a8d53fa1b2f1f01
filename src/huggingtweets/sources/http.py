"""Answers from servers that may be slow, broken, or not what they seem.

Every request of the sources goes through here. What can be waited out is waited out (a rate limit,
a server that stumbles, a connection that breaks); everything else becomes one sentence. No answer
may be larger or take longer than it should, and no redirect leads into a private network.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from huggingtweets.errors import SourceError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.sources._address import check_address, is_loopback, origin, parts_of
from huggingtweets.sources._guard import Guard, guarded_session
from huggingtweets.sources._http_transport import (
    HttpResponse,
    HttpTransport,
    ResponseLimits,
    RetryableError,
)
from huggingtweets.sources._pause import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    Explain = Callable[[int, object], str | None]
    """What a status (and the JSON that came with it) means, where the caller knows."""

LARGEST = 32 * 1024**2
"""Bytes of an answer."""

SECONDS = 60.0
"""For one answer, redirects included."""

LONGEST_WAIT = 15 * 60
"""Seconds that a rate limit is waited out for one request."""

_RETRIES = 4
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)


def sleep(seconds: float) -> None:
    """Wait; tests put something quicker in its place."""
    time.sleep(seconds)


def now() -> float:
    """Tell the seconds since 1970, which is what servers give the end of a pause in."""
    return time.time()


def _unexplained(status: int, answer: object) -> None:
    del status, answer


class Client:
    """Requests to one host; use it in a ``with`` statement.

    Args:
        base: where the API lives, such as ``https://example.org/api``. Plain http only goes to this
            machine.
        listen: is told the countdown of a pause.
        token: for the host of ``base`` only; it is never in a message, nor sent elsewhere.
        loopback: addresses of this machine are fine; only for a base that another server named,
            otherwise ``base`` tells.
    """

    def __init__(
        self,
        base: str,
        *,
        listen: EventHandler = ignore,
        token: str | None = None,
        loopback: bool | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        self._listen = listen
        self._token = token
        host = parts_of(base).hostname or ""
        self.host = host
        self._guard = Guard(is_loopback(host) if loopback is None else loopback)
        check_address(base, self._guard)
        self._session = guarded_session(self._guard)
        self._session.trust_env = not self._guard.loopback  # no proxy to this machine itself
        # Also so that no login from a ~/.netrc is sent: posts are read without one.
        self._session.auth = self._sign
        self._exchange = HttpTransport(host, self._session, self._guard)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.close()

    def json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        explain: Explain = _unexplained,
        no_json: str = "",
    ) -> tuple[Any, Mapping[str, str]]:
        """Get JSON, and the headers it came with.

        Args:
            path: after the base.
            params: of the query.
            explain: turns a status from 400 on into the caller's sentence; a 429 that it knows is
                not waited out.
            no_json: what it may mean, and what to do, when the answer is something else.

        Raises:
            SourceError: see :meth:`get`, or it isn't JSON.
        """
        answer = self.get(path, params, explain=explain)
        value = _json(answer.body)
        if value is _NONE:
            kind = answer.headers.get("content-type", "").split(";")[0][:40].strip()
            what = f" but {kind}" if kind.isprintable() and kind else ""
            hint = no_json or "Check the address, or try again later."
            raise SourceError(f"{self.host} answered with no JSON{what}. {hint}")
        return value, answer.headers

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        explain: Explain = _unexplained,
        largest: int = LARGEST,
        seconds: float = SECONDS,
    ) -> HttpResponse:
        """Get what is at ``path``, waiting and trying again where that can help.

        Raises:
            SourceError: with the cause and what to do.
        """
        waited, failures = 0.0, 0
        while True:
            try:
                answer = self._follow(self._base + path, params, largest, seconds)
            except RetryableError as error:
                failures += 1
                if failures > _RETRIES:
                    raise SourceError(
                        f"{self.host} can't be used: {error}, {failures} times in a row; "
                        "it may be down, try again later."
                    ) from error
                sleep(2.0 ** (failures - 1))
                continue
            if answer.status == 429 and explain(429, _json_or_none(answer.body)) is None:
                waited += self._wait_out(answer.headers, waited)
            elif answer.status >= 300:
                raise self._refusal(answer, path, explain)
            else:
                return answer

    # -- one request -----------------------------------------------------------------------------

    def _follow(
        self, url: str, params: Mapping[str, str] | None, largest: int, seconds: float
    ) -> HttpResponse:
        """Ask, going where the server sends us if that is somewhere we may go."""
        limits = ResponseLimits(largest, seconds, time.monotonic() + seconds)
        for _ in range(_REDIRECTS + 1):
            answer = self._exchange.ask(url, params, limits)
            target = answer.headers.get("location")
            if answer.status not in _MOVED or not target:
                return answer
            url, params = self._redirected(url, target), None
        raise SourceError(f"{self.host} sends from one address to the next without end; check it.")

    def _redirected(self, url: str, target: str) -> str:
        try:
            new = urljoin(url, target)
        except ValueError as error:
            raise SourceError(f"{self.host} redirects to an address that is none.") from error
        parts = parts_of(new)
        if parts_of(url).scheme == "https" and parts.scheme != "https":
            raise SourceError(
                f"{self.host} redirects to {parts.scheme}://{parts.hostname}, which isn't "
                "encrypted; check the name."
            )
        check_address(new, self._guard)
        return new

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token and origin(request.url or "") == origin(self._base):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    # -- what the answer means -------------------------------------------------------------------

    def _refusal(self, answer: HttpResponse, path: str, explain: Explain) -> SourceError:
        sentence = explain(answer.status, _json_or_none(answer.body))
        return SourceError(
            sentence or f"{self.host} answered {answer.status} to {path}; try again later."
        )

    def _wait_out(self, headers: Mapping[str, str], waited: float) -> float:
        """Wait as long as the server asks for, telling each second; returns the seconds."""
        seconds = retry_after_seconds(headers, now())
        if waited + seconds > LONGEST_WAIT:
            raise SourceError(
                f"{self.host} asks for a pause of {math.ceil(seconds / 60):,} minutes "
                "(too many requests); try again after that."
            )
        for left in range(math.ceil(seconds), 0, -1):
            self._listen(
                Event(stage="read", message=f"{self.host} asks for a pause", seconds_left=left)
            )
            sleep(1.0)
        return seconds


_NONE = object()


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NONE


def _json_or_none(body: bytes) -> object:
    value = _json(body)
    return None if value is _NONE else value
