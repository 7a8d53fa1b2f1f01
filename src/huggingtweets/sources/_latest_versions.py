"""Keep only the last version of posts that were edited on X.

Every version has an id of its own and a list of the ids of all versions, in one of several places:
``edit_info`` in archives, ``edit_control`` in the web client, ``edit_history`` in the API v1.1 and
``edit_history_tweet_ids`` in v2 (docs.x.com/x-api/fundamentals/edit-posts).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from huggingtweets.sources._post_kind import SUPERSEDED

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from huggingtweets.data.posts import Post

_NAMES = ("edit_info", "edit_control", "edit_history", "edit_history_tweet_ids")
_FIELDS = (*_NAMES, *(name.replace("_", "") for name in _NAMES))
_INSIDE = (
    *("editTweetIds", "edit_tweet_ids"),
    *("initial", "edit", "editControlInitial", "edit_control_initial"),
)
_MAX_DEPTH = 3
_ID = re.compile(r"\d{5,20}")


class LatestVersions:
    """Holds older versions back until their last version was seen, or all posts were.

    Args:
        left_out: counts the older versions.
    """

    def __init__(self, left_out: Counter[str]) -> None:
        self._left_out = left_out
        self._seen: set[str] = set()
        self._held: dict[str, Post] = {}  # the newest of the older versions, by the last id

    def latest(self, post: Post, fields: Mapping[str, object]) -> Post | None:
        """Return the post, or None if a later version is expected."""
        ids = _version_ids(fields)
        if len(ids) < 2:
            return post
        last = ids[-1]
        if post.id == last or post.id not in ids:
            self._seen.add(last)
            return post
        self._left_out[SUPERSEDED] += 1
        held = self._held.get(last)
        if held is None or _number(post.id) > _number(held.id):
            self._held[last] = post
        return None

    def rest(self) -> Iterator[Post]:
        """Yield the newest version of each post whose last version is missing."""
        for last, post in self._held.items():
            if last not in self._seen:
                self._left_out[SUPERSEDED] -= 1
                yield post


def _version_ids(fields: Mapping[str, object]) -> list[str]:
    """Return the ids of all versions, the oldest first; none if there is only one."""
    for name in _FIELDS:
        if (value := fields.get(name)) and (ids := _ids_in(value)):
            return sorted(ids, key=_number)
    return []


def _ids_in(value: object, depth: int = 0) -> list[str]:
    if isinstance(value, dict):
        for name in _INSIDE if depth < _MAX_DEPTH else ():
            if (inner := value.get(name)) and (ids := _ids_in(inner, depth + 1)):
                return ids
    elif isinstance(value, list):
        if len(value) > 1:  # most posts have one version
            return [str(item) for item in value if _ID.fullmatch(str(item))]
    elif isinstance(value, str) and value.strip().startswith(("[", "{")):  # a list in a CSV
        return _ID.findall(value)
    return []


def _number(text: str) -> int:
    return int(text) if _ID.fullmatch(text) else 0
