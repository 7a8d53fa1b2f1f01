"""Tweepy's client for the API of X, with our own requests beneath it.

Tweepy makes the questions and ours is how they are asked: waiting that is told, answers of limited
size and time, no way into a private network. The token stays down there too, since tweepy writes
its headers into its log. The environment variable ``HUGGINGTWEETS_X_API`` puts a server on this
machine in the place of https://api.x.com, as tests do; it can't name another machine, which would
get the token.
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
from huggingtweets.sources._address import is_loopback, parts_of
from huggingtweets.sources.http import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

    from huggingtweets.events import EventHandler
    from huggingtweets.sources.http import Explain

_API = "https://api.x.com"
_VARIABLE = "HUGGINGTWEETS_X_API"
NOT_IT = "Is something between here and X? Try again later."


class Tweepy(Protocol):
    """What is used of ``tweepy.Client``, which is untyped; answers are the JSON as it is."""

    def get_user(self, *, username: str, user_fields: list[str]) -> object:
        """Look an account up by its handle."""

    def get_users_tweets(
        self,
        user: str,
        /,
        *,
        max_results: int,
        pagination_token: str | None,
        tweet_fields: list[str],
    ) -> object:
        """Get a page of an account's posts, newest first."""


def check_extra() -> None:
    """Say what to install where tweepy isn't there, before a token is looked for."""
    if find_spec("tweepy") is None:
        raise SourceError("Posts from X need one more package: pip install huggingtweets[x].")


@contextmanager
def x_client(token: str, listen: EventHandler, explain: Explain) -> Iterator[Tweepy]:
    """Give a ``tweepy.Client``.

    Args:
        token: goes to X alone.
        listen: is told of pauses.
        explain: turns a status from 400 on into a sentence.
    """
    import tweepy

    with Client(_base(), listen=listen, token=token) as client:
        made = tweepy.Client(return_type=dict)
        made.session.close()
        made.session = _Session(client, explain)
        yield made


def _base() -> str:
    named = os.environ.get(_VARIABLE)
    if named and not is_loopback(parts_of(named).hostname or ""):
        raise SourceError(f"{_VARIABLE} may only name a server on this machine; unset it.")
    return named or _API


@dataclass(frozen=True, slots=True)
class _Session:
    """What tweepy takes for its ``requests.Session``; only path and query are tweepy's."""

    client: Client
    explain: Explain

    def request(
        self, method: str, url: str, *, params: Mapping[str, object], **unused: object
    ) -> requests.Response:
        import requests

        del method, unused  # everything here is GET, and signed below
        query = {name: str(value) for name, value in params.items()}
        value, headers = self.client.json(
            urlsplit(url).path, query, explain=self.explain, no_json=NOT_IT
        )
        response = requests.Response()
        response.status_code = 200
        response.headers.update(headers)
        response.raw = io.BytesIO(json.dumps(value).encode())
        return response
