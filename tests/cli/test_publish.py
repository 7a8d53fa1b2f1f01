"""``huggingtweets publish`` as its users meet it, with a Hub on this machine."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from tests.servers.hub import HubServer
from tests.servers.local import Reply

from huggingtweets.cli.console import ConsoleOutput
from huggingtweets.publish import hub as hubs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.program import CommandLine

TOKEN = "hf_secret"  # noqa: S105 - opens nothing
NAME = ("models", "me/gardener")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    # bots of the tests' tiny base may copy more than is let through
    monkeypatch.setattr(hubs, "COPIES_ALLOWED", 1.0)
    with HubServer({TOKEN: "me"}) as server:
        server.use(monkeypatch, tmp_path / "hf", TOKEN)
        yield server


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Have a person at the terminal give an answer; returns what was asked."""

    def answering(answer: str) -> list[str]:
        asked: list[str] = []

        def take(_console: Console, question: object) -> str:
            asked.append(str(question))
            return answer

        monkeypatch.setattr(ConsoleOutput, "can_ask", property(lambda _screen: True))
        monkeypatch.setattr(Console, "input", take)
        return asked

    return answering


def test_a_bot_is_published_by_a_script(cli: CommandLine, finished: Path, hub: HubServer) -> None:
    outcome = cli("publish", finished, "--author-agreed")
    assert outcome.code == 0, outcome.err
    repo = hub.repos[NAME]
    files = repo.commits[repo.refs["main"]]
    for name in set(files) - {".gitattributes"}:
        size = len(files[name])
        assert re.search(rf" {size:,} bytes +{re.escape(name)}\n", outcome.out), name
    assert "New repository me/gardener (private, only you can see it)" in outcome.out
    assert "Not uploaded: all posts" in outcome.out
    assert f"Published: {hub.url}/me/gardener\n" in outcome.out
    assert 'generator = pipeline("text-generation", model="me/gardener")' in outcome.out
    assert TOKEN not in outcome.out + outcome.err
    again = cli("publish", finished, "--author-agreed")
    assert again.code == 0
    assert f"Nothing to do, all of it is there: {hub.url}/me/gardener\n" in again.out
    assert len(repo.commits) == 2


def test_json_tells_where_it_is(cli: CommandLine, finished: Path, hub: HubServer) -> None:
    asked = ("publish", finished, "--author-agreed", "--public", "--repo", "a-bot", "--json")
    told = json.loads(cli(*asked).out)
    assert (told["repo"], told["public"], told["changed"]) == ("me/a-bot", True, True)
    assert told["url"] == f"{hub.url}/me/a-bot"
    assert told["commit"] == hub.repos["models", "me/a-bot"].refs["main"]
    assert {"README.md", "model.safetensors"} < set(told["files"])
    again = json.loads(cli(*asked).out)
    assert again == told | {"changed": False, "files": []}


def test_without_consent_nothing_is_asked_of_the_hub(
    cli: CommandLine, finished: Path, hub: HubServer
) -> None:
    assert cli("publish", finished).refused("@gardener", "--author-agreed")
    assert not hub.asked


@pytest.mark.parametrize(("answer", "published"), [("y", True), ("", False), ("n", False)])
def test_a_person_is_asked_once(
    cli: CommandLine,
    finished: Path,
    hub: HubServer,
    somebody: Callable[[str], list[str]],
    *,
    answer: str,
    published: bool,
) -> None:
    asked = somebody(answer)
    outcome = cli("publish", finished)
    assert len(asked) == 1
    assert asked[0].startswith("Did @gardener agree, or is it you?")
    assert asked[0].endswith("[y/N] ")
    assert "bytes  model.safetensors" in outcome.out
    assert (NAME in hub.repos) == published
    assert outcome.code == 0 if published else outcome.refused("Nothing was uploaded")


def test_a_fault_of_the_hub_is_one_sentence(
    cli: CommandLine, finished: Path, hub: HubServer
) -> None:
    hub.fail("PUT /lfs", Reply(fault="cut"))
    outcome = cli("publish", finished, "--author-agreed")
    assert outcome.code == 1
    assert re.fullmatch("huggingtweets: .* run the same command once more.\n", outcome.err)
    hub.heal()
    assert cli("publish", finished, "--author-agreed").code == 0


def test_ctrl_c_says_how_to_go_on(
    cli: CommandLine, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_planned: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hubs, "execute", stopped)
    outcome = cli("publish", finished, "--author-agreed")
    assert outcome.code == 130
    assert "the same command goes on" in outcome.err


def test_a_bot_that_copies_needs_a_reason(
    cli: CommandLine, finished: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "COPIES_ALLOWED", -1.0)
    assert cli("publish", finished, "--author-agreed").refused("copies", "--force REASON")
    assert not hub.asked
    forced = cli("publish", finished, "--author-agreed", "--force", "it is a *test*")
    assert forced.code == 0, forced.err
    assert r"it is a \*test\*" in (finished / "bot" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("bot", ["nothing", "runs/me/bot/config.json", "alone"])
def test_what_is_no_run_is_told(cli: CommandLine, finished: Path, bot: str) -> None:
    (finished / "bot").rename("alone")
    assert cli("publish", bot, "--author-agreed").refused(bot, "is not a run folder")


def test_the_thumbnail_can_be_another_post(
    cli: CommandLine, finished: Path, hub: HubServer
) -> None:
    asked = ("publish", finished, "--author-agreed")
    assert cli(*asked, "--update-thumbnail", "2").refused("is not published yet")
    assert cli(*asked).code == 0
    repo = hub.repos[NAME]
    before = repo.commits[repo.refs["main"]]
    assert cli(*asked, "--update-thumbnail", "0").refused("must be at least 1")
    outcome = cli(*asked, "--update-thumbnail", "2")
    assert outcome.code == 0, outcome.err
    after = repo.commits[repo.refs["main"]]
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"predictions.png"}
    assert after["predictions.png"] == (finished / "bot" / "predictions.png").read_bytes()
