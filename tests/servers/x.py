"""A fake X API (version 2) with one account."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.local import Reply, Server, as_json

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, http
from huggingtweets.sources.accounts import open_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.local import Request

    from huggingtweets.data.posts import Post

TOKEN = "AAAAAAAA-made-up-t0ken%3D"  # noqa: S105 - so that it can be looked for
USER = "Gardener"
ID = "2244994945"
FIRST = 1_700_000_000_000_000_000
NEWEST = 3_200
_PAGE_TOKEN = re.compile(r"7140dibdnow9c7bt(\d+)")


@contextmanager
def x_online(
    folder: Path, monkeypatch: pytest.MonkeyPatch, found: list[dict[str, Any]] | None = None
) -> Iterator[XServer]:
    """Run the server, with a valid token; downloads go to the folder."""
    with XServer(found) as running:
        monkeypatch.setenv("HUGGINGTWEETS_X_API", running.url)
        monkeypatch.setenv("HUGGINGTWEETS_X_TOKEN", TOKEN)
        monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(folder))
        monkeypatch.setattr(http, "sleep", lambda _seconds: None)
        yield running


def posts_of(**options: Any) -> list[Post]:  # noqa: ANN401
    """Read the account, answering yes to all questions."""
    source = open_account(
        f"x:@{USER.lower()}", ReadOptions(**{"confirm": lambda _: True} | options)
    )
    assert source is not None
    assert source.name == "x"
    return list(source.posts())


def error_of(**options: Any) -> str:  # noqa: ANN401
    """Return the error of reading the account: one sentence without the token."""
    with pytest.raises(SourceError) as caught:
        posts_of(**options)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def tweet(number: int, text: str | None = None, **more: object) -> dict[str, Any]:
    """Return a post; higher numbers are newer."""
    minutes, hours, days = number % 60, number // 60 % 24, number // 1440
    return {
        "id": str(FIRST + number),
        "text": text or f"I counted {number} lanterns today",
        "edit_history_tweet_ids": [str(FIRST + number)],
        "created_at": f"2024-03-{1 + days:02}T{hours:02}:{minutes:02}:00.000Z",
        "lang": "en",
        **more,
    }


def tweets(count: int) -> list[dict[str, Any]]:
    """Return a number of posts, newest first."""
    return [tweet(number) for number in range(count - 1, -1, -1)]


def refers(*kinds: str) -> dict[str, Any]:
    """Return the fields of a post that refers to others: retweeted, replied_to, quoted."""
    found: dict[str, Any] = {"referenced_tweets": [{"type": kind, "id": "20"} for kind in kinds]}
    return found | ({"in_reply_to_user_id": "12"} if "replied_to" in kinds else {})


def problem(status: int, title: str, detail: str, kind: str = "about:blank") -> Reply:
    """Return an error response of X."""
    return as_json({"title": title, "detail": detail, "type": kind, "status": status}, status)


def without_data(title: str, detail: str, kind: str) -> Reply:
    """Return an error response of X with status 200."""
    kind = f"https://api.twitter.com/2/problems/{kind}"
    fault = {"resource_type": "user", "title": title, "detail": detail, "type": kind}
    return as_json({"errors": [fault | {"parameter": "username", "value": USER.lower()}]})


class XServer(Server):
    """Attributes:
    tweets: newest first.
    user: the account; ``public_metrics`` counts its posts unless set.
    ends_empty: whether the last page is empty, as it often is.
    handed_out: number of posts in all responses, which X charges for.
    """

    def __init__(self, found: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.tweets = found or []
        self.user: dict[str, Any] = {"id": ID, "name": "A", "username": USER, "protected": False}
        self.ends_empty = False
        self.handed_out = 0

    @property
    def sizes(self) -> list[int]:
        """The requested size of each page."""
        return [int(query["max_results"]) for _, query in self.asked if "max_results" in query]

    @property
    def cursors(self) -> list[str | None]:
        """The requested cursor of each page."""
        return [q.get("pagination_token") for _, q in self.asked if "max_results" in q]

    def handle(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "Unauthorized")
        reply = self.answer(request.path, request.query)
        reset = str(int(time.time()) + 900)
        limits = {"limit": "10000", "remaining": "9999", "reset": reset}
        headers = {f"x-rate-limit-{name}": value for name, value in limits.items()}
        return Reply(reply.body, reply.status, {**reply.headers, **headers}, reply.fault)

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        if path.startswith("/2/users/by/username/"):
            return self._user(path.rsplit("/", 1)[1], query)
        if path == f"/2/users/{ID}/tweets":
            return self._page(query)
        return Reply(b"", 404)

    def _user(self, name: str, query: dict[str, str]) -> Reply:
        if name.lower() != self.user["username"].lower():
            detail = f"Could not find user with username: [{name}]."
            return without_data("Not Found Error", detail, "resource-not-found")
        counts = {"public_metrics": {"tweet_count": len(self.tweets), "followers_count": 1}}
        known = counts | self.user
        fields = {"id", "name", "username", *query.get("user.fields", "").split(",")}
        return as_json({"data": {key: known[key] for key in known if key in fields}})

    def _page(self, query: dict[str, str]) -> Reply:
        size = int(query.get("max_results", 10))
        if not 5 <= size <= 100:
            return problem(400, "Invalid Request", f"max_results [{size}] is not between 5 and 100")
        start, token = 0, query.get("pagination_token")
        if token is not None:
            place = _PAGE_TOKEN.fullmatch(token)
            if place is None:
                fault = {"parameters": {"pagination_token": [token]}, "message": "is not valid"}
                kind = "https://api.twitter.com/2/problems/invalid-request"
                value = {"errors": [fault], "title": "Invalid Request", "type": kind}
                return as_json(value | {"detail": "pagination_token is not valid"}, 400)
            older = [i for i, one in enumerate(self.tweets) if int(one["id"]) < int(place[1])]
            start = older[0] if older else len(self.tweets)
        # Without replies X returns only 800 posts, so requests must never exclude them.
        assert "exclude" not in query
        there = self.tweets[:NEWEST]
        shown = there[start : start + size]
        self.handed_out += len(shown)
        meta: dict[str, Any] = {"result_count": len(shown)}
        if shown:
            meta |= {"newest_id": shown[0]["id"], "oldest_id": shown[-1]["id"]}
            if start + size < len(there) or self.ends_empty:
                meta["next_token"] = f"7140dibdnow9c7bt{shown[-1]['id']}"
        if token is not None:
            meta["previous_token"] = "77qpymm88g5h9vqkl"  # noqa: S105 - no secret
        fields = {"id", "text", "edit_history_tweet_ids", *query["tweet.fields"].split(",")}
        data = [{key: one[key] for key in one if key in fields} for one in shown]
        return as_json(({"data": data} if data else {}) | {"meta": meta})
