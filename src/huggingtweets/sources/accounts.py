"""Accounts on networks: find the one that a spec names, and read its posts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources.bluesky import Bluesky, bluesky_handle
from huggingtweets.sources.download import fetch, select_posts
from huggingtweets.sources.mastodon import Mastodon
from huggingtweets.sources.reading import ReadOptions
from huggingtweets.sources.x_api import XAccount, x_handle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.store import Account

_BLUESKY = re.compile(
    r"(?:bsky|bluesky):(?!//)(?P<spec>.*)|(?P<did>did:.+)"
    r"|https?://(?:www\.)?bsky\.app/profile/(?P<page>[^/?#]+).*",
    re.IGNORECASE,
)
_MASTODON = re.compile(
    r"mastodon:(?!//)@?(?P<user>[^@]*)@?(?P<host>.*)"
    r"|https?://(?P<page_host>[^/?#@]+)/@(?P<page_user>[^/?#@]+)(?:@(?P<home>[^/?#@]+))?(?:[/?#].*)?",
    re.IGNORECASE,
)
_X = re.compile(
    r"(?:x|twitter):(?!//)(?P<spec>.*)"
    r"|https?://(?:(?:www|mobile)\.)?(?:x|twitter)\.com(?:/(?P<page>[^/?#]*))?(?:[/?#].*)?",
    re.IGNORECASE,
)
_USER = re.compile(r"[\w.-]{1,100}")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[\w-]+(\.[\w-]+)+|localhost)(:\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """The posts of an account; downloads only those that aren't on disk yet.

    Attributes:
        account: the account.
        reading: how to read it.
    """

    account: Account
    reading: ReadOptions

    @property
    def name(self) -> str:
        """The network."""
        return self.account.name

    def posts(self) -> Iterator[Post]:
        """Yield the posts, newest first."""
        since, author, limits = self.reading.since, self.reading.author, self.reading.limits
        limit = min((n for n in (self.reading.limit, limits.posts) if n is not None), default=None)
        store = fetch(
            self.account,
            since=since,
            limit=limit,
            listen=self.reading.listen,
            limits=limits,
        )
        found = False
        for post in select_posts(store.posts(), since, limit):
            found = True
            yield replace(post, author=author) if author else post
        if not found:
            raise SourceError(
                f"@{self.account.handle} has no public posts"
                + (f" since {since:%Y-%m-%d}." if since and len(store) else ".")
            )


def open_account(spec: str, reading: ReadOptions | None = None) -> NetworkSource | None:
    """Parse a spec as an account; None if it names none.

    Args:
        spec: such as ``bsky:name.bsky.social``, ``mastodon:@name@mastodon.social``, ``x:@name``, or
            the address of the account's page.
        reading: how to read it.

    Raises:
        SourceError: it names an invalid account.
    """
    reading = reading or ReadOptions()
    account: Account
    if found := _X.fullmatch(spec):
        handle = x_handle(found["spec"] or found["page"] or "")
        account = XAccount(
            handle, reading.limit, reading.i_am_the_author, reading.listen, reading.confirm
        )
    elif found := _BLUESKY.fullmatch(spec):
        handle = bluesky_handle(found["spec"] or found["did"] or found["page"] or "")
        account = Bluesky(
            handle, reading.full, reading.i_am_the_author, reading.listen, reading.limits
        )
    elif found := _MASTODON.fullmatch(spec):
        user = found["user"] or found["page_user"] or ""
        host = found["host"] or found["home"] or found["page_host"] or ""
        if not _USER.fullmatch(user) or not _HOST.fullmatch(host):
            raise SourceError(
                f"{spec[:200]} is not a Mastodon account like mastodon:@name@mastodon.social."
            )
        account = Mastodon(
            user, host.lower(), reading.i_am_the_author, reading.listen, reading.limits
        )
    else:
        return None
    if reading.full and not isinstance(account, Bluesky):
        raise SourceError("--full is for accounts on Bluesky; others are always read in full.")
    return NetworkSource(account, reading)
