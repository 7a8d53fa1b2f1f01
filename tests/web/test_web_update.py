"""Updating a bot from its page, and going back to an older version, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.helpers.posts import made_up_posts, write_csv
from tests.helpers.runs import untrained_run
from tests.web.app_process import PATIENCE, App
from tests.web.test_web_pages import AXE, PHONE, TOO_WIDE

from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

POSTS = made_up_posts(260)
pytestmark = pytest.mark.timeout(2_000)


@pytest.fixture(autouse=True)
def patient() -> None:
    expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture
def app(tmp_path: Path, tiny_base: Path) -> Iterator[App]:
    """A server with a bot of ann's first 200 posts, made from a file that isn't there any more."""
    source = write_csv(tmp_path / "ann.csv", "ann", POSTS[:200])
    out = tmp_path / "runs"
    untrained_run(source, tiny_base, out)
    source.unlink()
    app = App(out, tiny_base)
    try:
        yield app.start()
    finally:
        app.stop()


def start_update(page: Page) -> None:
    page.locator("#start-update").click()


def choose_file(page: Page, file: Path) -> None:
    page.locator("#newer input[type=file]").set_input_files(file)
    expect(page.locator("#whose")).to_be_visible()  # it has arrived


def test_update_and_go_back_on_the_bot_page(
    app: App, visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit(f"{app.address}/bot?name=ann", bypass_csp=True)
    page.locator("#about").get_by_role("link", name="Update").click()
    update = page.locator("#update")
    expect(update).to_contain_text("ann.csv isn’t kept here; add a newer export of the posts.")
    expect(page.locator("#versions-title")).to_have_count(0)
    start_update(page)
    expect(page.get_by_role("alert")).to_contain_text("ann.csv isn't kept here")

    choose_file(page, write_csv(tmp_path / "annie.csv", "annie", POSTS))
    start_update(page)
    page.wait_for_url("**/train?run=ann")
    expect(page.locator("h1.headline")).to_have_text("It learns what is new")
    expect(page.locator("#live-title")).to_have_text("Nothing was updated")
    expect(page.get_by_role("alert")).to_contain_text("has posts of annie")
    expect(page.locator("#resume")).to_be_hidden()
    page.get_by_role("link", name="Back to the bot").click()

    choose_file(page, write_csv(tmp_path / "annie.csv", "annie", POSTS))
    page.locator("#whose input").click()
    page.get_by_role("option", name="@ann").click()
    start_update(page)
    page.wait_for_url("**/train?run=ann")
    expect(page.locator("#live-title")).to_have_text("The update is done")
    expect(page.locator(".outcome")).to_have_text(
        re.compile(r"It learnt from 60 new posts and is better, .* so it is now version 2\.")
    )

    page.get_by_role("link", name="Open its page").click()
    rows = page.locator(".versions tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("in use")
    expect(rows.nth(0)).to_contain_text(re.compile(r"\d\.\d{3} → \d\.\d{3}"))
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert page.evaluate(TOO_WIDE) == []

    rows.nth(1).get_by_role("button", name="Go back to version 1").click()
    expect(rows.nth(1)).to_contain_text("in use")
    expect(rows.nth(0).get_by_role("button", name="Go back to version 2")).to_be_visible()
    assert RunFolder(app.out / "ann").record().version == 1
