"""Publishing a bot from its page, and another visitor's view of a shared gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from playwright.sync_api import expect
from tests.helpers.posts import made_up_posts
from tests.helpers.runs import finished_run
from tests.servers.hub import HubServer
from tests.web.app_process import PATIENCE, App

from huggingtweets.publish import write_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

expect.set_options(timeout=120_000)
PASSWORD = "open, sesame"  # noqa: S105
TOKEN = "hf_secret"  # noqa: S105 - opens nothing
pytestmark = pytest.mark.timeout(2_000)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with an account ``me``. Servers use it and have no token of their own."""
    with HubServer({TOKEN: "me"}) as server:
        for name, value in server.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def start(tmp_path: Path, tiny_base: Path) -> Iterator[Callable[..., App]]:
    """Start a server whose owner has a bot called nasa."""
    run = finished_run(tmp_path / "runs" / "nasa", tiny_base)
    texts = made_up_posts(20)
    table = pl.DataFrame({"author": "NASA", "text": texts, "split": "train", "lang": "en"})
    table.write_parquet(run.path / "data" / "kept.parquet")
    write_card(run)
    running: list[App] = []

    def start_app(*more: str) -> App:
        running.append(App(tmp_path / "runs", tiny_base, more))
        return running[-1].start()

    yield start_app
    for app in running:
        app.stop()


def test_publish_from_the_bot_page(
    hub: HubServer, start: Callable[..., App], visit: Callable[..., Page]
) -> None:
    app = start()
    page = visit(f"{app.address}/bot?name=nasa")
    page.get_by_role("button", name="Publish on the Hugging Face Hub").click()
    page.get_by_label("Repository").fill("me/nasa-bot")
    page.get_by_label("Your access token").fill(TOKEN)
    page.locator("#publish").click()
    expect(page.get_by_role("alert")).to_contain_text("Confirm that you are the author")
    assert not hub.repos

    page.get_by_label("Your access token").fill(TOKEN)
    page.get_by_label("I am the author").check()
    page.locator("#publish").click()
    expect(page.locator("#note")).to_contain_text(f"Published at {hub.url}/me/nasa-bot")
    expect(page.get_by_label("Your access token")).to_have_value("")
    repo = hub.repos["models", "me/nasa-bot"]
    assert repo.readers == frozenset({"me"})  # private
    files = repo.commits[repo.refs["main"]]
    assert {"README.md", "config.json", "model.safetensors"} <= set(files)
    assert not [name for name in files if name.endswith((".parquet", ".csv", ".jsonl"))]
    kept = [path.read_bytes() for path in app.out.rglob("*") if path.is_file()]
    assert not [one for one in kept if TOKEN.encode() in one]
    assert TOKEN not in app.log()


def test_shared_gallery_generates_posts_and_hides_real_ones(
    start: Callable[..., App], visit: Callable[..., Page]
) -> None:
    app = start(PASSWORD, "share")
    page = visit(f"{app.address}/login?next=/gallery")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    bot = page.locator(".bot-card")
    expect(bot).to_have_count(1, timeout=PATIENCE * 1000)
    expect(bot).to_contain_text("shared")
    expect(bot.get_by_role("link", name="Quiz")).to_have_count(0)
    bot.get_by_role("link").first.click()
    expect(page.locator("#likeness-title")).to_be_visible()
    for name in ("Download", "Full report", "Real or bot?"):
        expect(page.locator("#about").get_by_role("link", name=name)).to_have_count(0)
    expect(page.locator("#delete")).to_have_count(0)
    expect(page.locator("#publish")).to_have_count(0)

    page.locator("#about").get_by_role("link", name="Play").click()
    page.locator("#prompt").get_by_role("textbox").fill("My dream is")
    page.locator("#write").click()
    expect(page.locator("[data-say$='posts written.']")).to_have_count(1)
    assert page.locator(".post-text").first.inner_text().startswith("My dream is")
    page.locator(".novelty summary").first.click()
    expect(page.get_by_text("Only the owner of this bot can see real posts").first).to_be_visible()
    expect(page.locator(".novelty blockquote")).to_have_count(0)
    expect(page.get_by_role("button", name="Favourite")).to_have_count(0)
