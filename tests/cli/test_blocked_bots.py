"""Bots that exist already are blocked when their author opts out or deletes posts."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents

from huggingtweets.privacy import opt_out
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import CommandLine

BLOCKED = "asked not to be imitated (see the opt-out list"


@pytest.fixture(autouse=True)
def own_configuration(config: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not config.exists()
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(here / "downloads"))


@pytest.mark.parametrize(
    "args",
    [
        ("generate", "runs/me", "-n", "1"),
        ("generate", "runs/me/bot", "-n", "1"),
        ("share", "runs/me"),
        ("share", "runs/me", "--post", "hello"),
        ("picture", "runs/me"),
        ("picture", "runs/me", "--post", "hello", "--out", "own.png"),
        ("evaluate", "runs/me"),
        ("publish", "runs/me", "--author-agreed"),
        ("train", "--resume", "runs/me"),
        ("compare", "runs/me", "runs/me"),
    ],
    ids=" ".join,
)
def test_an_opted_out_authors_bot_does_nothing(
    cli: CommandLine, finished: Path, here: Path, args: tuple[str, ...]
) -> None:
    opt_out.add(["@Gardener"])
    before = contents(here)
    assert cli(*args).refused("@gardener " + BLOCKED, "so this bot is not used.")
    assert contents(here) == before
    assert cli("show", finished).code == 0  # it can still be seen, and deleted


def test_a_bot_folder_without_its_run_is_blocked(cli: CommandLine, finished: Path) -> None:
    shutil.copytree(finished / "bot", "copy")
    assert cli("generate", "copy", "-n", "1").code == 0
    opt_out.add(["@gardener"])
    assert cli("generate", "copy", "-n", "1").refused("@gardener " + BLOCKED)


@pytest.mark.parametrize(
    "account",
    [
        *("bsky:ann.example", "https://bsky.app/profile/ann.example", "mastodon:@ann@a.example"),
        *("https://a.example/@ann", "x:@Ann", "https://x.com/ann"),
    ],
)
def test_a_renamed_authors_bot_is_blocked_by_its_account(
    cli: CommandLine, finished: Path, account: str
) -> None:
    record = RunFolder(finished).record()
    record.config["sources"] = [account]
    RunFolder(finished).save(record)
    opt_out.add(["@profile", "@bob"])
    assert cli("generate", finished, "-n", "1").code == 0
    opt_out.add(["ann.example", "@ann@a.example", "x:ann"])
    assert cli("generate", finished, "-n", "1").refused(BLOCKED)


def test_an_out_of_date_bot_is_not_passed_on(cli: CommandLine, finished: Path) -> None:
    assert cli("forget", "@gardener 3").code == 0
    for args in (("share",), ("share", "--post", "hello"), ("publish", "--author-agreed")):
        refused = cli(args[0], finished, *args[1:])
        assert refused.refused("The bot me is out of date: 1 post was deleted", "train it again")
    assert json.loads(cli("show", finished, "--json").out)["forgotten"] == 1
