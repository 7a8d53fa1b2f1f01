"""Read the public posts of an account on Mastodon or a compatible server, without a login.

Only public posts are read, and none of accounts that ask not to be indexed: training a bot on posts
goes further than indexing them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._activity import with_instance
from huggingtweets.sources._address import is_loopback
from huggingtweets.sources._fields import parse_id, parse_name, parse_text, parse_time
from huggingtweets.sources._html import html_to_text, without_quoted_address
from huggingtweets.sources.http import Client
from huggingtweets.sources.reading import OWNERS, DownloadLimits
from huggingtweets.sources.store import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingtweets.data.posts import Kind

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next\b')
_PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Mastodon:
    """A Mastodon account.

    Attributes:
        user: without ``@``.
        instance: the server's host name, with its port if any.
        i_am_the_author: read it even if it asks not to be indexed.
        listen: receives the countdown of rate limits.
        limits: of the download.
    """

    user: str
    instance: str
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    limits: DownloadLimits = OWNERS
    name: ClassVar[str] = "mastodon"

    @property
    def handle(self) -> str:
        """``user@instance``."""
        return f"{self.user}@{self.instance}"

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages of statuses, from the newest or from below the id ``cursor`` on."""
        host = urlsplit(f"//{self.instance}").hostname or ""
        scheme = "http" if is_loopback(host) and not self.limits.public_only else "https"
        base = f"{scheme}://{self.instance}"
        with Client(base, listen=self.listen, limits=self.limits) as client:
            account_id = self._account_id(client)
            while True:
                page = self._page(client, account_id, cursor)
                yield page
                if page.cursor is None:
                    return
                cursor = page.cursor

    def _account_id(self, client: Client) -> str:
        """Look up the account's id and check that the account may be read."""
        account, _ = client.json(
            "/api/v1/accounts/lookup",
            {"acct": self.user},
            explain=self._explain,
            not_json_hint=self._not_mastodon_hint(),
        )
        account_id = parse_id(account.get("id")) if isinstance(account, dict) else None
        if not isinstance(account, dict) or account_id is None:
            raise SourceError(f"{self.instance} sent no account. {self._not_mastodon_hint()}")
        if account.get("suspended"):
            raise SourceError(f"@{self.handle} is suspended; there is nothing to read.")
        if not self.i_am_the_author and (objection := objection_of(account)):
            raise SourceError(
                f"@{self.handle} {objection}, so their posts are not read; if it is your account, "
                "use --i-am-the-author or give the archive that Mastodon offers you."
            )
        return account_id

    def _page(self, client: Client, account_id: str, cursor: str | None) -> Page:
        statuses, headers = client.json(
            f"/api/v1/accounts/{quote(account_id, safe='')}/statuses",
            {"limit": "40"} | ({"max_id": cursor} if cursor else {}),
            explain=self._explain,
            not_json_hint=self._not_mastodon_hint(),
        )
        if not isinstance(statuses, list):
            raise SourceError(f"{self.instance} sent no posts. {self._not_mastodon_hint()}")
        posts = [post for status in statuses if (post := self._post(status))]
        return Page(posts, _next_cursor(headers) if statuses else None)

    def _post(self, status: object) -> Post | None:
        """Convert a status to a post; None if it isn't public."""
        if not isinstance(status, dict) or status.get("visibility") != _PUBLIC:
            return None
        status_id = parse_id(status.get("id"))
        if status_id is None:
            return None
        reblog = status.get("reblog")
        original = reblog if isinstance(reblog, dict) else status
        html = parse_text(original.get("content"), f"the posts of @{self.handle}")
        kind = "repost" if original is reblog else _kind(status)
        text = html_to_text(html)
        return Post(
            author=self.handle,
            id=status_id,
            text=without_quoted_address(text) if kind == "quote" else text,
            created_at=parse_time(status.get("created_at")),
            kind=kind,
            lang=parse_name(original.get("language")),
            source=self.name,
        )

    def _explain(self, status: int, answer: object) -> str | None:
        del answer
        if status in (401, 403, 422):
            return (
                f"{self.instance} shows @{self.user} only to logged-in users; give the archive "
                "that Mastodon offers its users."
            )
        if status == 404:
            return (
                f"There is no @{self.user} on {self.instance}; check the name. If the account's "
                "page is on another host, give the address of that page."
            )
        if status == 410:
            return f"@{self.handle} is suspended or has been deleted; there is nothing to read."
        return None

    def _not_mastodon_hint(self) -> str:
        return (
            f"Is {self.instance} a Mastodon server? If the account's page is on another host, "
            "give the address of that page."
        )


def objection_of(account: Mapping[str, object]) -> str | None:
    """Return the setting by which an account objects to being read by programs, or None."""
    if account.get("noindex") is True or account.get("indexable") is False:
        return "asks not to be indexed"
    if account.get("locked") is True:
        return "approves followers manually"
    return None


def handle_of_account(account: Mapping[str, object]) -> str | None:
    """Return ``user@instance`` of the account of a status, with the instance of its address."""
    name = parse_name(account.get("acct")) or parse_name(account.get("username"))
    if name is None or "@" in name:
        return name
    return with_instance(name, account.get("url") or account.get("uri"))


def _kind(status: Mapping[str, object]) -> Kind:
    if status.get("in_reply_to_id"):
        return "reply"
    return "quote" if status.get("quote") else "original"


def _next_cursor(headers: Mapping[str, str]) -> str | None:
    """Return ``max_id`` of the next page's URL; the rest of that URL is not trusted."""
    match = _NEXT.search(headers.get("link", ""))
    if match is None:
        return None
    try:
        ids = parse_qs(urlsplit(match[1]).query).get("max_id", [])
    except ValueError:
        return None
    return parse_id(ids[0]) if ids else None
