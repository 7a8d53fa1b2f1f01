"""Options for reading sources, including the callbacks for progress and questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.events import EventHandler, ignore

if TYPE_CHECKING:
    from datetime import datetime

Confirm = Callable[[str], bool]
"""Asks the user a question, such as whether to spend money; returns True for yes."""


def decline(question: str) -> bool:
    """Answer no: the default if nobody can be asked."""
    del question
    return False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read sources; every option has a default.

    Attributes:
        text_column: the column with the posts, if it has an unusual name.
        speaker: whose messages are the posts, for exports of chats.
        author: the handle to use instead of the one in each source.
        i_am_the_author: read an account even if it asks not to be read.
        full: read the whole repository of a Bluesky account.
        since: skip older posts of an account.
        limit: read at most this many of an account's newest posts.
        listen: receives an event for each page and each second of waiting.
        confirm: asks the user before money is spent.
        forget: posts to leave out, as lines of :mod:`huggingtweets.privacy.deleted_posts`.
        refuse_opted_out: False only if the caller leaves out the posts of those authors itself.
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
    forget: frozenset[str] = frozenset()
    refuse_opted_out: bool = True
