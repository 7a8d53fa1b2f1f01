"""How sources are to be read, who is told about it and who is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.events import EventHandler, ignore

if TYPE_CHECKING:
    from datetime import datetime

Confirm = Callable[[str], bool]
"""Asks the user a question, such as whether to spend money; True means yes."""


def decline(question: str) -> bool:
    """Answer no, where nobody can be asked."""
    del question
    return False


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read; everything has a default.

    Attributes:
        text_column: the column with the posts, for tables whose column isn't found.
        speaker: the one whose messages are posts, for exports of chats.
        author: the handle to use instead of the one that each source tells.
        i_am_the_author: read an account although it asks not to be read.
        full: the whole repository, on Bluesky.
        since: older posts of an account are not needed.
        limit: no more than so many of an account's newest posts are needed.
        listen: is told each page and each pause of a download.
        confirm: is asked before money is spent.
        forget: posts to leave out, as lines of :mod:`huggingtweets.privacy.deleted_posts`.
        refuse_opted_out: False only where the caller leaves those authors' posts out itself.
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
