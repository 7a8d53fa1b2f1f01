"""From what the user calls an account to the posts of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.events import Listener, ignore
from huggingtweets.sources.bluesky import Bluesky, bluesky_handle
from huggingtweets.sources.download import fetch, wanted
from huggingtweets.sources.mastodon import Mastodon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from huggingtweets.posts import Post
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
    r"(?:x|twitter):.*|https?://(?:(?:www|mobile)\.)?(?:x|twitter)\.com(?:[/?#].*)?", re.IGNORECASE
)
_USER = re.compile(r"[\w.-]{1,100}")
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[\w-]+(\.[\w-]+)+|localhost)(:\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """An account's posts: what is new is downloaded, what is on disk is not asked for again.

    Attributes:
        account: whose.
        author: the handle, where it should not be the account's.
        since: older posts are not read.
        limit: only so many of the newest are.
        listen: is told each page and each pause.
    """

    account: Account
    author: str | None = None
    since: datetime | None = None
    limit: int | None = None
    listen: Listener = ignore

    @property
    def name(self) -> str:
        """The network."""
        return self.account.name

    def posts(self) -> Iterator[Post]:
        """Yield the posts, newest first."""
        store = fetch(self.account, since=self.since, limit=self.limit, listen=self.listen)
        found = False
        for post in wanted(iter(store.posts()), self.since, self.limit):
            found = True
            yield replace(post, author=self.author) if self.author else post
        if not found:
            raise SourceError(
                f"@{self.account.handle} has no public posts"
                + (f" since {self.since:%Y-%m-%d}." if self.since and len(store) else ".")
            )


def open_account(
    spec: str,
    *,
    author: str | None = None,
    full: bool = False,
    i_am_the_author: bool = False,
    since: datetime | None = None,
    limit: int | None = None,
    listen: Listener = ignore,
) -> NetworkSource | None:
    """Find the account that is meant; None where none is.

    Args:
        spec: such as ``bsky:name.bsky.social``, ``mastodon:@name@mastodon.social``, or the
            address of the account's page.
        author: the handle to use instead of the account's.
        full: the whole repository, on Bluesky.
        i_am_the_author: read it although it asks not to be read.
        since: older posts are not needed.
        limit: no more than so many are needed.
        listen: is told each page and each pause.

    Raises:
        SourceError: an account is meant, but can't be one, or is on a network that isn't there yet.
    """
    account: Account
    if _X.fullmatch(spec):
        raise SourceError(
            f"{spec[:200]} is an account on X, from which downloading posts is not available yet; "
            "give the archive that X offers its users for download."
        )
    if found := _BLUESKY.fullmatch(spec):
        handle = bluesky_handle(found["spec"] or found["did"] or found["page"] or "")
        account = Bluesky(handle, full, i_am_the_author, listen)
    elif found := _MASTODON.fullmatch(spec):
        user = found["user"] or found["page_user"] or ""
        host = found["host"] or found["home"] or found["page_host"] or ""
        if not _USER.fullmatch(user) or not _HOST.fullmatch(host):
            raise SourceError(f"{spec[:200]} is no account such as mastodon:@name@mastodon.social.")
        account = Mastodon(user, host.lower(), i_am_the_author, listen)
    else:
        return None
    if full and not isinstance(account, Bluesky):
        raise SourceError("--full is for accounts on Bluesky; the others are always read whole.")
    return NetworkSource(account, author, since, limit, listen)
