"""Posts of a Bluesky account, read without one.

The AppView hands out an author's feed a page at a time; ``full`` takes the whole repository from
the server that hosts it instead, in one piece, which needs the extra ``bluesky``. Two environment
variables put other servers in the place of the public ones, as tests do:
``HUGGINGTWEETS_BSKY_APPVIEW`` (https://public.api.bsky.app) and ``HUGGINGTWEETS_PLC``
(https://plc.directory).
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
from huggingtweets.sources._bluesky_record import NETWORK, hides, post_of
from huggingtweets.sources._fields import as_dict, as_list, name_of, time_of
from huggingtweets.sources.http import Client
from huggingtweets.sources.store import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post

_APPVIEW = "https://public.api.bsky.app"
_HANDLE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|did:(plc:[a-z2-7]{8,32}|web:[\w.%-]{3,200})")
_MOST_EMPTY = 5  # pages in a row, after which there is nothing more to come
_NOT_IT = "Is something between here and Bluesky? Try again later."


def bluesky_handle(written: str) -> str:
    """Check a handle or DID as the user wrote it.

    Raises:
        SourceError: it can't be one.
    """
    handle = written.strip().removeprefix("@").lower()
    if len(handle) <= 253 and _HANDLE.fullmatch(handle):
        return handle
    hint = f"; is it bsky:{handle}.bsky.social" if re.fullmatch(r"[a-z0-9-]+", handle) else ""
    raise SourceError(f"{written[:80]!r} is no Bluesky handle such as name.bsky.social{hint}.")


@dataclass(frozen=True, slots=True)
class Bluesky:
    """One account.

    Attributes:
        handle: without ``@``, or a DID.
        full: take the whole repository; reposts, which it has no texts of, are not in it.
        i_am_the_author: read it although it asks to be hidden from people without an account.
        listen: is told of pauses.
    """

    handle: str
    full: bool = False
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    name: ClassVar[str] = NETWORK

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield the author's feed from the newest post or from ``cursor`` on."""
        appview = os.environ.get("HUGGINGTWEETS_BSKY_APPVIEW") or _APPVIEW
        with Client(appview, listen=self.listen) as client:
            if self.full:
                yield self._whole(client, loopback=is_loopback(client.host))
                return
            empty = 0
            while empty < _MOST_EMPTY:
                page = self._page(client, cursor)
                empty = 0 if page.posts else empty + 1
                last = page.cursor is None or empty == _MOST_EMPTY
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
            no_json=_NOT_IT,
        )
        feed, following = as_dict(answer).get("feed"), as_dict(answer).get("cursor")
        if not isinstance(feed, list):
            raise SourceError(f"{client.host} answered with something that is no feed. {_NOT_IT}")
        posts = [post for item in feed if (post := self._post(as_dict(item)))]
        return Page(posts, following if isinstance(following, str) and following else None)

    def _post(self, item: dict[str, object]) -> Post | None:
        """Make a post of an item of the feed; None for what is none."""
        view, reason = as_dict(item.get("post")), as_dict(item.get("reason"))
        uri = view.get("uri")
        if not isinstance(uri, str):
            return None
        reposted = str(reason.get("$type", "")).endswith("#reasonRepost")
        author = as_dict(reason.get("by") if reposted else view.get("author"))
        self.check_hidden(author.get("labels"))
        post = post_of(uri, as_dict(view.get("record")), self._author(author))
        if not reposted:
            return post
        by = reason.get("uri")  # older servers don't name the repost itself
        return replace(
            post,
            id=by if isinstance(by, str) else f"repost of {uri}",
            kind="repost",
            created_at=time_of(reason.get("indexedAt")) or post.created_at,
        )

    def _author(self, author: dict[str, object]) -> str:
        handle = name_of(author.get("handle"))
        return self.handle if handle in (None, "handle.invalid") else str(handle)

    def check_hidden(self, labels: object) -> None:
        """Refuse somebody who asks not to be shown to people without an account."""
        if not self.i_am_the_author and hides(labels):
            raise SourceError(
                f"@{self.handle} asks Bluesky not to show their posts to people without an "
                "account, so they are not read here either; if it is you, say --i-am-the-author."
            )

    def explain(self, status: int, answer: object) -> str | None:
        """Tell what Bluesky means by a status and an error's name."""
        error = f"{as_dict(answer).get('error')} {as_dict(answer).get('message')}"
        for name, sentence in (
            ("Takedown|Takendown|Suspended", "is suspended on Bluesky; there is nothing to read"),
            ("Deactivated", "is deactivated; its owner can log in to bring it back"),
            ("not found|NotFound|resolve|valid", "is not on Bluesky; check the handle"),
            ("Blocked", "can't be read from here, as somebody is blocked"),
        ):
            if re.search(name, error, re.IGNORECASE):
                return f"@{self.handle} {sentence}."
        if status in (401, 403):
            return f"Bluesky doesn't show @{self.handle} to everybody; give their archive instead."
        if status in (404, 410):
            return f"@{self.handle} is not on Bluesky; check the handle."
        return None

    # -- the whole repository --------------------------------------------------------------------

    def _whole(self, client: Client, *, loopback: bool) -> Page:
        from huggingtweets.sources import _bluesky_repo

        _bluesky_repo.check_extra()
        did = self.handle
        if not did.startswith("did:"):
            path = "/xrpc/com.atproto.identity.resolveHandle"
            answer, _ = client.json(
                path, {"handle": self.handle}, explain=self.explain, no_json=_NOT_IT
            )
            did = str(as_dict(answer).get("did"))
        if not _HANDLE.fullmatch(did):
            raise SourceError(f"@{self.handle} is not on Bluesky; check the handle.")
        document = self._document(did, loopback=loopback)
        server = _server(document)
        if server is None:
            raise SourceError(f"@{self.handle} names no server that holds its posts.")
        with Client(server, listen=self.listen, loopback=loopback) as host:
            car = host.get(
                "/xrpc/com.atproto.sync.getRepo",
                {"did": did},
                explain=self.explain,
                largest=_bluesky_repo.LARGEST,
                seconds=_bluesky_repo.SECONDS,
            ).body
        records = _bluesky_repo.records(car, host.host)
        self.check_hidden(records.get("app.bsky.actor.profile/self", {}).get("labels"))
        posts = _bluesky_repo.posts(records, did, _handle(document) or self.handle)
        return Page(posts, None)

    def _document(self, did: str, *, loopback: bool) -> dict[str, object]:
        """Get what a DID says of itself, from the directory or from its own host."""
        base, path = os.environ.get("HUGGINGTWEETS_PLC") or "https://plc.directory", f"/{did}"
        if did.startswith("did:web:"):
            host = did.removeprefix("did:web:").replace("%3A", ":").replace("%3a", ":")
            local = loopback and is_loopback(urlsplit(f"//{host}").hostname or "")
            base, path = f"{'http' if local else 'https'}://{host}", "/.well-known/did.json"
        with Client(base, listen=self.listen, loopback=loopback) as client:
            answer, _ = client.json(path, explain=self.explain, no_json=_NOT_IT)
        return as_dict(answer)


def _server(document: dict[str, object]) -> str | None:
    for service in map(as_dict, as_list(document.get("service"))):
        url = service.get("serviceEndpoint")
        if str(service.get("id", "")).endswith("#atproto_pds") and isinstance(url, str):
            return url
    return None


def _handle(document: dict[str, object]) -> str | None:
    names = (str(name) for name in as_list(document.get("alsoKnownAs")))
    found = next((n.removeprefix("at://") for n in names if n.startswith("at://")), None)
    return found if found and _HANDLE.fullmatch(found) else None
