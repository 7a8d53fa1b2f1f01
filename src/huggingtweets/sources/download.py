"""Download an account's posts, requesting only the pages that aren't on disk yet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.sources._fields import parse_time
from huggingtweets.sources.reading import DownloadLimits
from huggingtweets.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from huggingtweets.data.posts import Post
    from huggingtweets.sources.store import Account, Page, State

_FRESH = 3600.0
"""Seconds within which an interrupted download resumes without checking for newer posts first."""


def fetch(
    account: Account,
    *,
    since: datetime | None = None,
    limit: int | None = None,
    listen: EventHandler = ignore,
    limits: DownloadLimits | None = None,
) -> Store:
    """Download the posts that are not on disk yet.

    Args:
        account: the account.
        since: skip older posts.
        limit: download at most about this many of the newest posts.
        listen: receives an event for each page; an error that it raises ends the download.
        limits: of the download.

    Raises:
        SourceError: the account can't be read, or a limit was reached; posts downloaded so far are
            kept.
        StorageError: another process is downloading it, or the disk is full.
    """
    store, limits = Store.of(account), limits or DownloadLimits()
    with store.locked():
        try:
            _Download(account, store, since, limit, listen, limits.pages).run()
        except SourceError as error:
            if not len(store) or limits.public_only:  # visitors learn no path of the server
                raise
            raise SourceError(
                f"{error} The {len(store):,} posts downloaded so far are in {store.posts_file}, "
                "which is also a valid source; run the same command to continue."
            ) from error
    return store


def select_posts(
    posts: Iterable[Post], since: datetime | None = None, limit: int | None = None
) -> Iterator[Post]:
    """Yield the first ``limit`` posts; with ``since`` only those dated then or later."""
    chosen = (p for p in posts if since is None or (p.created_at and p.created_at >= since))
    return islice(chosen, limit)


@dataclass
class _Download:
    account: Account
    store: Store
    since: datetime | None
    limit: int | None
    listen: EventHandler
    max_pages: int
    _contiguous: set[str] = field(default_factory=set)  # ids from the newest post on without a gap
    _pages: int = 0

    def run(self) -> None:
        """Read newer posts down to those on disk, then older ones if needed."""
        state = self.store.state
        was_interrupted, state.busy = state.busy, True
        if state.top_read_at:
            if state.gap is not None:
                self._read_newer(state.gap)
            if not was_interrupted or time.time() - state.top_read_at > _FRESH:
                self._read_newer(None)
        self._contiguous = self._contiguous_on_disk()
        if not state.complete and not self._has_enough(parse_time(state.oldest_time)):
            self._read_older()
        state.busy = False
        self.store.save()

    def _read_newer(self, cursor: str | None) -> None:
        """Read from the newest post, or from ``cursor``, down to a post that is already settled."""
        state = self.store.state
        settled = self.store.contiguous_ids()
        self._contiguous = set()
        for page in self._read(cursor):
            if page.cursor is None or any(post.id in settled for post in page.posts):
                state.complete = state.complete or page.cursor is None
                break
            state.gap = page.cursor
            self.store.save()
            if self._has_enough(_oldest(page)):  # leave older posts to a later download
                state.cursor, state.complete = page.cursor, False
                state.oldest_time = _iso(_oldest(page)) or state.oldest_time
                break
        self.store.mark_contiguous()
        self.store.save()

    def _read_older(self) -> None:
        """Read from the oldest post on disk towards the account's first post."""
        state = self.store.state
        for page in self._read(state.cursor):
            state.cursor, state.complete = page.cursor, page.cursor is None
            state.oldest_time = _iso(_oldest(page)) or state.oldest_time
            self.store.mark_contiguous()
            self.store.save()
            if state.complete or self._has_enough(_oldest(page)):
                return
        state.complete = True

    def _read(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages, each written to disk first."""
        state = self.store.state
        for page in self.account.pages(cursor):
            self._pages += 1
            if self._pages > self.max_pages:
                raise SourceError(
                    f"{self.account.name} sent over {self.max_pages:,} pages of "
                    f"{self.account.handle}, which is the limit."
                )
            self.store.add(page.posts)
            self._contiguous.update(post.id for post in page.posts)
            if cursor is None:
                _record_newest(state, page)
            if page.cursor is not None and page.cursor == cursor:
                raise SourceError(
                    f"{self.account.name} keeps sending the same page of {self.account.handle}; "
                    "try again later."
                )
            cursor = page.cursor
            self._report(page)
            yield page

    def _report(self, page: Page) -> None:
        oldest = _oldest(page)
        back = f", back to {oldest:%Y-%m-%d}" if oldest else ""
        text = f"page {self._pages}: {len(page.posts)} posts{back}"
        self.listen(Event(stage="read", done=len(self.store), message=text))

    def _has_enough(self, oldest: datetime | None) -> bool:
        if self.limit is not None and len(self._contiguous) >= self.limit:
            return True
        return self.since is not None and oldest is not None and oldest < self.since

    def _contiguous_on_disk(self) -> set[str]:
        """Return the ids from the newest post down to the oldest one before the cursor."""
        oldest = parse_time(self.store.state.oldest_time)
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


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
