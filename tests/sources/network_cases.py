"""The network cases of the contract suite, with fake servers; and the list of all cases.

To add a network, add a case to :data:`NETWORK_CASES`. The suite intercepts the responses of its
server, which must be a :class:`tests.servers.local.Server`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from unittest import mock

from tests.servers.bluesky import DID, HANDLE, POST, BlueskyServer, car_of, item, record
from tests.servers.local import Server
from tests.servers.mastodon import USER, MastodonServer, status
from tests.sources import network_hub, network_x
from tests.sources.cases import CASES, Case, Network, Sample
from tests.sources.chat_cases import CHAT_CASES
from tests.sources.export_cases import EXPORT_CASES
from tests.sources.table_cases import TABLE_CASES
from tests.sources.tumblr_cases import TUMBLR_CASES

from huggingtweets.sources import ReadOptions, http, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from huggingtweets.sources import Source

_PAGE = 10
_S = TypeVar("_S", bound=Server)


@dataclass
class _Account(Generic[_S]):
    """An account on a server that runs within :meth:`running`.

    Attributes:
        make: creates the server.
        put: sets the posts of the account, newest first.
        spec: returns the spec of the account.
        reading: how to read it.
    """

    make: Callable[[], _S]
    put: Callable[[_S, list[Sample]], None]
    spec: Callable[[_S], str]
    reading: ReadOptions = field(default_factory=ReadOptions)
    _servers: list[_S] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.make() as server:
            named = dict.fromkeys(("HUGGINGTWEETS_BSKY_APPVIEW", "HUGGINGTWEETS_PLC"), server.url)
            quickly = mock.patch.object(http, "sleep", lambda _seconds: None)
            with mock.patch.dict(os.environ, named), quickly:
                self._servers.append(server)
                yield
                self._servers.remove(server)

    def write(self, folder: Path, posts: Iterable[Sample]) -> Source:
        os.environ["HUGGINGTWEETS_DOWNLOADS"] = str(folder / "downloads")
        server = self._servers[-1]
        self.put(server, sorted(posts, key=lambda post: post.number, reverse=True))
        return open_source(self.spec(server), self.reading)


def _bluesky_fields(sample: Sample) -> dict[str, Any]:
    here = {"uri": f"at://{DID}/{POST}/k1", "cid": "bafy"}
    fields: dict[str, Any] = {
        "createdAt": sample.time.isoformat().replace("+00:00", "Z"),
        "langs": [sample.lang] if sample.lang else [],
    }
    if sample.kind == "reply":
        fields["reply"] = {"root": here, "parent": here}
    if sample.kind == "quote":
        fields["embed"] = {"$type": "app.bsky.embed.record", "record": here}
    return fields


def _put_feed(server: BlueskyServer, posts: list[Sample]) -> None:
    server.feed = [item(one.number, one.text, **_bluesky_fields(one)) for one in posts]


def _put_repository(server: BlueskyServer, posts: list[Sample]) -> None:
    server.car = car_of(
        {
            f"{POST}/k{one.number:05}": record(one.text, one.number, **_bluesky_fields(one))
            for one in posts
        }
    )


def _put_statuses(server: MastodonServer, posts: list[Sample]) -> None:
    server.statuses = [
        status(
            one.number,
            escape(one.text).replace("\n", "<br />"),
            created_at=one.time.isoformat().replace("+00:00", "Z"),
            language=one.lang or None,
            in_reply_to_id="5" if one.kind == "reply" else None,
            quote={"state": "accepted"} if one.kind == "quote" else None,
        )
        for one in posts
    ]


_FEED = _Account(lambda: BlueskyServer(page=_PAGE), _put_feed, lambda _: f"bsky:{HANDLE}")
_REPOSITORY = _Account(
    BlueskyServer, _put_repository, lambda _: f"bsky:{HANDLE}", ReadOptions(full=True)
)
_MASTODON = _Account(
    lambda: MastodonServer(page=_PAGE),
    _put_statuses,
    lambda server: f"mastodon:@{USER}@{server.host}",
)

NETWORK_CASES = [
    Case(
        "bluesky feed",
        _FEED.write,
        running=_FEED.running,
        newest_first=True,
        streams=False,
        network=Network(lambda path: path.endswith(".getAuthorFeed"), _PAGE),
    ),
    Case(
        "bluesky repository",
        _REPOSITORY.write,
        running=_REPOSITORY.running,
        newest_first=True,
        streams=False,
        escapes=False,
        network=Network(lambda path: path.endswith(".getRepo"), None),
    ),
    Case(
        "mastodon",
        _MASTODON.write,
        running=_MASTODON.running,
        newest_first=True,
        streams=False,
        network=Network(lambda path: path.endswith("/statuses"), _PAGE),
    ),
    network_x.x_case(),
    network_hub.CASE,
]

ALL_CASES = [*CASES, *CHAT_CASES, *EXPORT_CASES, *TABLE_CASES, *TUMBLR_CASES, *NETWORK_CASES]
