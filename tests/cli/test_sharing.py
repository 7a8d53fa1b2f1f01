"""``huggingtweets picture`` and ``share`` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.cli.program import CommandLine

NETWORKS = ("X", "Bluesky", "Mastodon")


def test_training_writes_a_picture(cli: CommandLine, finished: Path) -> None:
    picture = finished / "bot" / "predictions.png"
    with Image.open(picture) as image:
        assert image.size == (1200, 630)
    before = picture.read_bytes()
    outcome = cli("picture", finished)
    assert outcome.code == 0, outcome.err
    assert f"The picture is in {picture}" in outcome.out
    assert picture.read_bytes() == before  # the same seed, the same post


def test_picture_options(cli: CommandLine, finished: Path) -> None:
    before = (finished / "bot" / "predictions.png").read_bytes()
    Image.new("RGB", (9, 9), "red").save("me.png")
    outcome = cli(
        *("picture", finished, "--prompt", "The rose", "--pick", "2"),
        *("--avatar", "me.png", "--out", "new/rose.PNG"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("The rose")
    with Image.open("new/rose.PNG") as image:
        assert image.convert("RGB").getpixel((110, 94)) == (255, 0, 0)
    shown = cli("picture", finished, "--post", "[red]hello[/] \x1b", "--out", "own.png", "--json")
    assert json.loads(shown.out) == {
        "post": "[red]hello[/] \x1b",
        "prompt": "",
        "picture": "own.png",
    }
    assert Path("own.png").read_bytes() != before
    assert (finished / "bot" / "predictions.png").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--post", "a", "--pick", "1"], ["--post TEXT", "--pick N"]),
        (["--pick", "0"], ["--pick must be from 1 to 1,000"]),
        (["--out", "me.jpg"], [".png", "me.jpg"]),
        (["--avatar", "nobody.png"], ["nobody.png can't be used"]),
        (["--avatar", "me.txt"], ["me.txt is not a PNG"]),
        (["--post", "a", *["--avatar", "me.png"] * 4], ["at most 3 avatars"]),
    ],
)
def test_invalid_picture_options_are_refused(
    cli: CommandLine, finished: Path, options: list[str], words: list[str]
) -> None:
    Path("me.txt").write_text("me")
    before = (finished / "bot" / "predictions.png").read_bytes()
    assert cli("picture", finished, *options).refused(*words)
    assert (finished / "bot" / "predictions.png").read_bytes() == before


@pytest.mark.parametrize("command", ["picture", "share"])
def test_bot_without_run_is_refused(cli: CommandLine, finished: Path, command: str) -> None:
    shutil.copytree(finished / "bot", "alone")
    assert cli(command, "alone").refused("alone is not a run folder")
    assert cli(command, "nowhere").refused("nowhere is not a run folder")


@pytest.mark.parametrize("command", ["picture", "share"])
def test_unfinished_run_is_refused(cli: CommandLine, halfway: Path, command: str) -> None:
    assert cli(command, halfway).refused("no bot yet", "train --resume runs/halfway")


def test_share_prints_links(cli: CommandLine, finished: Path) -> None:
    outcome = cli("share", finished)
    assert outcome.code == 0, outcome.err
    lines = [line.strip() for line in outcome.out.splitlines()]
    assert outcome.out.startswith("My dream is")
    for network, host in zip(NETWORKS, ("x.com", "bsky.app", "mastodon.social"), strict=True):
        url = lines[lines.index(network) + 1]
        assert urlsplit(url).hostname == host
        assert "from my AI bot of @gardener" in parse_qs(urlsplit(url).query)["text"][0]
    assert cli("share", finished).out == outcome.out
    assert cli("share", finished, "--pick", "2").out != outcome.out


def test_share_as_json(cli: CommandLine, finished: Path) -> None:
    outcome = cli(
        *("share", finished, "--json", "--post", "Thanks @NASA 🚀 https://t.co/x"),
        *("--link", "https://example.org/bot", "--instance", "chaos.social"),
    )
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["post"] == "Thanks @NASA 🚀 https://t.co/x"
    assert tuple(draft["network"] for draft in told["drafts"]) == NETWORKS
    for draft in told["drafts"]:
        assert draft["text"] == (
            "Thanks NASA 🚀 [link]\n\n— from my AI bot of @gardener\nhttps://example.org/bot"
        )
        assert parse_qs(urlsplit(draft["url"]).query)["text"] == [draft["text"]]
    assert told["drafts"][2]["url"].startswith("https://chaos.social/share?text=")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--instance", "mastodon"], "--instance"),
        (["--link", "example.org"], "--link"),
        (["--link", "https://example.org/" + "x" * 200], "220 characters"),
        (["--post", " "], "The post is empty"),
        (["--pick", "-1"], "--pick"),
        (["--post", "a", "--pick", "1"], "--post TEXT"),
    ],
)
def test_invalid_share_options_are_refused(
    cli: CommandLine, finished: Path, options: list[str], word: str
) -> None:
    assert cli("share", finished, *options).refused(word)
