"""Send one request and read the whole response, within limits of size and time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

    from huggingtweets.sources._guard import Guard

_CONNECT_SECONDS = 15.0
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RetryableError(Exception):
    """A failure that may not occur again."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """The size and time limits of a response.

    Attributes:
        max_bytes: of the body.
        seconds: the time limit, for messages.
        deadline: end of the time limit, on the monotonic clock.
    """

    max_bytes: int
    seconds: float
    deadline: float

    @property
    def left(self) -> float:
        """Seconds left, slightly above 0 after the deadline."""
        return max(0.001, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """Sends one request at a time.

    Attributes:
        host: for messages.
        session: a guarded session.
        guard: its guard, which can close connections.
    """

    host: str
    session: requests.Session
    guard: Guard

    def get(
        self, url: str, params: Mapping[str, str] | None, limits: ResponseLimits
    ) -> HttpResponse:
        """Return the response, whatever its status below 500.

        Raises:
            RetryableError: the connection or the server failed.
            SourceError: the response is too large or too slow, or retrying is pointless.
        """
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with (
                self._close_at_deadline(limits),
                self.session.get(
                    url,
                    params=params,
                    stream=True,
                    allow_redirects=False,
                    headers={"User-Agent": "huggingtweets", "Accept-Encoding": "gzip"},
                    timeout=(min(_CONNECT_SECONDS, limits.left), limits.left),
                ) as response,
            ):
                body = self._body(response, limits)
        except (requests.RequestException, HTTPError, OSError) as error:
            if limits.over:
                raise self._too_slow(limits) from error
            raise self._connection_error(error) from error
        if limits.over:  # we closed the connection, which may look like the end of the body
            raise self._too_slow(limits)
        if response.status_code >= 500:
            raise RetryableError(f"it answered {response.status_code}")
        return HttpResponse(response.status_code, response.headers, body)

    @contextmanager
    def _close_at_deadline(self, limits: ResponseLimits) -> Iterator[None]:
        """Close the connection at the deadline, even if the server keeps sending single bytes."""
        timer = threading.Timer(limits.left + 0.01, self.guard.close_all)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _body(self, response: requests.Response, limits: ResponseLimits) -> bytes:
        chunks, size = [], 0
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > limits.max_bytes:
                raise SourceError(
                    f"{self.host} sent over {limits.max_bytes / 1024**2:,.0f} MB, far more than "
                    "such a response holds; check the address."
                )
            chunks.append(chunk)
            if limits.over:
                break
        return b"".join(chunks)

    def _too_slow(self, limits: ResponseLimits) -> SourceError:
        return SourceError(
            f"{self.host} took over {limits.seconds:,.3g} seconds to respond; try again later."
        )

    def _connection_error(self, error: Exception) -> Exception:
        """Return a SourceError if retrying is pointless, otherwise a RetryableError."""
        import requests

        cause = f"{error!r}"
        if "NameResolutionError" in cause:
            return SourceError(
                f"There is no host {self.host}, or no network; check the name and the connection."
            )
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in cause:
            return SourceError(f"{self.host} has no valid certificate; check the name.")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return SourceError(f"{self.host} is not a valid address; check it.")
        return RetryableError("the connection failed")
