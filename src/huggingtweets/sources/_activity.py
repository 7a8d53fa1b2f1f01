"""Parse ActivityPub activities, as Mastodon, Pleroma, Akkoma and others export what a person wrote.

Field names are those of www.w3.org/TR/activitystreams-vocabulary. An activity that is a post holds
a note (``Create``) or passes one on (``Announce``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from huggingtweets.sources._fields import as_dict, is_set, parse_id, parse_name, parse_text
from huggingtweets.sources._html import html_to_text, without_quoted_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingtweets.data.posts import Kind

_ACTIVITIES = frozenset(
    {
        *("Create", "Announce", "Update", "Delete", "Like", "Dislike", "Follow", "Undo", "Add"),
        *("Remove", "Block", "Flag", "EmojiReact", "Accept", "Reject", "Move", "QuoteRequest"),
    }
)
_NOTES = frozenset({"Note", "Article", "Question", "Page"})
_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_QUOTES = ("quote", "quoteUrl", "quoteUri", "quoteURL", "_misskey_quote")


def is_activity(record: Mapping[str, object]) -> bool:
    """Return whether a record is an activity, or a note without one."""
    kind = record.get("type")
    if not isinstance(kind, str):
        return False
    if kind in _ACTIVITIES:
        return "actor" in record or "object" in record
    return kind in _NOTES and not {"attributedTo", "to", "inReplyTo"}.isdisjoint(record)


def note_of(activity: Mapping[str, object]) -> dict[str, object] | None:
    """Return the note of an activity; empty for a boost, None if the activity is no post."""
    if str(activity.get("type")) in _NOTES:
        return dict(activity)
    if activity.get("type") == "Announce":
        return {}  # it may hold the boosted note, which is by somebody else
    note = activity.get("object")
    return note if activity.get("type") == "Create" and isinstance(note, dict) else None


def is_public_activity(activity: Mapping[str, object]) -> bool:
    """Return whether everybody may read a post: it is addressed to the public, or unlisted."""
    note = note_of(activity) or {}
    addressed = note if {"to", "cc"} & note.keys() else activity
    for field in ("to", "cc"):
        value = addressed.get(field)
        names = value if isinstance(value, list) else [value]
        if any(isinstance(name, str) and name in _PUBLIC for name in names):
            return True
    return False


def row_of_activity(activity: Mapping[str, object], where: str) -> dict[str, object]:
    """Return the fields of a post: those of a table, and ``by``, the address of its author.

    Args:
        activity: for which :func:`note_of` is not None.
        where: the file's name for error messages.
    """
    note = note_of(activity) or {}
    text = html_to_text(parse_text(_content(note), where))
    kind = _kind(activity, note)
    is_quote = any(is_set(note.get(name)) for name in _QUOTES)
    actor = activity.get("actor") or note.get("attributedTo") or note.get("actor")
    actor = actor.get("id") if isinstance(actor, dict) else actor
    return {
        "text": without_quoted_address(text) if is_quote else text,
        "author": _handle(actor),
        "by": parse_id(actor),
        "id": _short_id(note.get("id") or activity.get("id")),
        "created_at": note.get("published") or activity.get("published"),
        "kind": kind,
        "lang": _language(note.get("contentMap")),
    }


def _content(note: Mapping[str, object]) -> object:
    content = note.get("content")
    if isinstance(content, str):
        return content
    return next(iter(as_dict(note.get("contentMap")).values()), None)


def _kind(activity: Mapping[str, object], note: Mapping[str, object]) -> Kind:
    if activity.get("type") == "Announce":
        return "repost"
    if is_set(note.get("inReplyTo")):
        return "reply"
    return "quote" if any(is_set(note.get(name)) for name in _QUOTES) else "original"


def _short_id(value: object) -> str | None:
    """Shorten ``https://instance/users/ada/statuses/123`` to 123, the id in the instance's API."""
    url = parse_id(value)
    match = re.search(r"/(\d+)(?:/activity)?$", url) if url else None
    return match[1] if match else url


def _language(contents: object) -> str | None:
    """Return the language of a post, or None if it has several."""
    return (
        parse_name(next(iter(contents)))
        if isinstance(contents, dict) and len(contents) == 1
        else None
    )


def _handle(actor: object) -> str | None:
    """Return the handle in the address of an actor."""
    url = parse_id(actor)
    match = re.search(r"/(?:users/|@)([^/]+)/?$", url) if url else None
    return with_instance(match[1], url) if match else None


def with_instance(name: str, url: object) -> str:
    """Append the instance of a URL to a name."""
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:  # an invalid URL
        host = None
    return f"{name}@{host}" if host else name
