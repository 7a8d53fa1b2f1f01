"""``huggingtweets publish`` on the command line, with a local Hub server."""

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
    # bots of the tiny base may copy more than allowed
    monkeypatch.setattr(hubs, "COPIES_ALLOWED", 1.0)
    with HubServer({TOKEN: "me"}) as server:
        server.use(monkeypatch, tmp_path / "hf", TOKEN)
        yield server


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Simulate a user's answer at the terminal; return the questions."""

    def answering(answer: str) -> list[str]:
        asked: list[str] = []

        def take(_console: Console, question: object) -> str:
            asked.append(str(question))
            return answer

        monkeypatch.setattr(ConsoleOutput, "can_ask", property(lambda _screen: True))
        monkeypatch.setattr(Console, "input", take)
        return asked

    return answering


def test_publish_without_terminal(cli: CommandLine, finished: Path, hub: HubServer) -> None:
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
    assert f"Already up to date: {hub.url}/me/gardener\n" in again.out
    assert len(repo.commits) == 2


def test_json_has_the_url(cli: CommandLine, finished: Path, hub: HubServer) -> None:
    asked = ("publish", finished, "--author-agreed", "--public", "--repo", "a-bot", "--json")
    told = json.loads(cli(*asked).out)
    assert (told["repo"], told["public"], told["changed"]) == ("me/a-bot", True, True)
    assert told["url"] == f"{hub.url}/me/a-bot"
    assert told["commit"] == hub.repos["models", "me/a-bot"].refs["main"]
    assert {"README.md", "model.safetensors"} < set(told["files"])
    again = json.loads(cli(*asked).out)
    assert again == told | {"changed": False, "files": []}


def test_no_request_without_consent(cli: CommandLine, finished: Path, hub: HubServer) -> None:
    assert cli("publish", finished).refused("@gardener", "--author-agreed")
    assert not hub.asked


@pytest.mark.parametrize(("answer", "published"), [("y", True), ("", False), ("n", False)])
def test_consent_is_asked_once(
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


def test_hub_error_is_one_sentence(cli: CommandLine, finished: Path, hub: HubServer) -> None:
    hub.fail("PUT /lfs", Reply(fault="cut"))
    outcome = cli("publish", finished, "--author-agreed")
    assert outcome.code == 1
    assert re.fullmatch("huggingtweets: .*: run the same command again; .*\n", outcome.err)
    hub.heal()
    assert cli("publish", finished, "--author-agreed").code == 0


def test_ctrl_c_prints_how_to_continue(
    cli: CommandLine, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_planned: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hubs, "execute", stopped)
    outcome = cli("publish", finished, "--author-agreed")
    assert outcome.code == 130
    assert "Run the same command" in outcome.err


def test_copying_bot_needs_a_reason(
    cli: CommandLine, finished: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "COPIES_ALLOWED", -1.0)
    assert cli("publish", finished, "--author-agreed").refused("copies", "--force REASON")
    assert not hub.asked
    forced = cli("publish", finished, "--author-agreed", "--force", "it is a *test*")
    assert forced.code == 0, forced.err
    assert r"it is a \*test\*" in (finished / "bot" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("bot", ["nothing", "runs/me/bot/config.json", "alone"])
def test_bot_folder_without_run_is_refused(cli: CommandLine, finished: Path, bot: str) -> None:
    (finished / "bot").rename("alone")
    assert cli("publish", bot, "--author-agreed").refused(bot, "is not a run folder")


def test_update_thumbnail(cli: CommandLine, finished: Path, hub: HubServer) -> None:
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
