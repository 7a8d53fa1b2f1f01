"""The HTTP client of the sources, safe against slow, broken and hostile servers.

All network sources except the Hugging Face Hub use it. It waits out rate limits and retries server
errors and broken connections; every other failure becomes a one-sentence error. Responses are
limited in size and time, and redirects into private networks are refused.
"""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from huggingtweets.errors import SourceError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.sources._address import check_address, is_loopback, origin, split_url
from huggingtweets.sources._fields import parse_time
from huggingtweets.sources._guard import Guard, guarded_session
from huggingtweets.sources._http_transport import (
    Allowance,
    HttpResponse,
    HttpTransport,
    ResponseLimits,
    RetryableError,
)
from huggingtweets.sources.reading import DownloadLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    Explain = Callable[[int, object], str | None]
    """Turns a status and the JSON of the response into a sentence, or None."""

MAX_BYTES = 32 * 1024**2
"""Of one response."""

TIMEOUT_SECONDS = 60.0
"""For one response, including redirects."""

MAX_WAIT_SECONDS = 15 * 60
"""To wait for rate limits during one request."""

_DEFAULT_RETRY_AFTER = 60.0  # seconds, if a rate limit names no time
_MAX_RETRIES = 4
_MAX_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)


def sleep(seconds: float) -> None:
    """Wait; tests replace this function."""
    time.sleep(seconds)


def now() -> float:
    """Return the seconds since 1970; tests replace this function."""
    return time.time()


def retry_after_seconds(headers: Mapping[str, str], present: float) -> float:
    """Return how many seconds a rate limit lasts, at least one.

    Networks send a number of seconds, seconds since 1970 or a date, under four header names.
    """
    for name in ("retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"):
        if (seconds := _seconds_until(headers.get(name, "").strip(), present)) is not None:
            return max(1.0, seconds)
    return _DEFAULT_RETRY_AFTER


def _seconds_until(value: str, present: float) -> float | None:
    if re.fullmatch(r"\d{1,12}(\.\d+)?", value):
        number = float(value)
        return number - present if number > 1e9 else number
    with suppress(ValueError, TypeError, OverflowError):
        date = parsedate_to_datetime(value)
        aware = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        return aware.timestamp() - present
    reset = parse_time(value) if value else None
    return (reset - datetime.fromtimestamp(present, UTC)).total_seconds() if reset else None


def _no_explanation(status: int, answer: object) -> None:
    del status, answer


class Client:
    """Sends requests to one host; use it in a ``with`` statement.

    Args:
        base: URL of the API, such as ``https://example.org/api``. Plain http is only allowed to
            this machine.
        listen: receives the countdown while a rate limit is waited out.
        token: bearer token for the host of ``base``; it is never logged or sent elsewhere.
        loopback: whether to allow addresses of this machine. None decides by ``base``; set it for a
            base that another server named.
        limits: of everything that this client receives.
    """

    def __init__(
        self,
        base: str,
        *,
        listen: EventHandler = ignore,
        token: str | None = None,
        loopback: bool | None = None,
        limits: DownloadLimits | None = None,
    ) -> None:
        limits = limits or DownloadLimits()
        self._base = base.rstrip("/")
        self._listen = listen
        self._token = token
        host = split_url(base).hostname or ""
        self.host = host
        local = is_loopback(host) if loopback is None else loopback
        self._guard = Guard(local and not limits.public_only, limits.public_only)
        check_address(base, self._guard)
        self._session = guarded_session(self._guard)
        # no proxy for this machine, and none that would connect for us to what is refused
        self._session.trust_env = not (self._guard.loopback or limits.public_only)
        # An explicit `auth` also keeps `requests` from sending a login from ~/.netrc.
        self._session.auth = self._sign
        self._transport = HttpTransport(host, self._session, self._guard, Allowance.of(limits))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.close()

    def json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        explain: Explain = _no_explanation,
        not_json_hint: str = "",
    ) -> tuple[Any, Mapping[str, str]]:
        """Request JSON; return it with the response headers.

        Args:
            path: below the base URL.
            params: query parameters.
            explain: turns a status of 400 or more into the caller's sentence; a 429 that it
                explains is not waited out.
            not_json_hint: likely cause and remedy if the response isn't JSON.

        Raises:
            SourceError: see :meth:`get`, or the response isn't JSON.
        """
        response = self.get(path, params, explain=explain)
        value = _json(response.body)
        if value is _INVALID:
            kind = response.headers.get("content-type", "").split(";")[0][:40].strip()
            sent = kind if kind.isprintable() and kind else "something else"
            hint = not_json_hint or "Check the address, or try again later."
            raise SourceError(f"{self.host} sent {sent} instead of JSON. {hint}")
        return value, response.headers

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        explain: Explain = _no_explanation,
        max_bytes: int = MAX_BYTES,
        seconds: float = TIMEOUT_SECONDS,
    ) -> HttpResponse:
        """Request ``path``, with retries and waiting for rate limits.

        Raises:
            SourceError: the request failed; the message says why and what to do.
        """
        waited, failures = 0.0, 0
        while True:
            try:
                response = self._follow(self._base + path, params, max_bytes, seconds)
            except RetryableError as error:
                failures += 1
                if failures > _MAX_RETRIES:
                    raise SourceError(
                        f"{self.host} failed {failures} times in a row ({error}); "
                        "it may be down, try again later."
                    ) from error
                sleep(2.0 ** (failures - 1))
                continue
            if response.status == 429 and explain(429, _json_or_none(response.body)) is None:
                waited += self._wait_out(response.headers, waited)
            elif response.status >= 300:
                raise self._status_error(response, path, explain)
            else:
                return response

    # -- one request -----------------------------------------------------------------------------

    def _follow(
        self, url: str, params: Mapping[str, str] | None, max_bytes: int, seconds: float
    ) -> HttpResponse:
        """Send the request and follow allowed redirects."""
        limits = ResponseLimits(max_bytes, seconds, time.monotonic() + seconds)
        self._transport.check_allowance()
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._transport.get(url, params, limits)
            target = response.headers.get("location")
            if response.status not in _REDIRECT_STATUSES or not target:
                return response
            url, params = self._redirect_url(url, target), None
        raise SourceError(f"{self.host} redirects too many times; check the address.")

    def _redirect_url(self, url: str, target: str) -> str:
        try:
            new = urljoin(url, target)
        except ValueError as error:
            raise SourceError(f"{self.host} redirects to an invalid URL.") from error
        parts = split_url(new)
        if split_url(url).scheme == "https" and parts.scheme != "https":
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

    # -- the response ----------------------------------------------------------------------------

    def _status_error(self, response: HttpResponse, path: str, explain: Explain) -> SourceError:
        sentence = explain(response.status, _json_or_none(response.body))
        return SourceError(
            sentence or f"{self.host} answered {response.status} to {path}; try again later."
        )

    def _wait_out(self, headers: Mapping[str, str], waited: float) -> float:
        """Wait as long as the server asks for, reporting each second; return the seconds."""
        seconds = retry_after_seconds(headers, now())
        if waited + seconds > MAX_WAIT_SECONDS:
            raise SourceError(
                f"{self.host} allows no more requests for {math.ceil(seconds / 60):,} minutes "
                "(rate limit); try again after that."
            )
        for left in range(math.ceil(seconds), 0, -1):
            self._transport.check_allowance()
            self._listen(
                Event(stage="read", message=f"{self.host}: waiting (rate limit)", seconds_left=left)
            )
            sleep(1.0)
        return seconds


_INVALID = object()


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _INVALID


def _json_or_none(body: bytes) -> object:
    value = _json(body)
    return None if value is _INVALID else value
