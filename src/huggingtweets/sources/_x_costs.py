"""Estimate what reading from X costs, and stay within what the user agreed to.

X charges for every post in a response, including posts that are already on disk. So no page is
larger than the rest of the agreed number, except for X's minimum of five posts per page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.sources.reading import Confirm
    from huggingtweets.sources.store import Store

# Thousandths of a dollar, so that sums are exact. From "Read operations" and "Owned Reads" at
# https://docs.x.com/x-api/getting-started/pricing as of September 2026. X charges once for a post
# read twice on one day (UTC); the estimates ignore that.
POST = 5
OWN_POST = 1
USER = 10

NEWEST = 3_200
"""The API returns only so many of an account's newest posts."""

LARGEST_PAGE, SMALLEST_PAGE = 100, 5
"""Posts per request."""

_OVERLAP = 10
"""Posts on disk that are read again below the new ones, to make sure that there is no gap."""

_WARNING = (
    "X's terms restrict training models on data from its API; the archive of your own posts that X "
    "offers is free and allowed."
)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """How many posts a download will read.

    Attributes:
        posts: upper bound.
        first_page: size of the first page, if that begins at the newest post.
    """

    posts: int
    first_page: int


def estimate(store: Store, count: int, limit: int | None) -> CostEstimate:
    """Estimate what a download will read, given what is on disk.

    Args:
        store: of the account.
        count: posts of the account, according to X.
        limit: read at most this many of the newest posts.
    """
    store.load()
    state, on_disk = store.state, len(store)
    available = min(NEWEST, max(count, on_disk))
    if not on_disk:
        most = available if limit is None else min(available, max(limit, SMALLEST_PAGE))
        return CostEstimate(most, LARGEST_PAGE)
    new = available if state.total is None else max(0, count - state.total)
    is_complete = state.complete and not state.busy
    most = LARGEST_PAGE + (new if is_complete else max(0, available - on_disk))
    if limit is not None:
        most = min(most, limit + LARGEST_PAGE)
    return CostEstimate(min(available, most), new + _OVERLAP)


def dollars(thousandths: int) -> str:
    """Format a price, rounded up to whole cents."""
    return f"${math.ceil(thousandths / 10) / 100:,.2f}"


@dataclass
class SpendingGuard:
    """The number of posts that the user agreed to pay for.

    Attributes:
        handle: the account.
        own: whether the account belongs to the user, for whom X charges less.
        confirm: asks the user.
    """

    handle: str
    own: bool
    confirm: Confirm
    _left: int = 0
    _may_probe: bool = False

    def page(self, requested: int, most: Callable[[], int], *, has_more: bool) -> int:
        """Return the allowed size of the next page; asks the user if nothing is left.

        Args:
            requested: upper bound.
            most: computes how many posts remain to be read at most.
            has_more: whether X has just announced another page.

        Raises:
            SourceError: the user declined.
        """
        if self._left == 0 and has_more and self._may_probe:
            # All posts that X counted were read, so the announced page is empty and free.
            self._may_probe = False
            return SMALLEST_PAGE
        if self._left <= 0:
            self._ask_consent(max(most(), LARGEST_PAGE if self._left < 0 else 0))
        size = min(requested, LARGEST_PAGE, self._left)
        if 0 < self._left - size < SMALLEST_PAGE:  # the rest would be below the minimum
            size = self._left - SMALLEST_PAGE
        return max(SMALLEST_PAGE, size)

    def spend(self, posts: int) -> None:
        """Count posts that X returned."""
        self._left -= posts

    def _ask_consent(self, posts: int) -> None:
        if not posts:  # a response without posts is free
            return
        each = OWN_POST if self.own else POST
        price = dollars(posts * each)
        what = "post of your own" if self.own else "post"
        question = (
            f"X charges ${each / 1000} for each {what}: at most {price} for at most {posts:,} "
            f"posts of @{self.handle}, plus {dollars(USER)} for looking up the account. "
            f"{_WARNING} Continue?"
        )
        if not self.confirm(question):
            raise SourceError(
                f"Reading at most {posts:,} posts of @{self.handle} from X costs at most {price}; "
                f"use --yes to agree. {_WARNING}"
            )
        self._left, self._may_probe = posts, True
