"""Recognise the records of networks by their shape and turn them into rows like those of a table.

A row has ``text``, ``author``, ``id``, ``created_at``, ``lang``, what
:mod:`huggingtweets.sources._post_kind` needs to tell the kind and who may read it, and:

* ``html`` instead of the text, if the network stores that;
* ``by``: who wrote it, to leave out posts of other people;
* ``left_out``: why it is no post to read, or None;
* ``objection``: the author's wish not to be read by programs, as the network's own source honours.

The shapes are those of Mastodon's Status (Pleroma, Akkoma and GoToSocial answer alike), Misskey's
Note and its own export (``ExportNotesProcessorService``), Bluesky's ``app.bsky.feed.getAuthorFeed``
and ``com.atproto.repo.listRecords``, ActivityPub's activities (www.w3.org/TR/activitystreams-
vocabulary), Tumblr's API v2 (:mod:`huggingtweets.sources.tumblr`), and the answers of X's web
client as browser extensions save them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.sources._activity import (
    is_activity,
    is_public_activity,
    note_of,
    row_of_activity,
)
from huggingtweets.sources._bluesky_record import (
    POST,
    asks_to_be_hidden,
    full_text,
    kind_of_record,
)
from huggingtweets.sources._fields import as_dict, as_list, parse_name
from huggingtweets.sources._post_kind import NO_POST, NOT_PUBLIC, is_object
from huggingtweets.sources.mastodon import handle_of_account, objection_of
from huggingtweets.sources.tumblr import is_tumblr_post, tumblr_row

if TYPE_CHECKING:
    from collections.abc import Callable

    Record = dict[str, object]
    Row = dict[str, object]
    _Shape = tuple[Callable[[Record], bool], Callable[[Record], Row]]

_NOTICES = frozenset(
    {
        *("delete", "scrub_geo", "limit", "status_withheld", "user_withheld", "disconnect"),
        *("warning", "friends", "friends_str", "event", "keep_alive"),
    }
)
"""Names of the only field of a message of X's streams that is no post."""

_WHERE = "a post of the file"
_BLUESKY = "app.bsky."
_DID = re.compile(r"at://([^/]+)/")
_MISSKEY = frozenset({"renoteId", "replyId", "localOnly", "visibleUserIds", "fileIds", "renote"})
_ONLY_STATUS = frozenset({"reblog", "spoiler_text", "spoilerText"})
_UNKNOWN = "not given"
"""Stands for the visibility of a record whose network always writes one."""


def network_row(record: Record) -> Row | None:
    """Return a network's record as a row; None if its shape is not that of a network's record."""
    convert = _converter(record)
    return convert(record) if convert else None


def is_network_record(record: Record) -> bool:
    """Return whether :func:`network_row` knows the shape of a record."""
    return _converter(record) is not None


def _converter(record: Record) -> Callable[[Record], Row] | None:
    for is_shape, convert in _shapes(tuple(record)):
        if is_shape(record):
            return convert
    return None


@lru_cache(maxsize=256)
def _shapes(names: tuple[str, ...]) -> list[_Shape]:
    """Return the shapes that a record with these fields may have: none for most tables."""
    return [(is_shape, convert) for any_of, is_shape, convert in _SHAPES if any_of & set(names)]


def _left_out(reason: str) -> Row:
    return {"text": None, "left_out": reason}


# -- Bluesky ---------------------------------------------------------------------------------------


def _is_bluesky(record: Record) -> bool:
    view = as_dict(record.get("post")) or record
    uri = view.get("uri")
    if isinstance(uri, str) and uri.startswith("at://"):
        return isinstance(view.get("record", view.get("value")), dict)
    return str(record.get("$type", "")).startswith(_BLUESKY)


def _bluesky_row(item: Record) -> Row:
    """Convert an item of a feed, a view of a post, an item of a repository, or a bare record."""
    view = as_dict(item.get("post")) or item
    record = as_dict(view.get("record")) or as_dict(view.get("value")) or view
    reason = as_dict(item.get("reason"))
    author = as_dict(view.get("author"))
    uri = view.get("uri")
    kind_of_reason = str(reason.get("$type", ""))
    collection = str(record.get("$type", POST))
    if collection == "app.bsky.feed.repost":
        return {"text": None, "kind": "repost", "by": _did(uri, author), "id": uri} | _by(
            author, uri
        )
    if collection != POST:
        return _left_out(NO_POST)
    if kind_of_reason.endswith("#reasonRepost") or "repost" in kind_of_reason.lower():
        by = as_dict(reason.get("by"))
        row_of_owner = _by(by, None) if by else {"author": None, "by": None}
        return (
            _record_row(uri, record)
            | row_of_owner
            | {"kind": "repost", "id": reason.get("uri") or uri}
        )
    hidden = asks_to_be_hidden(author.get("labels"))
    objection = (
        "asks Bluesky to hide their posts from people without an account" if hidden else None
    )
    return _record_row(uri, record) | _by(author, uri) | {"objection": objection}


