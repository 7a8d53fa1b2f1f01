"""What reading from X costs, and how much of it the user agreed to.

X charges for each post in an answer, those included that are on disk already. So no page is asked
for that is larger than what is left of what was agreed to, but for the five posts that X hands out
at least.
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
# https://docs.x.com/x-api/getting-started/pricing as of September 2026; what is read twice on one
# day (UTC) is charged once, which is not counted on here.
POST = 5
OWN_POST = 1
USER = 10

NEWEST = 3_200
"""Posts of an account that X hands out."""

LARGEST_PAGE, SMALLEST_PAGE = 100, 5
"""Posts that may be asked for at a time."""

_OVERLAP = 10
"""Posts on disk that are read again below the new ones, to know that there is no gap."""

_WARNING = (
    "X's terms restrict training models on data from its API; the archive that X offers you of "
    "your own posts is free and allowed."
)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What is to be read.

    Attributes:
        posts: at most.
        first: how many of them in the first page, if that begins at the newest.
    """

    posts: int
    first: int


def expect(store: Store, count: int, limit: int | None) -> CostEstimate:
    """Work out what a download will read, from what is on disk.

    Args:
        store: of the account.
        count: posts of the account, as X tells.
        limit: no more than so many of the newest are wanted.
    """
    store.load()
    state, kept = store.state, len(store)
    there = min(NEWEST, max(count, kept))
    if not kept:
        most = there if limit is None else min(there, max(limit, SMALLEST_PAGE))
        return CostEstimate(most, LARGEST_PAGE)
    new = there if state.total is None else max(0, count - state.total)
    whole = state.complete and not state.busy
    most = LARGEST_PAGE + (new if whole else max(0, there - kept))
    if limit is not None:
        most = min(most, limit + LARGEST_PAGE)
    return CostEstimate(min(there, most), new + _OVERLAP)


def dollars(thousandths: int) -> str:
    """Write a price in whole cents, rounded up."""
    return f"${math.ceil(thousandths / 10) / 100:,.2f}"


@dataclass
class SpendingGuard:
    """What the user agreed to pay for.

    Attributes:
        handle: whose posts.
        own: they are posts of the one who pays.
        confirm: is asked.
    """

    handle: str
    own: bool
    confirm: Confirm
    _left: int = 0
    _may_look: bool = False

    def page(self, wished: int, most: Callable[[], int], *, further: bool) -> int:
        """Tell how many posts the next page may have; asks the user where nothing is left.

        Args:
            wished: no more than so many.
            most: works out how many posts are still to be read at most.
            further: X has just said that there is more below a page.

        Raises:
            SourceError: the user said no.
        """
        if self._left == 0 and further and self._may_look:
            # All that X counted was read: what it calls more is a page that is empty and free.
            self._may_look = False
            return SMALLEST_PAGE
        if self._left <= 0:
            self._agree(max(most(), LARGEST_PAGE if self._left < 0 else 0))
        size = min(wished, LARGEST_PAGE, self._left)
        if 0 < self._left - size < SMALLEST_PAGE:  # so few couldn't be asked for alone
            size = self._left - SMALLEST_PAGE
        return max(SMALLEST_PAGE, size)

    def spend(self, posts: int) -> None:
        """Count posts that X handed out."""
        self._left -= posts

    def _agree(self, posts: int) -> None:
        if not posts:  # an answer without posts costs nothing
            return
        each = OWN_POST if self.own else POST
        price = dollars(posts * each)
        what = "post of one's own" if self.own else "post"
        question = (
            f"X charges ${each / 1000} for each {what}: at most {price} for at most {posts:,} "
            f"posts of @{self.handle}, besides {dollars(USER)} for finding the account. "
            f"{_WARNING} Go on?"
        )
        if not self.confirm(question):
            raise SourceError(
                f"Reading at most {posts:,} posts of @{self.handle} from X costs at most {price}, "
                f"which nobody agreed to; say --yes to agree. {_WARNING}"
            )
        self._left, self._may_look = posts, True
