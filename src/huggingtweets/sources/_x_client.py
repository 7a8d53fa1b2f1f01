"""Tweepy's client for the X API, running on our own HTTP client.

Tweepy builds the requests. Our client sends them, with visible waiting, limits of size and time,
and no access to private networks. It also holds the token, because tweepy logs its headers. The
environment variable ``HUGGINGTWEETS_X_API`` replaces https://api.x.com with a server on this
machine, as tests do; another machine is refused, because it would get the token.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from huggingtweets.errors import SourceError
from huggingtweets.sources._address import is_loopback, split_url
from huggingtweets.sources.http import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

    from huggingtweets.events import EventHandler
    from huggingtweets.sources.http import Explain

_API = "https://api.x.com"
_VARIABLE = "HUGGINGTWEETS_X_API"
PROXY_HINT = "A proxy or login page may be in between; try again later."


class Tweepy(Protocol):
    """The used part of ``tweepy.Client``, which is untyped; methods return the plain JSON."""

    def get_user(self, *, username: str, user_fields: list[str]) -> object:
        """Look up an account by its handle."""

    def get_users_tweets(
        self,
        user: str,
        /,
        *,
        max_results: int,
        pagination_token: str | None,
        tweet_fields: list[str],
    ) -> object:
        """Request a page of an account's posts, newest first."""


def check_extra() -> None:
    """Raise an error if tweepy isn't installed, before the token is looked up."""
    if find_spec("tweepy") is None:
        raise SourceError(
            "Reading posts from X needs an extra package: run `pip install huggingtweets[x]`."
        )


@contextmanager
def x_client(token: str, listen: EventHandler, explain: Explain) -> Iterator[Tweepy]:
    """Open a ``tweepy.Client``.

    Args:
        token: bearer token, sent only to X.
        listen: receives the countdown of rate limits.
        explain: turns a status of 400 or more into a sentence.
    """
    import tweepy

    with Client(_base_url(), listen=listen, token=token) as client:
        tweepy_client = tweepy.Client(return_type=dict)
        tweepy_client.session.close()
        tweepy_client.session = _Session(client, explain)
        yield tweepy_client


def _base_url() -> str:
    url = os.environ.get(_VARIABLE)
    if url and not is_loopback(split_url(url).hostname or ""):
        raise SourceError(f"{_VARIABLE} may only name a server on this machine; unset it.")
    return url or _API


@dataclass(frozen=True, slots=True)
class _Session:
    """Stands in for tweepy's ``requests.Session``; uses only the path and query of requests."""

    client: Client
    explain: Explain

    def request(
        self, method: str, url: str, *, params: Mapping[str, object], **unused: object
    ) -> requests.Response:
        import requests

        del method, unused  # all requests are GET, and the client adds the token
        query = {name: str(value) for name, value in params.items()}
        value, headers = self.client.json(
            urlsplit(url).path, query, explain=self.explain, not_json_hint=PROXY_HINT
        )
        response = requests.Response()
        response.status_code = 200
        response.headers.update(headers)
        response.raw = io.BytesIO(json.dumps(value).encode())
        return response
