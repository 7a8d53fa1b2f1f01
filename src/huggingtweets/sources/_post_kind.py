"""Decide what a post is: its kind, and whether it may be read at all.

This is the only place that does. Exports, interfaces and scrapers tell both in many fields; their
names are compared without case, spaces and punctuation, so that ``is_retweet``, ``isRetweet`` and
``is-retweet`` are one. The names come from the API of X (v1.1, v2 and the web client), Mastodon,
Misskey and Bluesky, and from snscrape, twint, ntscraper, twarc-csv and the scrapers of Apify.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from huggingtweets.data.posts import is_repost_text
from huggingtweets.sources._fields import as_dict, is_set

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from huggingtweets.data.posts import Kind

NOT_PUBLIC = "not public"
PROMOTED = "promoted"
DELETED = "deleted"
SUPERSEDED = "older versions of edited posts"
OF_OTHERS = "of other people"
NO_POST = "other records"

# `retweeted` and `reblogged` are missing: they tell what the reader of a timeline did.
_REPOST_FLAGS = frozenset(
    {
        *("isrepost", "isretweet", "isrt", "isreblog", "isboost", "isrenote"),
        *("isreposted", "isretweetstatus", "isforwarded", "iscrosspost"),
    }
)
_REPOST_WORDS = frozenset({"retweet", "repost", "reblog", "boost", "rt"})
"""A yes or no, the post passed on, or its number of reposts."""

# The post that was passed on, its id or its author.
_REPOST_OF = frozenset(
    {
        *("retweetedstatus", "retweetedstatusid", "retweetedstatusidstr", "retweetedstatusresult"),
        *("retweetedtweet", "retweetedtweetid", "retweetid", "retweetof", "retweetofid"),
        *("retweetofstatusid", "retweetofuserid", "retweeteduser", "retweeteduserid"),
        *("retweetuserid", "retweetedfrom", "retweetedby", "retweetedid", "userrt", "userrtid"),
        *("referencedtweetsretweetedid", "reblogid", "reblogofid", "rebloguri", "reblogof"),
        *("boostedpost", "boostedstatus", "boostof", "repostof", "repostofid", "repostedpost"),
        *("rebloggedfromid", "rebloggedfromname", "rebloggedrootid", "rebloggedrootname"),  # Tumblr
        *("repostedby", "repostedstatus", "repostedfrom", "repostedpostid", "originaltweetauthor"),
        *("rtstatusid", "rtid", "rtuser", "rtof"),
        *("crosspostparent", "crosspostparentid"),  # Reddit
    }
)
_FORWARDED = frozenset({"forwardedfrom", "forwardedfromid", "savedfrom", "viabot"})
"""Telegram writes a null where the one who wrote the words has no name or no account."""

_REFERENCES = frozenset({"referencedtweets"} | {f"referencedtweets{n}type" for n in range(4)})
_RENOTE = frozenset({"renoteid", "renote"})
"""On Misskey a repost without text, a quote with one."""

_REPLY_TO = frozenset(
    {
        *("inreplytostatusid", "inreplytostatusidstr", "inreplytouserid", "inreplytouseridstr"),
        *("inreplytotweetid", "inreplytouser", "inreplytoid", "inreplytoscreenname", "inreplyto"),
        *("inreplytousername", "isreply", "replyid", "replyto", "replyingto", "replytoid"),
        *("inreplytoaccountid", "referencedtweetsrepliedtoid"),
    }
)
_QUOTE_OF = frozenset(
    {
        *("quotedstatusid", "quotedstatusidstr", "isquotestatus", "isquote", "quotedtweet"),
        *("quotedtweetid", "quoteid", "quoteurl", "quotedpost", "quotedstatus", "quote"),
        *("quotedstatusresult", "quoteof", "isquoted", "referencedtweetsquotedid"),
    }
)
_KIND_NAMES = frozenset(
    {
        *("kind", "type", "tweettype", "posttype", "messagetype", "statustype", "contenttype"),
        *("activitytype", "recordtype", "category", "action", "activity", "verb"),
        "mediatype",  # of Threads' interface
        "reasontype",  # of Bluesky's, flattened
    }
)
_ORIGINAL_BY = frozenset(
    {"originalauthor", "originalposter", "originalusername", "originaluser", "originalhandle"}
)
"""Who wrote the post first; of one's own posts, oneself or nobody."""

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("retweet", "retweeted", "repost", "reposted", "rt", "reblog"), "repost"),
    **dict.fromkeys(("reblogged", "boost", "boosted", "renote", "announce"), "repost"),
    **dict.fromkeys(("repost_facade", "crosspost", "native retweet"), "repost"),
    **dict.fromkeys(("reply", "replied_to", "repliedto"), "reply"),
    **dict.fromkeys(("quote", "quoted", "quotetweet"), "quote"),
}

