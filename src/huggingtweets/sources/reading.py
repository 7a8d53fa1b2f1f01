"""Options for reading sources, including the callbacks for progress and questions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingtweets.events import EventHandler, ignore
from huggingtweets.processes.limited import Limits, never

if TYPE_CHECKING:
    from datetime import datetime

Confirm = Callable[[str], bool]
"""Asks the user a question, such as whether to spend money; returns True for yes."""


SEE_SPLIT = " (see `--split newest`)"
"""Ends a warning about dates; only the command line has that option."""


def decline(question: str) -> bool:
    """Answer no: the default if nobody can be asked."""
    del question
    return False


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What one download of an account may reach and cost. The defaults are those of the owner.

    Attributes:
        public_only: whether all addresses of this machine and of private networks are refused, and
            no proxy is used, because it would connect where this program can't check.
        posts: the newest posts that are read of one account; None for all.
        pages: most pages of one download.
        megabytes: most megabytes that one host may send, counted after decompression.
        seconds: most seconds that one host may take, waiting for rate limits included.
    """

    public_only: bool = False
    posts: int | None = None
    pages: int = 10_000
    megabytes: float = 4_000.0
    seconds: float = 24 * 3600.0


OWNERS = DownloadLimits()
"""The limits of the machine's owner, which only stop what never ends."""


@dataclass(frozen=True, slots=True)
class FileLimits(Limits):
    """What reading files may use; see :mod:`huggingtweets.sources.in_child`.

    Attributes:
        posts: number of posts of all sources together.
        characters: number of characters in them.
    """

    posts: int = 50_000_000
    characters: int = 20_000_000_000


def own_limits() -> FileLimits:
    """Return the limits of what users read on their own machine: three quarters of its memory."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        memory = 16 * 1000**3
    return FileLimits(memory_bytes=max(4 * 1000**3, memory * 3 // 4), seconds=3600.0)


VISITORS = FileLimits(
    memory_bytes=2 * 1000**3,
    seconds=60.0,
    seconds_in_all=60.0,
    background=True,
    posts=1_000_000,
    characters=300_000_000,
)
"""Limits of what visitors of a server read. A million posts have 140 million characters."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read sources; every option has a default.

    Attributes:
        text_column: the column with the posts, if it has an unusual name.
        speaker: whose messages are the posts, for exports of chats.
        join: whether messages of a chat that follow each other within two minutes are one post.
        keep_names: whether the names of the other people of a chat stay in the posts.
        author: the handle to use instead of the one in each source.
        i_am_the_author: read an account even if it asks not to be read.
        full: read the whole repository of a Bluesky account.
        since: skip older posts of an account.
        limit: read at most this many of an account's newest posts.
        listen: receives an event for each page and each second of waiting.
        confirm: asks the user before money is spent.
        limits: of a download.
        forget: posts to leave out, as lines of :mod:`huggingtweets.privacy.deleted_posts`.
        refuse_opted_out: False only if the caller leaves out the posts of those authors itself.
        file_limits: of memory, time, posts and characters.
        is_cancelled: called while files are read in a child process; True ends that.
    """

    text_column: str | None = None
    speaker: str | None = None
    author: str | None = None
    i_am_the_author: bool = False
    full: bool = False
    since: datetime | None = None
    limit: int | None = None
    listen: EventHandler = ignore
    confirm: Confirm = decline
    limits: DownloadLimits = OWNERS
    forget: frozenset[str] = frozenset()
    refuse_opted_out: bool = True
    file_limits: FileLimits = field(default_factory=own_limits)
    is_cancelled: Callable[[], bool] = never
    join: bool = False
    keep_names: bool = False
