"""Read the public posts of a Bluesky account, without a login.

The AppView returns an author's feed page by page. ``full`` instead downloads the whole repository
from its host in one request, which needs the extra ``bluesky``. Two environment variables replace
the public servers, as tests do: ``HUGGINGTWEETS_BSKY_APPVIEW`` (https://public.api.bsky.app) and
``HUGGINGTWEETS_PLC`` (https://plc.directory).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._address import is_loopback
from huggingtweets.sources._bluesky_record import NETWORK, asks_to_be_hidden, parse_post
from huggingtweets.sources._fields import as_dict, as_list, parse_name, parse_time
from huggingtweets.sources.http import Client
from huggingtweets.sources.reading import OWNERS, DownloadLimits
from huggingtweets.sources.store import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post

_APPVIEW = "https://public.api.bsky.app"
_DIRECTORY = "https://plc.directory"
_HANDLE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|did:(plc:[a-z2-7]{8,32}|web:[\w.%-]{3,200})")
_MAX_EMPTY_PAGES = 5  # in a row, before the feed counts as finished
_PROXY_HINT = "A proxy or login page may be in between; try again later."


def bluesky_handle(text: str) -> str:
    """Normalize and check a handle or DID.

    Raises:
        SourceError: it is not a valid one.
    """
    handle = text.strip().removeprefix("@").lower()
    if len(handle) <= 253 and _HANDLE.fullmatch(handle):
        return handle
    hint = f"; try bsky:{handle}.bsky.social" if re.fullmatch(r"[a-z0-9-]+", handle) else ""
    raise SourceError(f"{text[:80]!r} is not a Bluesky handle like name.bsky.social{hint}.")


@dataclass(frozen=True, slots=True)
class Bluesky:
    """A Bluesky account.

    Attributes:
        handle: without ``@``, or a DID.
        full: read the whole repository, which lacks the texts of reposts.
        i_am_the_author: read it even if it asks to be hidden from people without an account.
        listen: receives the countdown of rate limits.
        limits: of the download. The owner of the machine names the AppView and the directory, so
            ``public_only`` concerns the hosts that their answers name.
    """

    handle: str
    full: bool = False
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    limits: DownloadLimits = OWNERS
    name: ClassVar[str] = NETWORK

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages of the author's feed, from the newest post or from ``cursor`` on."""
        with self._owners_client("HUGGINGTWEETS_BSKY_APPVIEW", _APPVIEW) as client:
            if self.full:
                local = is_loopback(client.host) and not self.limits.public_only
                yield self._repository(client, loopback=local)
                return
            empty = 0
            while empty < _MAX_EMPTY_PAGES:
                page = self._page(client, cursor)
                empty = 0 if page.posts else empty + 1
                last = page.cursor is None or empty == _MAX_EMPTY_PAGES
                yield replace(page, cursor=None) if last else page
                if last:
                    return
                cursor = page.cursor

    def _page(self, client: Client, cursor: str | None) -> Page:
        params = {"actor": self.handle, "limit": "100", "filter": "posts_with_replies"}
        answer, _ = client.json(
            "/xrpc/app.bsky.feed.getAuthorFeed",
            params | ({"cursor": cursor} if cursor else {}),
            explain=self.explain,
            not_json_hint=_PROXY_HINT,
        )
        feed, next_cursor = as_dict(answer).get("feed"), as_dict(answer).get("cursor")
        if not isinstance(feed, list):
            raise SourceError(f"{client.host} sent a response without a feed. {_PROXY_HINT}")
        posts = [post for item in feed if (post := self._post(as_dict(item)))]
        return Page(posts, next_cursor if isinstance(next_cursor, str) and next_cursor else None)

    def _post(self, item: dict[str, object]) -> Post | None:
        """Convert an item of the feed to a post; None if it isn't one."""
        view, reason = as_dict(item.get("post")), as_dict(item.get("reason"))
        uri = view.get("uri")
        if not isinstance(uri, str):
            return None
        is_repost = str(reason.get("$type", "")).endswith("#reasonRepost")
        author = as_dict(reason.get("by") if is_repost else view.get("author"))
        self.check_hidden(author.get("labels"))
        post = parse_post(uri, as_dict(view.get("record")), self._author(author))
        if not is_repost:
            return post
        repost_uri = reason.get("uri")  # missing from older servers
        return replace(
            post,
            id=repost_uri if isinstance(repost_uri, str) else f"repost of {uri}",
            kind="repost",
            created_at=parse_time(reason.get("indexedAt")) or post.created_at,
        )

    def _author(self, author: dict[str, object]) -> str:
        handle = parse_name(author.get("handle"))
        return self.handle if handle in (None, "handle.invalid") else str(handle)

    def check_hidden(self, labels: object) -> None:
        """Refuse an author who asks to be hidden from people without an account."""
        if not self.i_am_the_author and asks_to_be_hidden(labels):
            raise SourceError(
                f"@{self.handle} asks Bluesky to hide their posts from people without an account, "
                "so they are not read; if it is your account, use --i-am-the-author."
            )

    def explain(self, status: int, answer: object) -> str | None:
        """Explain a status and the error that Bluesky names; None if unknown."""
        error = f"{as_dict(answer).get('error')} {as_dict(answer).get('message')}"
        for name, sentence in (
            ("Takedown|Takendown|Suspended", "is suspended on Bluesky; there is nothing to read"),
            ("Deactivated", "is deactivated; its owner can log in to bring it back"),
            ("not found|NotFound|resolve|valid", "is not on Bluesky; check the handle"),
            ("Blocked", "can't be read because of a block"),
        ):
            if re.search(name, error, re.IGNORECASE):
                return f"@{self.handle} {sentence}."
        if status in (401, 403):
            return f"Bluesky doesn't show @{self.handle} to everybody; give their archive instead."
        if status in (404, 410):
            return f"@{self.handle} is not on Bluesky; check the handle."
        return None

    def _owners_client(self, variable: str, public: str) -> Client:
        """Return a client of a public server, or of the one that the machine's owner named."""
        named = os.environ.get(variable)
        limits = replace(self.limits, public_only=self.limits.public_only and not named)
        return Client(named or public, listen=self.listen, limits=limits)

    # -- the whole repository --------------------------------------------------------------------

    def _repository(self, client: Client, *, loopback: bool) -> Page:
        from huggingtweets.sources import _bluesky_repo

        _bluesky_repo.check_extra()
        did = self.handle
        if not did.startswith("did:"):
            path = "/xrpc/com.atproto.identity.resolveHandle"
            answer, _ = client.json(
                path, {"handle": self.handle}, explain=self.explain, not_json_hint=_PROXY_HINT
            )
            did = str(as_dict(answer).get("did"))
        if not _HANDLE.fullmatch(did):
            raise SourceError(f"@{self.handle} is not on Bluesky; check the handle.")
        document = self._did_document(did, loopback=loopback)
        server = _server_url(document)
        if server is None:
            raise SourceError(f"The DID document of @{self.handle} names no server with its posts.")
        with Client(server, listen=self.listen, loopback=loopback, limits=self.limits) as host:
            car = host.get(
                "/xrpc/com.atproto.sync.getRepo",
                {"did": did},
                explain=self.explain,
                max_bytes=_bluesky_repo.MAX_BYTES,
                seconds=_bluesky_repo.TIMEOUT_SECONDS,
            ).body
        records = _bluesky_repo.records(car, host.host)
        self.check_hidden(records.get("app.bsky.actor.profile/self", {}).get("labels"))
        posts = _bluesky_repo.posts(records, did, _handle(document) or self.handle)
        return Page(posts, None)

    def _did_document(self, did: str, *, loopback: bool) -> dict[str, object]:
        """Request the document of a DID from the directory or from its own host."""
        client, path = self._owners_client("HUGGINGTWEETS_PLC", _DIRECTORY), f"/{did}"
        if did.startswith("did:web:"):
            host = did.removeprefix("did:web:").replace("%3A", ":").replace("%3a", ":")
            local = loopback and is_loopback(urlsplit(f"//{host}").hostname or "")
            base, path = f"{'http' if local else 'https'}://{host}", "/.well-known/did.json"
            client = Client(base, listen=self.listen, loopback=loopback, limits=self.limits)
        with client:
            answer, _ = client.json(path, explain=self.explain, not_json_hint=_PROXY_HINT)
        return as_dict(answer)


def _server_url(document: dict[str, object]) -> str | None:
    for service in map(as_dict, as_list(document.get("service"))):
        url = service.get("serviceEndpoint")
        if str(service.get("id", "")).endswith("#atproto_pds") and isinstance(url, str):
            return url
    return None


def _handle(document: dict[str, object]) -> str | None:
    names = (str(name) for name in as_list(document.get("alsoKnownAs")))
    found = next((n.removeprefix("at://") for n in names if n.startswith("at://")), None)
    return found if found and _HANDLE.fullmatch(found) else None