_VISIBILITY = frozenset(
    {
        *("visibility", "postvisibility", "tootvisibility", "notevisibility", "tweetvisibility"),
        *("statusvisibility", "privacy", "privacylevel", "privacysetting", "privacysettings"),
        *("privacystatus", "sharedwith", "sharingvisibility", "visibilitylevel"),
    }
)
"""Names of fields whose values all say who may read the post."""

_MAYBE_VISIBILITY = frozenset(
    {
        *("audience", "scope", "access", "status", "state", "poststatus", "poststate"),
        *("visibleto", "viewable", "audiencetype"),
    }
)
"""Names of fields that may as well say something else."""

# Mastodon's database numbers its visibilities: 0 is public and 1 unlisted.
_PUBLIC = frozenset(
    {
        *("public", "everyone", "everybody", "anyone", "anybody", "all", "world", "global"),
        *("unlisted", "quiet", "quietpublic", "publicunlisted", "home", "open", "published"),
        *("publish", "visible", "0", "1", "default", "normal", "publicaccess", "federated"),
        *("membernetwork", "loggedin"),  # LinkedIn's; docs/how-to/posts.md says what is unsure
        *("allusers", "web", "internet", "active", "posted", "live", "unlocked"),
        *("público", "publico", "pubblico", "publique", "öffentlich", "openbaar", "offentlig"),
        *("公開", "公开", "全体公開", "공개", "публичный", "публично"),
    }
)
_PRIVATE = frozenset(
    {
        *("private", "direct", "followers", "followersonly", "onlyfollowers", "specified"),
        *("friends", "friendsonly", "yourfriends", "onlyme", "onlyyou", "justme", "self", "me"),
        *("limited", "circle", "twittercircle", "trusted", "trustedfriends", "closefriends"),
        *("mutual", "mutuals", "mutualsonly", "friendsoffriends", "protected", "secret"),
        *("hidden", "draft", "trash", "pending", "deleted", "personal", "mentioned", "restricted"),
        *("mentionedonly", "mentionsonly", "subscribers", "subscribersonly", "connections"),
        *("connectionsonly", "members", "membersonly", "local", "localonly", "directmessage"),
        *(
            "dm",
            "list",
            "invisible",
            "nonpublic",
            "notpublic",
            "internal",
            "confidential",
            "archive",
        ),
        *("privateonly", "followersandmentioned", "autodraft", "autosave", "inherit", "archived"),
        *("supporters", "supportersonly", "patrons", "patronsonly", "group", "custom", "contacts"),
        *(
            "paid",
            "onlypaid",
            "paidonly",
            "founding",
            "premium",
            "future",
            "scheduled",
            "unpublished",
        ),
    }
)
_PRIVATE_FLAGS = frozenset(
    {
        *("private", "isprivate", "protected", "isprotected", "isdirect", "isdirectmessage"),
        *("isdm", "ishidden", "hidden", "isdraft", "draft", "followersonly", "isfollowersonly"),
        *("friendsonly", "isfriendsonly", "localonly", "islocalonly", "limited", "islimited"),
        *("subscribersonly", "issubscribersonly", "iscircle", "istwittercircle", "userprotected"),
        *("authorprotected", "userisprotected", "authorisprotected", "userprivate"),
        *("isonlyforfans", "membersonly", "ismembersonly", "nonpublic", "isunpublished"),
    }
)
_PRIVATE_OBJECTS = frozenset(
    {"visibleuserids", "exclusivetweetcontrol", "trustedfriendscontrol", "trustedfriendsinforesult"}
)
"""Misskey's list of the only readers; X's posts for subscribers and circles."""

_PUBLIC_FLAGS = frozenset({"public", "ispublic", "published", "ispublished", "publiclyvisible"})
_PROMOTED_FLAGS = frozenset(
    {
        *("promoted", "ispromoted", "ispromotedtweet", "promotedmetadata", "promotedcontent"),
        *("isad", "isadvertisement", "advertisement", "issponsored", "sponsored"),
    }
)
_ROLES = frozenset({"assistant", "system", "tool", "bot", "ai", "model", "gpt"})
"""Who wrote a message of a chat with a language model, other than the person."""

_DELETED_FLAGS = frozenset({"deleted", "isdeleted", "deletedat", "removed", "isremoved"})

