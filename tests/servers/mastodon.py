"""A fake Mastodon server with one account."""

from __future__ import annotations

from typing import Any

from tests.servers.local import Reply, Server, as_json

USER = "gardener"
ID = "109"


def status(number: int, html: str | None = None, **more: object) -> dict[str, Any]:
    """Return a status; higher numbers are newer."""
    return {
        "id": str(110_000_000_000_000_000 + number),
        "created_at": f"2024-03-{1 + number // 24:02}T{number % 24:02}:00:00.000Z",
        "in_reply_to_id": None,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "content": f"<p>{html or f'I counted {number} lanterns today'}</p>",
        "reblog": None,
        "account": {"id": ID, "username": USER, "acct": USER},
        **more,
    }


class MastodonServer(Server):
    """Attributes:
    statuses: newest first.
    account: the response to a lookup; None if there is no account.
    """

    def __init__(self, statuses: list[dict[str, Any]] | None = None, page: int = 40) -> None:
        super().__init__()
        self.statuses = statuses or []
        self.page = page
        self.account: dict[str, Any] | None = {
            "id": ID,
            "username": USER,
            "acct": USER,
            "locked": False,
            "noindex": False,
            "indexable": True,
        }

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        if path == "/api/v1/accounts/lookup":
            if self.account is None or query.get("acct") != USER:
                return as_json({"error": "Record not found"}, 404)
            return as_json(self.account)
        if path == f"/api/v1/accounts/{ID}/statuses":
            return self._page(query)
        return Reply(b"<!DOCTYPE html><title>404</title>", 404, {"Content-Type": "text/html"})

    def _page(self, query: dict[str, str]) -> Reply:
        assert query["limit"] == "40"
        below = int(query.get("max_id", 2**63))
        shown = [one for one in self.statuses if int(one["id"]) < below][: self.page]
        if not shown:
            return as_json([])
        here = f"{self.url}/api/v1/accounts/{ID}/statuses?limit=40"
        links = [f'<{here}&min_id={shown[0]["id"]}>; rel="prev"']
        if len(shown) == self.page:
            links.insert(0, f'<{here}&max_id={shown[-1]["id"]}>; rel="next"')
        return as_json(shown, Link=", ".join(links))
