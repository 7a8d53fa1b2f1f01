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
    from huggingtweets.sources.reading import DownloadLimits

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


@dataclass(slots=True)
class Allowance:
    """What the responses of one host may still cost together.

    Attributes:
        bytes_left: of bodies, after decompression.
        deadline: on the monotonic clock.
        limits: for messages.
    """

    bytes_left: float
    deadline: float
    limits: DownloadLimits

    @classmethod
    def of(cls, limits: DownloadLimits) -> Allowance:
        """Return the whole allowance, from now on."""
        return cls(limits.megabytes * 1e6, time.monotonic() + limits.seconds, limits)

    def check(self, host: str) -> None:
        """Refuse to go on when it is used up.

        Raises:
            SourceError: it names the limit.
        """
        if self.bytes_left < 0:
            text = f"sent over {self.limits.megabytes:,.0f} MB"
        elif time.monotonic() > self.deadline:
            text = f"took over {self.limits.seconds / 60:,.3g} minutes"
        else:
            return
        raise SourceError(f"{host} {text} for one account, which is the limit.")


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """Sends one request at a time.

    Attributes:
        host: for messages.
        session: a guarded session.
        guard: its guard, which can close connections.
        allowance: of all responses together.
    """

    host: str
    session: requests.Session
    guard: Guard
    allowance: Allowance

    def check_allowance(self) -> None:
        """Refuse another request when the allowance is used up."""
        self.allowance.check(self.host)

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
            self.allowance.bytes_left -= len(chunk)
            self.check_allowance()
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
