"""Posts of an account on X, through its API, which costs money.

X hands out the newest 3,200 posts of an account. Reposts and replies are fetched with the rest and
told apart here: asked to leave replies out, X would hand out 800.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._x_client import check_extra, x_client
from huggingtweets.sources._x_costs import LARGEST_PAGE, CostEstimate, SpendingGuard, expect
from huggingtweets.sources._x_errors import XErrors
from huggingtweets.sources._x_timeline import NETWORK, User, find_user, post_of, posts_below
from huggingtweets.sources.api_tokens import x_token
from huggingtweets.sources.reading import Confirm, decline
from huggingtweets.sources.store import Page, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANDLE = re.compile(r"[A-Za-z0-9_]{1,15}")
_MOST_EMPTY = 5  # pages in a row, after which there is nothing more to come


def x_handle(written: str) -> str:
    """Check a handle as the user wrote it.

    Raises:
        SourceError: it can't be one.
    """
    handle = written.strip().removeprefix("@")
    if not _HANDLE.fullmatch(handle):
        raise SourceError(f"{written[:80]!r} is no handle on X such as x:@name.")
    return handle


@dataclass
class XAccount:
    """One account.

    Attributes:
        handle: without ``@``.
        limit: no more than so many of the newest posts are wanted.
        i_am_the_author: the token is of this account, for whose own posts X charges less.
        listen: is told of pauses.
        confirm: is asked before posts are paid for.
    """

    handle: str
    limit: int | None = None
    i_am_the_author: bool = False
    listen: EventHandler = ignore
    confirm: Confirm = decline
    name: ClassVar[str] = NETWORK
    _user: User | None = field(init=False, repr=False, default=None)
    _purse: SpendingGuard = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # One for all calls of `pages`: a download makes several and asks the user once.
        self._purse = SpendingGuard(self.handle, self.i_am_the_author, self.confirm)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield posts from the newest or from X's ``pagination_token`` on."""
        check_extra()
        token = x_token()
        errors = XErrors(self.handle, token.place)
        with x_client(token.value, self.listen, errors.explain) as client:
            user = self._user or find_user(client, self.handle, errors, self.listen)
            self._user = user
            wished = LARGEST_PAGE if cursor else self._expected(user).first
            further, empty = False, 0
            while empty < _MOST_EMPTY:
                size = self._purse.page(wished, lambda: self._expected(user).posts, further=further)
                found, cursor = posts_below(client, user, size, cursor, errors)
                self._purse.spend(len(found))
                empty = 0 if found else empty + 1
                if empty == _MOST_EMPTY:
                    cursor = None
                posts = [post for item in found if (post := post_of(item, user.username))]
                yield Page(posts, cursor, user.posts)
                if cursor is None:
                    return
                wished, further = LARGEST_PAGE, True

    def _expected(self, user: User) -> CostEstimate:
        return expect(Store.of(self), user.posts, self.limit)
