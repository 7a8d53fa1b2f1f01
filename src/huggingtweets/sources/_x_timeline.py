"""An account on X and its posts, as the API tells them.

Texts are as X has them, with its short links, as they are in an archive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.data.posts import Post
from huggingtweets.events import Event
from huggingtweets.sources._fields import (
    as_dict,
    as_list,
    id_of,
    kind_of,
    name_of,
    text_of,
    time_of,
)
from huggingtweets.sources._x_costs import NEWEST, USER, dollars

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.sources._x_client import Tweepy
    from huggingtweets.sources._x_errors import XErrors

NETWORK = "x"
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_USER_FIELDS = ["protected", "public_metrics", "username"]
_POST_FIELDS = ["created_at", "in_reply_to_user_id", "lang", "note_tweet", "referenced_tweets"]
_REFERENCES = ("retweeted", "replied_to", "quoted")
"""How a post can refer to another: the first of these that one does is its kind."""


@dataclass(frozen=True, slots=True)
class User:
    """An account.

    Attributes:
        id: never changes.
        username: the handle as its owner writes it.
        posts: how many there are.
    """

    id: str
    username: str
    posts: int


def find_user(client: Tweepy, handle: str, errors: XErrors, listen: EventHandler) -> User:
    """Look an account up, which tells what its posts will cost.

    Raises:
        SourceError: there is no such account, or it may not be read.
    """
    listen(Event(stage="read", message=f"finding @{handle} on X, which costs {dollars(USER)}"))
    answer = as_dict(client.get_user(username=handle, user_fields=_USER_FIELDS))
    user = as_dict(answer.get("data"))
    number = id_of(user.get("id"))
    if number is None or not _NUMBER.fullmatch(number):
        raise errors.without_data(answer)
    if user.get("protected") is True:
        raise errors.protected
    count = as_dict(user.get("public_metrics")).get("tweet_count")
    return User(
        id=number,
        username=name_of(user.get("username")) or handle,
        posts=count if isinstance(count, int) and count >= 0 else NEWEST,
    )


def posts_below(
    client: Tweepy, user: User, size: int, cursor: str | None, errors: XErrors
) -> tuple[list[object], str | None]:
    """Get some posts as X has them, and where the older ones begin.

    Raises:
        SourceError: the account may not be read any more.
    """
    answer = as_dict(
        client.get_users_tweets(
            user.id, max_results=size, pagination_token=cursor, tweet_fields=_POST_FIELDS
        )
    )
    tweets, meta = answer.get("data"), answer.get("meta")
    if not isinstance(tweets, list) and (tweets is not None or not isinstance(meta, dict)):
        raise errors.without_data(answer)
    following = as_dict(meta).get("next_token")
    return as_list(tweets), following if isinstance(following, str) and following else None


def post_of(item: object, author: str) -> Post | None:
    """Make a post of what X has; None for what is none."""
    tweet = as_dict(item)
    number = id_of(tweet.get("id"))
    if number is None:
        return None
    where = f"the posts of @{author}"
    text = text_of(tweet.get("text"), where)
    kind = kind_of(text, {"kind": _reference(tweet)})
    whole = as_dict(tweet.get("note_tweet")).get("text")
    return Post(
        author=author,
        id=number,
        text=text if kind == "repost" else text_of(whole, where) or text,
        created_at=time_of(tweet.get("created_at")),
        kind=kind,
        lang=name_of(tweet.get("lang")),
        source=NETWORK,
    )


def _reference(tweet: dict[str, object]) -> str | None:
    """Tell how a post refers to another; a reply does also where the other is gone."""
    found = {as_dict(one).get("type") for one in as_list(tweet.get("referenced_tweets"))}
    if tweet.get("in_reply_to_user_id"):
        found.add("replied_to")
    return next((kind for kind in _REFERENCES if kind in found), None)