_REASONS = (
    _VISIBILITY
    | _MAYBE_VISIBILITY
    | _PRIVATE_FLAGS
    | _PRIVATE_OBJECTS
    | _PUBLIC_FLAGS
    | _PROMOTED_FLAGS
    | _DELETED_FLAGS
    | {"role"}
)
_TELLING = (
    (
        _REPOST_FLAGS
        | _REPOST_WORDS
        | _REPOST_OF
        | _FORWARDED
        | _REFERENCES
        | _RENOTE
        | _REPLY_TO
        | _QUOTE_OF
    )
    | _KIND_NAMES
    | _ORIGINAL_BY
)
_EDITS = frozenset({"edithistorytweetids", "edithistory", "editinfo", "editcontrol"})
"""Looked at by :mod:`huggingtweets.sources._latest_versions`."""

_PUNCTUATION = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_AUDIENCE_NAMES = ("value", "type", "name", "level", "label", "visibility", "privacy")
_ID_DIGITS = 9  # a post has fewer reposts than that
_ORDER: tuple[Kind, ...] = ("repost", "reply", "quote")
_NO_OBJECT = frozenset({"-1", "[]", "{}", "()", "0.0", "nat", "<na>", "n/a", "undefined"})
_ENUM = re.compile(r"^[a-z_]*visibility[._]|^vis_", re.IGNORECASE)  # Visibility.PRIVATE


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Return what ``in_reply_to``, ``inReplyTo`` and ``In reply to`` have in common."""
    return _PUNCTUATION.sub("", name).lower()


@lru_cache(maxsize=256)
def telling_columns(names: tuple[str, ...]) -> dict[str, str]:
    """Map the plain names of the fields that this module looks at to the columns with them."""
    plain = ((plain_name(name), name) for name in reversed(names))
    return {key: name for key, name in plain if key in _TELLING or key in _REASONS or key in _EDITS}


def reason_to_leave_out(fields: Mapping[str, object]) -> str | None:
    """Return why a record must not be read, or None.

    Args:
        fields: of the record, or only those of :func:`telling_columns`.
    """
    for key, name in telling_columns(tuple(fields)).items():
        if key in _REASONS and (reason := _reason(key, fields[name])):
            return reason
    if fields.get("author") == "[deleted]":  # Reddit's
        return DELETED
    for owner in ("author", "user", "account"):
        who = fields.get(owner)
        if isinstance(who, dict) and any(is_yes(who.get(key)) for key in _PROTECTED):
            return NOT_PUBLIC
    return None


_PROTECTED = ("protected", "isProtected", "is_protected", "private", "isPrivate", "is_private")


def _reason(key: str, value: object) -> str | None:
    rule = _REASON_RULE.get(key)
    return rule[1] if rule and value is not None and rule[0](value) else None


def in_brackets(left_out: Mapping[str, int]) -> str:
    """Return what was left out for a message, such as `` (75 not public)``; empty for nothing."""
    parts = ", ".join(f"{number:,} {reason}" for reason, number in left_out.items() if number)
    return f" ({parts})" if parts else ""


def is_public(value: object) -> bool:
    """Return whether everybody may read a post; a value that isn't known is not public."""
    audience = _audience(value)
    return not audience or audience in ("none", "null", "nan") or audience in _PUBLIC


def _audience(value: object) -> str:
    """Return the plain name of an audience; empty if the value names none."""
    if isinstance(value, dict):  # {"value": "EVERYONE"}, {"type": "public"}
        value = next((value[name] for name in _AUDIENCE_NAMES if name in value), None)
    if isinstance(value, list):
        names = [_audience_named(item) for item in value]
        return next((name for name in names if name in _PUBLIC), names[0] if names else "")
    return _audience_named(value)


def _audience_named(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)[:100].strip()
    if (number := _NUMBER.fullmatch(text)) and not 0 <= float(number[0]) <= 9:
        return ""  # a distance
    if text.endswith(("#Public", ":Public")):
        return "public"
    name = text.partition(":")[0]  # Pleroma's `list:5` is for the members of a list
    return plain_name(_ENUM.sub("", name).removesuffix(".0"))


def parse_kind(text: str, fields: Mapping[str, object]) -> Kind:
    """Determine the kind of a post.

    Args:
        text: of the post; old-style reposts are told by it.
        fields: of the record, or only those of :func:`telling_columns`.
    """
    if is_repost_text(text):
        return "repost"
    has_text = bool(text.strip())
    kinds = {
        _kind_of_field(key, fields[name], has_text=has_text)
        for key, name in telling_columns(tuple(fields)).items()
    }
    if "repost" not in kinds and _is_by_another(fields):
        return "repost"
    return next((kind for kind in _ORDER if kind in kinds), "original")


