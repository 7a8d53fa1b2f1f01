"""Downloading: which pages to ask for, given what is on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.sources._fields import time_of
from huggingtweets.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.store import Account, Page, State

_FRESH = 3600.0
"""Seconds for which a cut download is gone on with without asking for newer posts first."""


def fetch(
    account: Account,
    *,
    since: datetime | None = None,
    limit: int | None = None,
    listen: EventHandler = ignore,
) -> Store:
    """Download what is not on disk yet.

    Args:
        account: whose posts.
        since: older posts are not needed.
        limit: no more posts than so many of the newest are needed.
        listen: is told each page.

    Raises:
        SourceError: the account can't be read; what was read before is kept.
        StorageError: another process downloads it, or the disk is full.
    """
    store = Store.of(account)
    with store.locked():
        try:
            _Download(account, store, since, limit, listen).run()
        except SourceError as error:
            if not len(store):
                raise
            raise SourceError(
                f"{error} {len(store):,} posts downloaded before are kept in {store.posts_file}, "
                "which is a source too; the same command goes on from there."
            ) from error
    return store


def wanted(
    posts: Iterator[Post], since: datetime | None = None, limit: int | None = None
) -> Iterator[Post]:
    """Pass on the first ``limit`` posts; with ``since`` only those known to be not older."""
    chosen = (p for p in posts if since is None or (p.created_at and p.created_at >= since))
    return islice(chosen, limit)


@dataclass
class _Download:
    account: Account
    store: Store
    since: datetime | None
    limit: int | None
    listen: EventHandler
    _counted: set[str] = field(default_factory=set)  # posts from the newest on without a gap
    _pages: int = 0

    def run(self) -> None:
        """Read newer posts down to those on disk, then older ones where they are wanted."""
        state = self.store.state
        cut, state.busy = state.busy, True
        if state.top_read_at:
            if state.gap is not None:
                self._catch_up(state.gap)
            if not cut or time.time() - state.top_read_at > _FRESH:
                self._catch_up(None)
        self._counted = self._contiguous()
        if not state.complete and not self._enough(time_of(state.oldest_time)):
            self._go_back()
        state.busy = False
        self.store.save()

    def _catch_up(self, cursor: str | None) -> None:
        """Read from the newest post, or where that was cut, down to one that is settled."""
        state = self.store.state
        settled = self.store.contiguous_ids()
        self._counted = set()
        for page in self._read(cursor):
            if page.cursor is None or any(post.id in settled for post in page.posts):
                state.complete = state.complete or page.cursor is None
                break
            state.gap = page.cursor
            self.store.save()
            if self._enough(_oldest(page)):  # what is older than this is read another time
                state.cursor, state.complete = page.cursor, False
                state.oldest_time = _iso(_oldest(page)) or state.oldest_time
                break
        self.store.mark_contiguous()
        self.store.save()

    def _go_back(self) -> None:
        """Read from where the posts on disk end towards the account's first."""
        state = self.store.state
        for page in self._read(state.cursor):
            state.cursor, state.complete = page.cursor, page.cursor is None
            state.oldest_time = _iso(_oldest(page)) or state.oldest_time
            self.store.mark_contiguous()
            self.store.save()
            if state.complete or self._enough(_oldest(page)):
                return
        state.complete = True

    def _read(self, cursor: str | None) -> Iterator[Page]:
        """Put each page on disk before anything is done with it."""
        state = self.store.state
        for page in self.account.pages(cursor):
            self.store.add(page.posts)
            self._counted.update(post.id for post in page.posts)
            if cursor is None:
                _record_newest(state, page)
            if page.cursor is not None and page.cursor == cursor:
                raise SourceError(
                    f"{self.account.name} sends the same page of {self.account.handle} over and "
                    "over; try again later."
                )
            cursor = page.cursor
            self._pages += 1
            self._tell(page)
            yield page

    def _tell(self, page: Page) -> None:
        oldest = _oldest(page)
        back = f", back to {oldest:%Y-%m-%d}" if oldest else ""
        text = f"page {self._pages}: {len(page.posts)} posts{back}"
        self.listen(Event(stage="read", done=len(self.store), message=text))

    def _enough(self, oldest: datetime | None) -> bool:
        if self.limit is not None and len(self._counted) >= self.limit:
            return True
        return self.since is not None and oldest is not None and oldest < self.since

    def _contiguous(self) -> set[str]:
        """Find the posts from the newest down to the oldest before the cursor."""
        oldest = time_of(self.store.state.oldest_time)
        posts = self.store.posts()
        if oldest is None:
            return {post.id for post in posts}
        newer = takewhile(lambda post: post.created_at and post.created_at >= oldest, posts)
        return {post.id for post in newer}


def _record_newest(state: State, page: Page) -> None:
    state.top_read_at, state.total = time.time(), page.total
    if page.posts:
        state.newest_id = page.posts[0].id
        state.newest_time = _iso(page.posts[0].created_at)


def _oldest(page: Page) -> datetime | None:
    """Return the time of a page's last post that has one."""
    return next((post.created_at for post in reversed(page.posts) if post.created_at), None)


def _iso(time_then: datetime | None) -> str | None:
    return time_then.isoformat() if time_then else None
