"""One request and its whole answer, within a size and a time."""

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
    """What a server said, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RetryableError(Exception):
    """Something that may go better next time."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """What an answer may take.

    Attributes:
        largest: bytes.
        seconds: for messages.
        deadline: when they are over, of the monotonic clock.
    """

    largest: int
    seconds: float
    deadline: float

    @property
    def left(self) -> float:
        """Seconds to go, a little over 0 when they are over."""
        return max(0.001, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.deadline


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """Asks one question at a time.

    Attributes:
        host: for messages.
        session: a guarded one.
        guard: its guard, which can hang up.
    """

    host: str
    session: requests.Session
    guard: Guard

    def ask(
        self, url: str, params: Mapping[str, str] | None, limits: ResponseLimits
    ) -> HttpResponse:
        """Get an answer, whatever its status below 500.

        Raises:
            CutError: it broke, or the server did.
            SourceError: it is too large or too slow, or asking again is of no use.
        """
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with (
                self._hanging_up_at_the_end(limits),
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
            raise self._broken(error) from error
        if limits.over:  # cut by us, which may look like its end
            raise self._too_slow(limits)
        if response.status_code >= 500:
            raise RetryableError(f"it answered {response.status_code}")
        return HttpResponse(response.status_code, response.headers, body)

    @contextmanager
    def _hanging_up_at_the_end(self, limits: ResponseLimits) -> Iterator[None]:
        """End the connection at the deadline, also one where a byte comes every ten seconds."""
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
            if size > limits.largest:
                raise SourceError(
                    f"{self.host} answered with over {limits.largest / 1024**2:,.0f} MB, "
                    "far more than such an answer holds; check the address."
                )
            chunks.append(chunk)
            if limits.over:
                break
        return b"".join(chunks)

    def _too_slow(self, limits: ResponseLimits) -> SourceError:
        return SourceError(
            f"{self.host} took over {limits.seconds:,.3g} seconds for an answer; try again later."
        )

    def _broken(self, error: Exception) -> Exception:
        """Tell what is of no use to try again from what is."""
        import requests

        cause = f"{error!r}"
        if "NameResolutionError" in cause:
            return SourceError(
                f"There is no host {self.host}, or no network; check the name and the connection."
            )
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in cause:
            return SourceError(f"{self.host} has no valid certificate; check the name.")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return SourceError(f"{self.host} is no address that can be asked; check it.")
        return RetryableError("the connection failed")
