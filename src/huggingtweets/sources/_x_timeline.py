"""Read an account on X and its posts through the API.

Texts keep X's short links, as in an archive.
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
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._post_kind import parse_kind
from huggingtweets.sources._x_costs import NEWEST, USER, dollars

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.sources._x_client import Tweepy
    from huggingtweets.sources._x_errors import XErrors

NETWORK = "x"
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_USER_FIELDS = ["protected", "public_metrics", "username"]
_POST_FIELDS = ["created_at", "in_reply_to_user_id", "lang", "note_tweet", "referenced_tweets"]


@dataclass(frozen=True, slots=True)
class User:
    """An account.

    Attributes:
        id: permanent, unlike the handle.
        username: the handle with its owner's capitalization.
        posts: number of posts.
    """

    id: str
    username: str
    posts: int


def find_user(client: Tweepy, handle: str, errors: XErrors, listen: EventHandler) -> User:
    """Look up an account; its number of posts determines the cost.

    Raises:
        SourceError: the account doesn't exist or may not be read.
    """
    listen(Event(stage="read", message=f"looking up @{handle} on X, which costs {dollars(USER)}"))
    answer = as_dict(client.get_user(username=handle, user_fields=_USER_FIELDS))
    user = as_dict(answer.get("data"))
    number = parse_id(user.get("id"))
    if number is None or not _NUMBER.fullmatch(number):
        raise errors.missing_data(answer)
    if user.get("protected") is True:
        raise errors.protected
    count = as_dict(user.get("public_metrics")).get("tweet_count")
    return User(
        id=number,
        username=parse_name(user.get("username")) or handle,
        posts=count if isinstance(count, int) and count >= 0 else NEWEST,
    )


def read_page(
    client: Tweepy, user: User, size: int, cursor: str | None, errors: XErrors
) -> tuple[list[object], str | None]:
    """Return a page of posts as JSON, and the cursor of the next page.

    Raises:
        SourceError: the account may no longer be read.
    """
    answer = as_dict(
        client.get_users_tweets(
            user.id, max_results=size, pagination_token=cursor, tweet_fields=_POST_FIELDS
        )
    )
    tweets, meta = answer.get("data"), answer.get("meta")
    if not isinstance(tweets, list) and (tweets is not None or not isinstance(meta, dict)):
        raise errors.missing_data(answer)
    next_token = as_dict(meta).get("next_token")
    return as_list(tweets), next_token if isinstance(next_token, str) and next_token else None


def parse_post(item: object, author: str) -> Post | None:
    """Convert a tweet to a post; None if it isn't one."""
    tweet = as_dict(item)
    number = parse_id(tweet.get("id"))
    if number is None:
        return None
    where = f"the posts of @{author}"
    text = parse_text(tweet.get("text"), where)
    kind = parse_kind(text, tweet)
    long_text = as_dict(tweet.get("note_tweet")).get("text")
    return Post(
        author=author,
        id=number,
        text=text if kind == "repost" else parse_text(long_text, where) or text,
        created_at=parse_time(tweet.get("created_at")),
        kind=kind,
        lang=parse_name(tweet.get("lang")),
        source=NETWORK,
    )