def _is_by_another(fields: Mapping[str, object]) -> bool:
    """Return whether a field names another author than the one who posted."""
    author = fields.get("author")
    return isinstance(author, str) and any(
        is_object(first := fields[name]) and plain_name(str(first)) != plain_name(author)
        for key, name in telling_columns(tuple(fields)).items()
        if key in _ORIGINAL_BY
    )


def _kind_of_field(key: str, value: object, *, has_text: bool) -> Kind | None:
    if key in _KIND_NAMES or key in _REFERENCES:
        return _named_kind(value)
    if key in _RENOTE and is_object(value):
        return "quote" if has_text else "repost"
    rule = _KIND_RULE.get(key)
    return rule[1] if rule and rule[0](value) else None


def _named_kind(value: object) -> Kind | None:
    """Return the kind that a word names, or the references of the API of X, as JSON or as text."""
    if isinstance(value, str):
        word = value.strip().lower().rpartition("#reason")[2]  # app.bsky.feed.defs#reasonRepost
        if kind := _KINDS.get(word):
            return kind
    if isinstance(value, list):
        value = " ".join(str(as_dict(item).get("type")) for item in value)
    elif not isinstance(value, str) or "type" not in value:
        return None
    for kind_name in ("retweeted", "replied_to", "quoted"):
        if re.search(rf"\b{kind_name}\b", value):
            return _KINDS[kind_name]
    return None


def is_yes(value: object) -> bool:
    """Return whether a flag is set; a number over 1 counts something and is no flag."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "t", "yes", "y", "1", "1.0", "on")
    return isinstance(value, bool | int | float) and value == 1


def is_no(value: object) -> bool:
    """Return whether a flag is unset, and not only missing."""
    if isinstance(value, str):
        return value.strip().lower() in ("false", "f", "no", "n", "0", "0.0", "off")
    return isinstance(value, bool | int | float) and value == 0


def is_object(value: object) -> bool:
    """Return whether a field holds an object, an id or a name."""
    if isinstance(value, str) and value.strip().lower() in _NO_OBJECT:
        return False
    return value != -1 and is_set(value)


def _is_yes_or_reference(value: object) -> bool:
    """Return whether a value is yes, a post, or its address or id, but not a small number."""
    if isinstance(value, bool | dict):
        return bool(value)
    if not isinstance(value, str | int):
        return False
    text = str(value).strip()
    if not is_object(text):
        return False
    return len(text) >= _ID_DIGITS if _NUMBER.fullmatch(text) else not is_no(text)


_RULES: tuple[tuple[frozenset[str], Callable[[object], bool], Kind], ...] = (
    (_FORWARDED, lambda value: value is None or is_object(value), "repost"),
    (_REPOST_FLAGS, lambda value: is_yes(value) or bool(as_dict(value)), "repost"),
    (_REPOST_WORDS, _is_yes_or_reference, "repost"),
    (_REPOST_OF, lambda value: not isinstance(value, list) and is_object(value), "repost"),
    (_REPLY_TO, is_object, "reply"),
    (_QUOTE_OF, is_object, "quote"),
)
"""Names of fields, what their value must be, and the kind that it tells."""

_KIND_RULE = {name: (holds, kind) for names, holds, kind in _RULES for name in names}

_REASON_RULES: tuple[tuple[frozenset[str], Callable[[object], bool], str], ...] = (
    (_PUBLIC_FLAGS, is_no, NOT_PUBLIC),
    (_PRIVATE_FLAGS, is_yes, NOT_PUBLIC),
    (_PRIVATE_OBJECTS, is_object, NOT_PUBLIC),
    (_VISIBILITY, lambda value: not is_public(value), NOT_PUBLIC),
    (_MAYBE_VISIBILITY, lambda value: _audience(value) in _PRIVATE, NOT_PUBLIC),
    (_PROMOTED_FLAGS, lambda value: is_yes(value) or bool(as_dict(value)), PROMOTED),
    (_DELETED_FLAGS, is_yes, DELETED),
    (frozenset({"deletedat"}), is_object, DELETED),
    (frozenset({"role"}), lambda value: str(value).strip().lower() in _ROLES, OF_OTHERS),
)
"""Names of fields, what their value must be, and why the record is then left out."""

_REASON_RULE = {name: (holds, why) for names, holds, why in _REASON_RULES for name in names}
