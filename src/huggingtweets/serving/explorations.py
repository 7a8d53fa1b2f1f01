"""Explorations of visitors' own bots: topics, a map of posts, style, who writes like whom.

The pages hold posts, so they are kept in memory only, and shown only while each run still has the
posts it was made of.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, InputError, Interrupted, OptedOutError
from huggingtweets.processes import limited
from huggingtweets.processes.limited import LimitError, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from huggingtweets.exploration.result import Exploration
    from huggingtweets.processes.limited import Send
    from huggingtweets.serving.preview_turns import PreviewTurns
    from huggingtweets.storage.run_folder import RunFolder

MOST_BOTS = 8
_MOST_PAGES = 20
_LIMITS = Limits(memory_bytes=2**60, seconds=600, background=True)
"""No limit of memory: the charts' V8 reserves terabytes of addresses. The posts are a run's, whose
size was limited when they were read; 100,000 take 1.4 GB (benchmarks/explore.py)."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration found.

    Attributes:
        id: of its page.
        names: of the bots.
        posts: number of posts.
        topics: share of the posts, name, and the author who writes most about it, by topic.
        nearest: pairs of an author and the one who writes most like them.
        notes: sentences about what is missing or a sample.
    """

    id: str
    names: tuple[str, ...]
    posts: int
    topics: list[tuple[float, str, str]]
    nearest: list[tuple[str, str]]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _Page:
    visitor: str
    versions: dict[str, tuple[str | None, int]]
    html: str


class Explorations:
    """Makes explorations in a child process and keeps their pages.

    Args:
        turns: of the server's child processes.
    """

    def __init__(self, turns: PreviewTurns) -> None:
        self._turns = turns
        self._pages: OrderedDict[str, _Page] = OrderedDict()

    def explore(
        self,
        visitor: str,
        runs: Mapping[str, RunFolder],
        is_cancelled: Callable[[], bool] = limited.never,
    ) -> Explored:
        """Explore the authors of the visitor's own bots.

        Args:
            visitor: who asks.
            runs: of 1 to 8 bots, by name.
            is_cancelled: called ten times a second; True ends it.

        Raises:
            InputError: no or too many bots were named, or they are too large together.
            BotError: the posts of a bot are gone.
            InsufficientTextError: no author has enough posts.
            Interrupted: it was cancelled.
        """
        if not 1 <= len(runs) <= MOST_BOTS:
            raise InputError(f"Choose 1 to {MOST_BOTS} bots, not {len(runs)}.")
        versions = {name: _version(run) for name, run in runs.items()}
        with self._turns.take(visitor, is_cancelled):
            found = _in_child([run.path for run in runs.values()], is_cancelled)
        page_id = secrets.token_urlsafe(12)
        self._pages[page_id] = _Page(visitor, versions, found.pop("html"))
        while len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)
        return Explored(id=page_id, names=tuple(runs), **found)

    def page(
        self, visitor: str, page_id: str, own_bot: Callable[[str, str], RunFolder]
    ) -> str | None:
        """Return a page of the visitor's, or None if it is gone or its posts have changed.

        Args:
            visitor: who asks.
            page_id: of the page.
            own_bot: finds a visitor's run by its name, or raises an error.
        """
        page = self._pages.get(page_id)
        if page is None or page.visitor != visitor:
            return None
        try:
            now = {name: _version(own_bot(visitor, name)) for name in page.versions}
        except (BotError, OptedOutError):
            now = {}
        if now != page.versions:
            self._pages.pop(page_id, None)
            return None
        return page.html


def explore_runs(paths: Sequence[str], send: Send) -> dict[str, Any]:
    """Explore run folders, in the child."""
    from huggingtweets.exploration import explore, page

    # each message renews the time limit
    found = explore.explore(
        [Path(path) for path in paths], listen=lambda event: send({"stage": event.stage})
    )
    return {
        "html": page.render(found),
        "posts": found.posts.height,
        "topics": [
            (topic.size / found.posts.height, topic.name, found.names[next(iter(topic.posts))])
            for topic in found.topics
        ],
        "nearest": _nearest(found),
        "notes": list(found.notes),
    }


def _nearest(found: Exploration) -> list[tuple[str, str]]:
    if found.distances is None:
        return []
    authors = [author for author in found.names if found.distances.can_compare(author)]
    others = {author: found.distances.nearest(author)[0] for author in authors}
    return [(found.names[author], found.names[other]) for author, other in others.items()]


def _in_child(paths: Sequence[Path], is_cancelled: Callable[[], bool]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = limited.call(
            f"{__name__}:explore_runs",
            [str(path) for path in paths],
            _LIMITS,
            lambda _: None,
            is_cancelled,
        )
    except LimitError as error:
        if error.reason == "cancelled":
            raise Interrupted("Stopped.") from error
        if error.reason == "died":
            logging.getLogger(__name__).exception("An exploration failed.")
            raise BotError("The exploration failed; the server's log says why.") from error
        raise InputError(
            f"These bots have too many posts together for the server's limit of {error.reason}. "
            "Choose fewer."
        ) from error
    found["topics"] = [tuple(topic) for topic in found["topics"]]
    found["nearest"] = [tuple(pair) for pair in found["nearest"]]
    return found


def _version(run: RunFolder) -> tuple[str | None, int]:
    """Return what changes when a run is made anew or loses posts."""
    record = run.record()
    return record.created_at, record.forgotten
