"""Posts of an account on Mastodon, or on a server that speaks its API, read without one.

Only what its author wrote for everybody is read, and nothing at all of those who ask not to be
indexed: a bot made of posts is more than a search engine would do with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._address import is_loopback
from huggingtweets.sources._fields import id_of, name_of, text_of, time_of
from huggingtweets.sources._html import text_of_html
from huggingtweets.sources.http import Client
from huggingtweets.sources.store import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingtweets.data.posts import Kind

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next\b')
_PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Mastodon:
    """One account.

    Attributes:
        user: without ``@``.
        instance: the server's name, with a port where it has one.
        i_am_the_author: read it although it asks not to be indexed.
        listen: is told of pauses.
    """

    user: str
    instance: str
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    name: ClassVar[str] = "mastodon"

    @property
    def handle(self) -> str:
        """``user@instance``."""
        return f"{self.user}@{self.instance}"

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield the statuses from the newest or from below the id ``cursor`` on."""
        host = urlsplit(f"//{self.instance}").hostname or ""
        scheme = "http" if is_loopback(host) else "https"
        with Client(f"{scheme}://{self.instance}", listen=self.listen) as client:
            account = self._account(client)
            while True:
                page = self._page(client, account, cursor)
                yield page
                if page.cursor is None:
                    return
                cursor = page.cursor

    def _account(self, client: Client) -> str:
        """Find the account's id, and whether it may be read."""
        account, _ = client.json(
            "/api/v1/accounts/lookup",
            {"acct": self.user},
            explain=self._explain,
            no_json=self._no_mastodon(),
        )
        number = id_of(account.get("id")) if isinstance(account, dict) else None
        if not isinstance(account, dict) or number is None:
            raise SourceError(f"{self.instance} answered with no account. {self._no_mastodon()}")
        if account.get("suspended"):
            raise SourceError(f"@{self.handle} is suspended there; there is nothing to read.")
        if not self.i_am_the_author and (wish := _wish(account)):
            raise SourceError(
                f"@{self.handle} {wish}, so their posts are not read; if it is you, say "
                "--i-am-the-author, or give the archive that Mastodon offers you."
            )
        return number

    def _page(self, client: Client, account: str, cursor: str | None) -> Page:
        statuses, headers = client.json(
            f"/api/v1/accounts/{quote(account, safe='')}/statuses",
            {"limit": "40"} | ({"max_id": cursor} if cursor else {}),
            explain=self._explain,
            no_json=self._no_mastodon(),
        )
        if not isinstance(statuses, list):
            raise SourceError(f"{self.instance} answered with no posts. {self._no_mastodon()}")
        posts = [post for status in statuses if (post := self._post(status))]
        return Page(posts, _next_cursor(headers) if statuses else None)

    def _post(self, status: object) -> Post | None:
        """Make a post of a status; None where it is not for everybody."""
        if not isinstance(status, dict) or status.get("visibility") != _PUBLIC:
            return None
        number = id_of(status.get("id"))
        if number is None:
            return None
        reblog = status.get("reblog")
        written = reblog if isinstance(reblog, dict) else status
        html = text_of(written.get("content"), f"the posts of @{self.handle}")
        return Post(
            author=self.handle,
            id=number,
            text=text_of_html(html),
            created_at=time_of(status.get("created_at")),
            kind="repost" if written is reblog else _kind(status),
            lang=name_of(written.get("language")),
            source=self.name,
        )

    def _explain(self, status: int, answer: object) -> str | None:
        del answer
        if status in (401, 403, 422):
            return (
                f"{self.instance} shows @{self.user} only to people who are logged in; "
                "give the archive that Mastodon offers its users."
            )
        if status == 404:
            return (
                f"There is no @{self.user} on {self.instance}; check the name. If the account's "
                "page is at another host, give that page's address."
            )
        if status == 410:
            return f"@{self.handle} is suspended or has been deleted; there is nothing to read."
        return None

    def _no_mastodon(self) -> str:
        return (
            f"Is {self.instance} a Mastodon server? If the account's page is at another host, "
            "give that page's address."
        )


def _wish(account: Mapping[str, object]) -> str | None:
    """Tell what an account says against being read by programs; None where it says nothing."""
    if account.get("noindex") is True or account.get("indexable") is False:
        return "asks not to be indexed"
    if account.get("locked") is True:
        return "chooses who follows them"
    return None


def _kind(status: Mapping[str, object]) -> Kind:
    if status.get("in_reply_to_id"):
        return "reply"
    return "quote" if status.get("quote") else "original"


def _next_cursor(headers: Mapping[str, str]) -> str | None:
    """Read the id below which the next page is; only the id is taken from the address."""
    found = _NEXT.search(headers.get("link", ""))
    if found is None:
        return None
    try:
        ids = parse_qs(urlsplit(found[1]).query).get("max_id", [])
    except ValueError:
        return None
    return id_of(ids[0]) if ids else None