def _record_row(uri: object, record: Record) -> Row:
    langs = as_list(record.get("langs"))
    return {
        "text": full_text(record),
        "id": uri,
        "created_at": record.get("createdAt"),
        "kind": kind_of_record(record),
        "lang": langs[0] if langs else None,
    }


def _by(author: Record, uri: object) -> Row:
    handle = parse_name(author.get("handle"))
    did = _did(uri, author)
    return {"author": did if handle in (None, "handle.invalid") else handle, "by": did or handle}


def _did(uri: object, author: Record) -> str | None:
    match = _DID.match(uri) if isinstance(uri, str) else None
    return parse_name(author.get("did")) or (match[1] if match else None)


# -- Mastodon and servers with its interface -------------------------------------------------------


def _is_status(record: Record) -> bool:
    if "content" not in record or not isinstance(record["content"], str | None):
        return False
    return not _ONLY_STATUS.isdisjoint(record) or {"visibility", "account"} <= record.keys()


def _status_row(status: Record) -> Row:
    account = as_dict(status.get("account"))
    reblog = as_dict(status.get("reblog"))
    shown = reblog or status
    author = handle_of_account(account)
    is_quote = any(
        is_object(status.get(name)) for name in ("quote", "quote_id", "quoted_status_id")
    )
    is_reply = is_object(status.get("in_reply_to_id", status.get("inReplyToId")))
    return {
        "html": shown.get("content"),
        "text": None,
        "author": author,
        "by": author,
        "id": status.get("id"),
        "created_at": status.get("created_at") or status.get("createdAt"),
        "kind": "repost" if reblog else "reply" if is_reply else None,
        "isQuote": is_quote,
        "lang": shown.get("language"),
        "visibility": status.get("visibility", "public") or _UNKNOWN,
        "local_only": status.get("local_only"),
        "objection": objection_of(account),
    }


# -- Misskey ---------------------------------------------------------------------------------------


def _is_note(record: Record) -> bool:
    return "text" in record and "visibility" in record and not _MISSKEY.isdisjoint(record)


def _note_row(note: Record) -> Row:
    user = as_dict(note.get("user"))
    name, host = parse_name(user.get("username")), parse_name(user.get("host"))
    author = f"{name}@{host}" if name and host else name
    return {
        "text": note.get("text"),
        "author": author,
        "by": author,
        "id": note.get("id"),
        "created_at": note.get("createdAt"),
        "lang": note.get("lang"),
        "renoteId": note.get("renoteId"),
        "replyId": note.get("replyId"),
        "visibility": note["visibility"] or _UNKNOWN,
        "visibleUserIds": note.get("visibleUserIds"),
    }


# -- ActivityPub -----------------------------------------------------------------------------------


def _activity_row(activity: Record) -> Row:
    if note_of(activity) is None:
        return _left_out(NO_POST)
    if not is_public_activity(activity):
        return _left_out(NOT_PUBLIC)
    return row_of_activity(activity, _WHERE)


# -- X's web client --------------------------------------------------------------------------------


def _is_web_tweet(record: Record) -> bool:
    return isinstance(as_dict(record.get("legacy")).get("full_text"), str)


def _is_notice(record: Record) -> bool:
    return len(record) == 1


def _web_tweet_row(tweet: Record) -> Row:
    """Flatten an answer of the web client, in which the fields of v1.1 are in ``legacy``."""
    legacy = as_dict(tweet.get("legacy"))
    core = as_dict(tweet.get("core"))
    user = as_dict(as_dict(as_dict(core.get("user_results")).get("result")))
    names = as_dict(user.get("legacy")) | as_dict(user.get("core"))
    author = parse_name(names.get("screen_name"))
    id_ = tweet.get("rest_id") or legacy.get("id_str")
    return legacy | {
        "text": legacy.get("full_text"),
        "full_text": None,
        "note_tweet": tweet.get("note_tweet"),
        "edit_control": tweet.get("edit_control"),
        "author": author,
        "id": id_,
        "protected": names.get("protected"),
    }


_SHAPES: tuple[tuple[frozenset[str], Callable[[Record], bool], Callable[[Record], Row]], ...] = (
    (frozenset({"post", "uri", "$type"}), _is_bluesky, _bluesky_row),
    (frozenset({"actor", "object", "attributedTo", "to"}), is_activity, _activity_row),
    (_ONLY_STATUS | {"account"}, _is_status, _status_row),
    (_MISSKEY, _is_note, _note_row),
    (frozenset({"blog_name"}), is_tumblr_post, tumblr_row),
    (frozenset({"legacy"}), _is_web_tweet, _web_tweet_row),
    (_NOTICES, _is_notice, lambda _: _left_out(NO_POST)),
)
"""Names of fields of which a record of the shape has one, its test and its conversion."""
