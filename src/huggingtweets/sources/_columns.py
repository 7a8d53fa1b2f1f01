"""Map the column names that exports use to the fields of a post."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.errors import ColumnError, SourceError
from huggingtweets.sources._post_kind import plain_name, telling_columns
from huggingtweets.sources._row_text import whole_text_columns
from huggingtweets.sources._text import list_names

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = {
    "text": (
        *("text", "full_text", "tweet", "tweet_text", "content", "body", "post", "message"),
        *("caption", "selftext", "comment_text", "live_chat_text", "share_commentary"),
        *("post_text", "text_content", "text_original", "record_text", "plaintext"),
        *("content_text", "status_text", "status_message", "title"),
    ),
    # A handle before a name to show; last, what may as well be a number.
    "author": (
        *("screen_name", "handle", "author_handle", "user_screen_name", "author", "username"),
        *("author_username", "user_username", "user_name", "from_user", "from_user_screen_name"),
        *("owner_username", "user_posted", "author_meta", "user", "account"),
    ),
    # How people are called where there are no handles, and what else tells them apart.
    "person": (
        *("author_name", "author_display_name", "user_display_name", "display_name"),
        *("sender_name", "sender", "from_name", "from", "speaker"),
    ),
    "by": ("author_id", "user_id", "user_id_str", "from_id", "sender_id"),
    "id": ("id", "tweet_id", "status_id", "id_str", "post_id", "comment_id", "live_chat_id"),
    "kind": ("kind", "type", "tweet_type"),
    "lang": ("lang", "language"),
    "is_repost": ("is_repost", "is_retweet", "retweet", "retweeted_status_id"),
    # Fields of the X API that tell the kind of a post.
    "retweeted_status": ("retweeted_status",),
    "in_reply_to_status_id": (
        *("in_reply_to_status_id", "in_reply_to_status_id_str"),
        *("parent", "parent_id", "parent_comment_id"),  # Reddit, YouTube
    ),
    "in_reply_to_user_id": ("in_reply_to_user_id", "in_reply_to_user_id_str"),
    "quoted_status_id": ("quoted_status_id", "quoted_status_id_str"),
    "is_quote_status": ("is_quote_status",),
    "subreddit": ("subreddit",),
}
_HANDLES = (
    *("authorusername", "authorscreenname", "authorhandle", "userscreenname", "userusername"),
    *("accountacct", "accountusername"),
)
"""Plain names of columns that were objects: ``author/userName``, ``user.screen_name``."""

_OTHER_TEXTS = ("text", "tweet", "tweettext", "content", "body", "selftext", "posttext")
"""Plain names of columns with the text of the rows in which the first such column is empty."""

_ONLY_COLUMN = frozenset({"tweets", "posts", "messages", "comments", "statuses", "toots", "notes"})
"""Plain names that hold posts in a table without other columns, and else often their number."""

_TIMES = (
    *("created_at", "date", "time", "timestamp", "datetime", "created_utc", "created", "date_time"),
    *("published_at", "published", "publish_date", "pub_date", "posted_at", "date_posted"),
    *("date_created", "creation_date", "created_time", "created_date", "tweet_created"),
    *("comment_create_timestamp", "live_chat_create_timestamp", "tweet_date", "post_date"),
    *("timestamp_ms", "date_utc", "utc", "posted", "fecha", "datum", "date_published"),
    *("record_created_at", "create_time_iso", "create_time", "taken_at", "sent_at"),
)
"""The first that can be read in a row is its time."""

_TITLED = frozenset(
    {"selftext", "body", "content", "contenttext", "contenthtml", "plaintext", "html"}
)
"""Columns with the text of posts that may have a title as well, as on Reddit and in blogs."""

_DISCORD = frozenset({"authorid", "author", "date", "content", "attachments", "reactions"})
"""Plain names of the columns that DiscordChatExporter writes."""

_REDDITS = frozenset({"subreddit", "isself", "selftext", "crosspostparent"})
"""Plain names of which a table with nothing but titles has one if these are the posts."""

_MARKUP = ("contenthtml", "html")
"""Plain names of columns with HTML, read where no other has the text: JSON Feed, Ghost."""

_SHOWN_COLUMNS = 20
_OFFERED_COLUMNS, _LONGEST_COLUMN = 200, 100  # number and characters of those to choose from
MAX_COLUMNS = 5_000
"""Ten times the columns of a flattened post of the X API; each row takes time for every one."""


def find_columns(names: Sequence[str], text_column: str | None, path: object) -> dict[str, str]:
    """Map fields to the columns that hold them.

    Raises:
        SourceError: there is no text column, or there are too many columns.
    """
    check_number(len(names), str(path))
    keys = {plain_name(name) for name in names}
    if keys >= _DISCORD:
        raise SourceError(
            f"{path} is a channel of Discord as a table, with messages of several people; export "
            "it again with the format JSON."
        )
    if text_column is None and {"from", "to"} <= keys:
        raise SourceError(
            f"{path} has the columns `from` and `to`: it holds private messages of several people, "
            "which are not read; give the file with the posts."
        )
    columns = known_columns(tuple(names), text_column)
    if "text" in columns:
        return columns
    missing = "text column" if text_column is None else f"column {text_column[:80]!r}"
    shown = tuple(name for name in names if name.strip() and len(name) <= _LONGEST_COLUMN)
    raise ColumnError(
        f"{path} has no {missing} among its columns ({list_names(names, _SHOWN_COLUMNS)}); "
        "name the column with the posts with `--text-column NAME`.",
        shown[:_OFFERED_COLUMNS],
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
    """Map fields to the columns that hold them, leaving out missing ones.

    Names count as equal that differ only in case, spaces and punctuation: ``created_at``,
    ``createdAt`` and ``Created At``. Besides the fields of :data:`_COLUMNS` there are
    ``created_at``, ``created_at_2`` and so on for all columns with a time, ``day``, ``clock`` and
    ``timezone`` for one in several columns, and ``title``.
    """
    by_name = {plain_name(name): name for name in reversed(names)}
    columns = {
        field: by_name[present[0]]
        for field, candidates in _KEYS.items()
        if (present := [key for key in candidates if key in by_name])
    }
    if "author" in columns or "person" in columns:  # then ids tell nothing more
        columns.pop("by", None)
    columns |= _time_columns(by_name)
    if text_column is None and plain_name(columns.get("text", "title")) == "title":
        columns |= _markup_or_nothing(columns, by_name)
    if text_column is not None:
        columns.pop("text", None)
        named = text_column if text_column in names else by_name.get(plain_name(text_column))
        if named is not None:
            columns["text"] = named
    elif "title" in by_name and plain_name(columns.get("text", "")) in _TITLED:
        columns["title"] = by_name["title"]
    return _with_telling(columns, names, text_column)


def _markup_or_nothing(columns: dict[str, str], by_name: dict[str, str]) -> dict[str, str]:
    """Return the columns of a text in HTML; without one, titles alone are posts on Reddit only.

    Tables of links, articles and videos have titles as well, which others wrote.
    """
    if markup := next((by_name[key] for key in _MARKUP if key in by_name), None):
        return {"text": markup, "html": markup}
    if _REDDITS.isdisjoint(by_name):
        columns.pop("text", None)
    return {}


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
    if text_column is None and "text" in columns:
        rest = (handles[key] for key in _OTHER_TEXTS if key in handles)
        if other := next((name for name in rest if name != columns["text"]), None):
            columns["other_text"] = other
    others = {
        field: name for field, name in telling_columns(names).items() if name != columns.get("text")
    }
    return others | whole | columns


def _time_columns(by_name: dict[str, str]) -> dict[str, str]:
    present = [by_name[key] for key in _TIME_KEYS if key in by_name]
    columns = {
        "created_at" if number == 1 else f"created_at_{number}": name
        for number, name in enumerate(present, start=1)
    }
    if "date" in by_name and "time" in by_name:
        columns |= {"day": by_name["date"], "clock": by_name["time"]}
    if "timezone" in by_name and columns:
        columns["timezone"] = by_name["timezone"]
    return columns


_KEYS = {field: [plain_name(name) for name in names] for field, names in _COLUMNS.items()}
_TIME_KEYS = [plain_name(name) for name in _TIMES]
