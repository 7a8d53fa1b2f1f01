"""Map the column names that exports use to the fields of a post."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._post_kind import plain_name, telling_columns
from huggingtweets.sources._row_text import whole_text_columns
from huggingtweets.sources._text import list_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_COLUMNS = {
    "text": (
        *("text", "full_text", "tweet", "tweet_text", "content", "body", "post", "message"),
        *("status", "caption", "selftext", "title"),
    ),
    "author": ("author", "username", "user", "screen_name", "handle", "user_name"),
    "id": ("id", "tweet_id", "status_id", "id_str", "post_id"),
    "created_at": ("created_at", "date", "time", "timestamp", "datetime", "created_utc"),
    "kind": ("kind", "type", "tweet_type"),
    "lang": ("lang", "language"),
    "is_repost": ("is_repost", "is_retweet", "isretweet", "retweeted_status_id"),
    # Fields of the X API that tell the kind of a post.
    "retweeted_status": ("retweeted_status",),
    "in_reply_to_status_id": ("in_reply_to_status_id", "in_reply_to_status_id_str"),
    "in_reply_to_user_id": ("in_reply_to_user_id", "in_reply_to_user_id_str"),
    "quoted_status_id": ("quoted_status_id", "quoted_status_id_str"),
    "is_quote_status": ("is_quote_status",),
}
_HANDLES = (
    *("authorusername", "authorscreenname", "authorhandle", "userscreenname", "userusername"),
    *("accountacct", "accountusername"),
)
"""Plain names of columns that were objects: ``author/userName``, ``user.screen_name``."""

_ONLY_COLUMN = frozenset({"tweets", "posts", "messages", "comments", "statuses", "toots", "notes"})
"""Plain names that hold posts in a table without other columns, and else often their number."""

_SHOWN_COLUMNS = 20
MAX_COLUMNS = 5_000
"""Ten times the columns of a flattened post of the X API; each row takes time for every one."""


def find_columns(names: Sequence[str], text_column: str | None, path: Path | str) -> dict[str, str]:
    """Map fields to the columns that hold them.

    Raises:
        SourceError: there is no text column, or there are too many columns.
    """
    check_number(len(names), str(path))
    columns = known_columns(tuple(names), text_column)
    if "text" in columns:
        return columns
    missing = "text column" if text_column is None else f"column {text_column[:80]!r}"
    raise SourceError(
        f"{path} has no {missing} among its columns ({list_names(names, _SHOWN_COLUMNS)}); "
        "name the column with the posts with `--text-column NAME`."
    )


def check_number(columns: int, where: str) -> None:
    """Refuse a table or an object with more columns than any export.

    Raises:
        SourceError: there are more than :data:`MAX_COLUMNS`.
    """
    if columns > MAX_COLUMNS:
        raise SourceError(
            f"{where} has {columns:,} columns, more than the limit of {MAX_COLUMNS:,}; "
            "keep only those with the posts."
        )


@lru_cache(maxsize=256)
def known_columns(names: tuple[str, ...], text_column: str | None) -> dict[str, str]:
    """Map fields to the columns that hold them, leaving out missing ones."""
    by_name = {name.strip().lower(): name for name in reversed(names)}
    columns = {
        field: by_name[present[0]]
        for field, candidates in _COLUMNS.items()
        if (present := [name for name in candidates if name in by_name])
    }
    if text_column is not None:
        columns.pop("text", None)
        named = text_column if text_column in names else by_name.get(text_column.strip().lower())
        if named is not None:
            columns["text"] = named
    return _with_telling(columns, names, text_column)


def _with_telling(
    columns: dict[str, str], names: tuple[str, ...], text_column: str | None
) -> dict[str, str]:
    """Add the columns that tell what a row is, who wrote it and where its whole text is."""
    if text_column is None and len(names) == 1 and plain_name(names[0]) in _ONLY_COLUMN:
        columns["text"] = names[0]
    whole = {} if text_column is not None else whole_text_columns(names)
    if whole and "text" not in columns:
        columns["text"] = next(iter(whole.values()))
    handles = {plain_name(name): name for name in reversed(names)}
    if handle := next((handles[key] for key in _HANDLES if key in handles), None):
        columns["author"] = handle
    others = {
        field: name for field, name in telling_columns(names).items() if name != columns.get("text")
    }
    return others | whole | columns
