"""Errors of the X API, and keeping the token secret."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest
from tests.servers.local import Reply, Server, as_json
from tests.servers.x import (
    ID,
    TOKEN,
    USER,
    XServer,
    error_of,
    posts_of,
    problem,
    tweets,
    without_data,
    x_online,
)

from huggingtweets.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """An account without posts, a valid token, and an empty downloads folder."""
    with x_online(tmp_path, monkeypatch) as running:
        yield running


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            problem(401, "Unauthorized", "Unauthorized"),
            "rejects the token in HUGGINGTWEETS_X_TOKEN",
        ),
        (problem(402, "CreditsDepleted", "no credits", ".../credits"), "has no credits left"),
        (problem(402, "Payment Required", ""), "has no credits left"),
        (problem(403, "SpendCapReached", "spend cap"), "its spending limit"),
        (problem(403, "Client Forbidden", "client-not-enrolled"), "move it into a project"),
        (problem(404, "Not Found", ""), "is not on X; check the handle"),
        (problem(429, "UsageCapExceeded", "Monthly", ".../usage-capped"), "monthly usage cap"),
        (problem(400, "Invalid Request", "x"), "answered 400"),
        (problem(503, "Service Unavailable", ""), "it may be down"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "sent text/html instead of JSON"),
        (as_json([]), "a response without posts"),
        (as_json(None), "a response without posts"),
        (as_json({"data": {"id": "../x"}, "meta": 3}), "a response without posts"),
        (as_json({"data": 3}), "a response without posts"),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_errors_are_explained(server: XServer, reply: Reply, words: str, first: int) -> None:
    server.tweets = tweets(9)
    server.instead = dict.fromkeys(range(first, 9), reply)
    assert words in error_of()


def test_accounts_that_may_not_be_read(server: XServer) -> None:
    server.tweets = tweets(9)
    server.user["username"] = "somebody"
    assert "@gardener is not on X; check the handle." in error_of()
    server.user |= {"username": USER, "protected": True}
    assert "shows posts only to followers" in error_of()
    server.user["protected"] = False
    detail = f"User has been suspended: [{USER}]."
    suspended = without_data("Forbidden", detail, "resource-not-found")
    server.instead = dict.fromkeys(range(9), suspended)
    assert "@gardener is suspended on X" in error_of()
    detail = f"Sorry, you are not authorized to see the user with id: [{ID}]."
    hidden = without_data("Authorization Error", detail, "not-authorized-for-resource")
    server.instead = {len(server.asked) + 1: hidden}
    assert "shows posts only to followers" in error_of()
    assert server.handed_out == 0


def test_an_expired_pagination_token(server: XServer, tmp_path: Path) -> None:
    server.tweets = tweets(250)
    posts_of(limit=100)
    state = tmp_path / "x" / "gardener" / "state.json"
    state.write_text(state.read_text().replace("7140dibdnow9c7bt", "old"))
    assert "delete state.json" in error_of()
    state.unlink()
    assert len(posts_of()) == 250


def test_a_slow_answer(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(http.Client.get.__kwdefaults__ or {}, "seconds", 0.3)
    server.instead = {0: Reply(b" " * 4000, fault="slow")}
    started = time.monotonic()
    assert "took over 0.3 seconds" in error_of()
    assert time.monotonic() - started < 5


# -- the token -------------------------------------------------------------------------------------


def test_the_token_does_not_follow_a_redirect(server: XServer) -> None:
    with Server(lambda _path, _query: as_json({"data": {"id": ID}})) as other:
        server.instead = {0: Reply(b"", 302, {"Location": f"{other.url}/elsewhere"})}
        error_of()
        assert len(other.asked) == 1
        assert all(TOKEN not in value for value in other.headers[0].values())
    for target in ("https://10.0.0.1/", "http://169.254.169.254/latest", "https://[fd00::1]/"):
        server.instead = {len(server.asked): Reply(b"", 302, {"Location": target})}
        assert "not on the public internet" in error_of()


def test_only_a_local_server_may_replace_x(
    server: XServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for named in ("https://x.example", "http://10.0.0.1:80", "https://api.x.com.example"):
        monkeypatch.setenv("HUGGINGTWEETS_X_API", named)
        assert "may only name a server on this machine" in error_of()
    assert server.asked == []


def test_the_token_is_in_no_log(server: XServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.tweets = tweets(3)
    posts_of()
    assert "Making API request" in caplog.text
    assert TOKEN not in caplog.text
