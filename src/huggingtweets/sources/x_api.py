"""Read the posts of an account through the X API, which costs money.

X returns the newest 3,200 posts of an account. Reposts and replies are included and marked by their
kind: with replies excluded, X would return only 800 posts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._x_client import check_extra, x_client
from huggingtweets.sources._x_costs import LARGEST_PAGE, CostEstimate, SpendingGuard, estimate
from huggingtweets.sources._x_errors import XErrors
from huggingtweets.sources._x_timeline import NETWORK, User, find_user, parse_post, read_page
from huggingtweets.sources.api_tokens import x_token
from huggingtweets.sources.reading import Confirm, decline
from huggingtweets.sources.store import Page, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANDLE = re.compile(r"[A-Za-z0-9_]{1,15}")
_MAX_EMPTY_PAGES = 5  # in a row, before the timeline counts as finished


def x_handle(text: str) -> str:
    """Normalize and check a handle.

    Raises:
        SourceError: it is not a valid one.
    """
    handle = text.strip().removeprefix("@")
    if not _HANDLE.fullmatch(handle):
        raise SourceError(f"{text[:80]!r} is not a handle on X; give one like x:@name.")
    return handle


@dataclass
class XAccount:
    """An account on X.

    Attributes:
        handle: without ``@``.
        limit: read at most this many of the newest posts.
        i_am_the_author: whether the token belongs to this account; X charges less for own posts.
        listen: receives the countdown of rate limits.
        confirm: asks the user before posts are paid for.
    """

    handle: str
    limit: int | None = None
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    confirm: Confirm = decline
    name: ClassVar[str] = NETWORK
    _user: User | None = field(init=False, repr=False, default=None)
    _spending: SpendingGuard = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Shared by all calls of `pages`, so that a download asks the user once.
        self._spending = SpendingGuard(self.handle, self.i_am_the_author, self.confirm)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages, from the newest post or from X's ``pagination_token`` on."""
        check_extra()
        token = x_token()
        errors = XErrors(self.handle, token.place)
        with x_client(token.value, self.listen, errors.explain) as client:
            user = self._user or find_user(client, self.handle, errors, self.listen)
            self._user = user
            requested = LARGEST_PAGE if cursor else self._estimate(user).first_page
            has_more, empty = False, 0
            while empty < _MAX_EMPTY_PAGES:
                size = self._spending.page(
                    requested, lambda: self._estimate(user).posts, has_more=has_more
                )
                tweets, cursor = read_page(client, user, size, cursor, errors)
                self._spending.spend(len(tweets))
                empty = 0 if tweets else empty + 1
                if empty == _MAX_EMPTY_PAGES:
                    cursor = None
                posts = [post for tweet in tweets if (post := parse_post(tweet, user.username))]
                yield Page(posts, cursor, user.posts)
                if cursor is None:
                    return
                requested, has_more = LARGEST_PAGE, True

    def _estimate(self, user: User) -> CostEstimate:
        return estimate(Store.of(self), user.posts, self.limit)
