"""Posts from X on the command line: cost, confirmation, and a token that is never written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents
from tests.cli.test_terminal import Terminal
from tests.servers.local import as_json
from tests.servers.x import TOKEN, XServer, refers, tweet, x_online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.program import CommandLine, Process

PRICE = "at most $0.13 for at most 25 posts of @gardener"
LINES = [
    "The lanterns came back to the north field tonight",
    "Seeds keep their own calendar and never tell me",
    "A fox walked the whole length of the wall",
]


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """An account of 24 posts and a repost."""
    found = [tweet(number, f"{LINES[number % 3]}, day {number}") for number in range(24, 0, -1)]
    found.append(tweet(0, "RT @other: x", **refers("retweeted")))
    with x_online(here / "downloads", monkeypatch, found) as running:
        yield running


@pytest.fixture
def environment(server: XServer, plain_environment: dict[str, str], here: Path) -> dict[str, str]:
    """Environment for a separate process."""
    return plain_environment | {
        "HUGGINGTWEETS_X_API": server.url,
        "HUGGINGTWEETS_X_TOKEN": TOKEN,
        "HUGGINGTWEETS_DOWNLOADS": str(here / "downloads"),
    }


@pytest.mark.parametrize("command", ["download", "curate", "train"])
def test_no_request_without_terminal(cli: CommandLine, server: XServer, command: str) -> None:
    outcome = cli(command, "x:@gardener")
    assert outcome.refused("at most 25 posts of @gardener", "at most $0.13", "use --yes")
    assert "X's terms restrict training" in outcome.err
    assert server.handed_out == 0


def test_yes_skips_the_question(cli: CommandLine, server: XServer) -> None:
    outcome = cli("download", "x:@gardener", "--yes")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "looking up @gardener on X, which costs $0.01"
    assert PRICE in lines[1]
    assert lines[2] == "page 1: 25 posts, back to 2024-03-01, 25 posts in all"
    assert lines[3] == "25 posts · 24 original · 1 repost"
    assert server.handed_out == 25
    again = cli("download", "https://x.com/gardener", "--yes", "--json")
    assert json.loads(again.out)["posts"] == 25
    assert PRICE in again.err
    assert server.handed_out == 35


def test_few_shot(cli: CommandLine, server: XServer) -> None:
    assert cli("generate", "pocket", "--few-shot", "x:@gardener").refused("use --yes")
    assert server.handed_out == 0


@pytest.mark.parametrize(
    ("command", "keys", "code"),
    [("download", "y\n", 0), ("download", "\n", 2), ("curate", "yes\n", 0), ("curate", "\x04", 2)],
)
def test_cost_is_asked_at_a_terminal(
    server: XServer, environment: dict[str, str], command: str, keys: str, code: int
) -> None:
    terminal = Terminal([command, "x:@gardener"], environment | {"TERM": "xterm-256color"}, 100)
    try:
        terminal.wait_for("Continue? [y/N]")
        assert server.handed_out == 0
        terminal.type(keys)
        assert terminal.end() == code, terminal.text
    finally:
        terminal.close()
    assert " ".join(terminal.text.split()).count(PRICE) == 1
    assert server.handed_out == (0 if code else 25)


def test_token_is_never_written(
    process: Process, server: XServer, environment: dict[str, str], here: Path
) -> None:
    server.instead = {3: as_json({}, 401)}
    said = []
    for arguments in (
        ("curate", "x:@gardener", "--yes"),
        ("--debug", "download", "x:@gardener", "--yes", "--out", "posts.csv"),
        ("--debug", "download", "x:@gardener", "--yes", "--out", "posts.jsonl"),
    ):
        outcome = process(*arguments, **environment)
        said.append(outcome.out + outcome.err)
    assert [len(server.asked), server.handed_out] == [6, 35]
    assert "rejects the token in HUGGINGTWEETS_X_TOKEN" in said[1]
    assert "Traceback" in said[1]
    written = contents(here)
    assert "downloads/x/gardener/posts.jsonl" in written
    assert Path("posts.jsonl").stat().st_size
    for held in [*written.values(), *(text.encode() for text in said)]:
        assert TOKEN.encode() not in held
        assert TOKEN.removesuffix("%3D").encode() not in held
