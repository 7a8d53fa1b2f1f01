"""The pages in a browser: the whole path from source to quiz, layout, accessibility, keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from playwright.sync_api import expect
from tests.helpers.posts import made_up_posts, write_csv
from tests.web.app_process import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradio_client import Client
    from playwright.sync_api import Page
    from tests.web.app_process import App

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
KEPT = re.compile(r"2,39\d|2,40\d")  # of NASA's posts; tests of curation have the exact number
PHONE = {"width": 390, "height": 844}
pytestmark = pytest.mark.timeout(2_000)  # bots are trained, maybe on a busy machine
PAGES = {  # and an element that is visible when the page has loaded
    "": "#sample",
    "train?run=space": "[data-live='done']",
    "play?bot=space": ".bots",
    "quiz?bot=space": ".bots",
    "blend": ".bots",
    "explore?bot=space": "#explore",
    "gallery": ".gallery",
    "fleets": ".lead",
    "bot?name=space": "#likeness-title",
}


@pytest.fixture(autouse=True)
def patient() -> None:
    expect.set_options(timeout=PATIENCE * 1000)


def train_bot(page: Page) -> str:
    """Train on the previewed posts, wait, and return the bot's name."""
    page.locator("#make").click()
    page.wait_for_url("**/train?run=*")
    expect(page.locator("[data-live='done']")).to_be_visible()
    return page.url.split("run=")[1]


def write_posts(page: Page, count: int = 10) -> None:
    page.locator("#write").click()
    expect(page.locator(f"[data-say='{count} posts written.']").first).to_be_visible()


def test_sample_to_quiz_in_the_browser(app: App, visit: Callable[..., Page]) -> None:
    page = visit(app.address, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#sample").click()
    found = page.locator(".found")
    expect(found.locator(".counts .main dd")).to_have_text(KEPT)
    assert found.locator(".examples li").count() == 10
    assert "770 retweets" in found.inner_text()
    name = train_bot(page)
    live = page.locator("#live")
    expect(live.locator("svg polyline.train")).to_have_count(1)
    assert live.locator("svg circle.held").count() >= 2
    assert live.locator(".sample").count() >= 2

    page.get_by_role("link", name="Play with this bot").click()
    page.wait_for_url(f"**/play?bot={name}")
    page.locator("#prompt").get_by_role("textbox").fill("My dream is")
    write_posts(page)
    cards = page.locator(".post")
    assert cards.count() == 10
    first = cards.first
    assert "AI bot of @NASA" in " ".join(first.inner_text().split())
    assert first.locator(".post-text").inner_text().startswith("My dream is")
    first.get_by_role("button", name="Favourite").click()
    expect(first.locator("[data-do=favourite]")).to_have_attribute("aria-pressed", "true")
    first.get_by_role("button", name="Copy").click()
    expect(first.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("My dream is")
    first.locator(".share summary").click()
    networks = first.locator(".share a").evaluate_all("all => all.map(a => new URL(a.href).host)")
    assert networks == ["x.com", "bsky.app", "mastodon.social"]
    badge = page.locator(".novelty:has(blockquote)").first
    expect(badge.locator("blockquote")).to_be_hidden()
    badge.locator("summary").click()
    expect(badge.locator("blockquote")).to_be_visible()
    # render the cards again, as when another post arrives
    page.locator(".posts").evaluate(
        "all => (all.outerHTML = all.outerHTML.replace(' open=\"\"', ''))"
    )
    expect(badge.locator("blockquote")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="I like…").click()
    expect(page.locator("#prompt").get_by_role("textbox")).to_have_value("I like")
    with page.expect_download() as saved:
        first.get_by_role("button", name="Save picture").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    first.get_by_role("button", name="Set as picture").click()
    expect(first.get_by_role("button", name="Picture set")).to_be_visible()

    page.goto(f"{app.address}/quiz?bot={name}")
    page.locator("#start").click()
    for number in range(1, 11):
        expect(page.locator("#question-title")).to_have_text(f"Question {number} of 10")
        page.locator("#real").click()
    expect(page.locator("#score-title")).to_have_text("5 of 10 right")
    page.get_by_role("link", name="the bot’s likeness report").click()
    row = page.get_by_role("row", name="taken for real")
    expect(row).to_contain_text("100 %")
    expect(page.locator(".bot-picture").first).to_be_visible()
    expect(page.locator("#about svg polyline.train")).to_have_count(1)
    page.get_by_text("Read the bot’s card").click()
    for picture in page.locator(".card-text img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).not_to_have_js_property("naturalWidth", 0)
    assert "<div" not in page.locator(".card-text").inner_text()
    assert "My dream is" in page.locator("section", has_text="Favourites").inner_text()


def test_unreadable_sources_and_missing_runs_are_reported(
    app: App, visit: Callable[..., Page]
) -> None:
    page = visit(app.address)
    page.locator("#source textarea").fill("/etc/passwd")
    page.locator("#source .submit-button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert "root:" not in page.content()
    page.goto(f"{app.address}/run/nobody")
    expect(page.get_by_role("alert")).to_contain_text("nobody")
    page.goto(f"{app.address}/nowhere")
    expect(page.get_by_role("heading")).to_have_text("There is nothing here")


def test_the_page_asks_for_network_and_column_and_says_how_much_text_is_missing(
    app: App, visit: Callable[..., Page], tmp_path: Path
) -> None:
    little, odd = tmp_path / "little.txt", tmp_path / "odd.csv"
    little.write_text("one small post about gardens\nanother one about roses\n")
    pl.DataFrame({"nr": range(200), "words": made_up_posts(200)}).write_csv(odd)
    page = visit(app.address)
    page.locator("#source textarea").fill("@name")
    page.locator("#source .submit-button").click()
    expect(page.locator("#network")).to_contain_text("Bluesky: name.bsky.social")
    page.locator("#source textarea").fill("")
    page.locator("#source input[type=file]").set_input_files(little)
    expect(page.locator(".found .warning")).to_contain_text("are missing")
    expect(page.locator("#make")).to_be_disabled()
    assert "@" not in page.locator(".found .who").inner_text()  # a file's name is no handle
    page.locator("#again").click()
    expect(page.locator("#again")).to_be_hidden()
    page.locator("#source input[type=file]").set_input_files(odd)
    page.locator("#column input").click()
    page.get_by_role("option", name="words").click()
    expect(page.locator("#found-title")).to_be_visible()
    expect(page.locator("#make")).to_be_enabled()


HOSTILE = (
    "<script>window.hacked = 1</script> a script in a post",
    "<img src=x onerror=\"window.hacked = 1; alert('x')\"> a picture that isn't there",
    "![a picture](https://evil.example/a.png) in Markdown, from another host",
    "[click me](javascript:window.hacked=1) is a link to a script",
    "<a href='javascript:alert(1)'>a link</a> <iframe src=https://evil.example></iframe>",
    "\x1b[31mred\x1b[0m for a terminal, \x1b]8;;https://evil.example\x07and a link",
    "\u202eright to left from here \u2066on and on",
    "W" * 400 + " is a very long word",
    "{{ 7 * 7 }} ${window.hacked = 1} {% raw %} {{#if}} `${1}` <%= 1 %> braces of templates",
    "'; DROP TABLE posts; -- \" ' onmouseover=alert(1) x=\" quotes that are left open",
    "</p></section></script><style>* { display: none }</style> closing what isn't open",
)


def test_hostile_posts_are_escaped_on_all_pages(
    app: App, visit: Callable[..., Page], tmp_path: Path
) -> None:
    posts = [f"{HOSTILE[i % len(HOSTILE)]} {text}" for i, text in enumerate(made_up_posts(220))]
    file = tmp_path / "<img src=x onerror=alert(1)>.csv"
    pl.DataFrame({"author": "<b>mallory</b>", "text": posts}).write_csv(file)
    page = visit(app.address)
    page.add_init_script(  # a script that runs opens a dialog, which visit() reports
        "Object.defineProperty(window, 'hacked', {set() { alert('hacked'); }})"
    )
    page.reload()
    page.locator("#source input[type=file]").set_input_files(file)  # read when it has arrived
    expect(page.locator("#found-title")).to_be_visible()
    shown = page.locator(".found").inner_text()
    assert "window.hacked" in shown or "<img src=x" in shown
    name = train_bot(page)
    page.goto(f"{app.address}/play?bot={name}")
    page.locator("#prompt").get_by_role("textbox").fill("<img src=x onerror=alert(1)> ${7*7} {{x}}")
    write_posts(page)
    assert (
        "<img src=x onerror=alert(1)> ${7*7} {{x}}" in page.locator(".post-text").first.inner_text()
    )
    page.goto(f"{app.address}/quiz?bot={name}")
    page.locator("#start").click()
    for number in range(1, 11):
        expect(page.locator("#question-title")).to_have_text(f"Question {number} of 10")
        page.locator("#bot").click()
    expect(page.locator("#score-title")).to_be_visible()
    assert "\u202e" not in page.locator("body").inner_text()
    for address in (f"bot?name={name}", "gallery", f"report/{name}"):
        page.goto(f"{app.address}/{address}")
        expect(page.get_by_text("mallory").first).to_be_visible()
        assert page.locator("iframe").count() == 0


def test_page_can_be_closed_and_opened_during_training(
    app: App, visit: Callable[..., Page], client: Client
) -> None:
    name = client.predict(sources=["sample"], name="long", epochs=900, api_name="/submit")
    page = visit(f"{app.address}/run/{name}")
    expect(page.locator("[data-live='training']")).to_be_visible()
    page.close()
    again = visit(f"{app.address}/run/{name}")
    expect(again.locator("[data-live='training']")).to_be_visible()
    again.locator("#stop").click()
    expect(again.locator("[data-live='stopped']")).to_be_visible()
    again.locator("#resume").click()
    expect(again.locator("[data-live='training']")).to_be_visible()
    again.goto(f"{app.address}/gallery")
    expect(again.locator("#under-way-title")).to_be_visible()
    _delete(again, app, name)


def _delete(page: Page, app: App, name: str) -> None:
    page.goto(f"{app.address}/bot?name={name}")
    page.get_by_role("button", name="Delete", exact=False).first.click()
    page.locator("#delete").click()
    expect(page.get_by_role("alert")).to_contain_text("Tick the box above the button first")
    assert (app.out / name).exists()
    page.locator("#sure input").check()
    page.locator("#delete").click()
    page.wait_for_url("**/gallery")
    until(lambda: not (app.out / name).exists())


def test_blend_shows_posts_of_two_bots(
    app: App, visit: Callable[..., Page], nasa_bot: str, client: Client, tmp_path: Path
) -> None:
    from gradio_client import handle_file

    file = write_csv(tmp_path / "gardener.csv", "gardener", made_up_posts(200))
    kept = client.predict(file=handle_file(str(file)), api_name="/upload")
    other = client.predict(sources=[kept], api_name="/submit")
    until(lambda: client.predict(name=other, api_name="/status")["state"] == "done")
    page = visit(f"{app.address}/blend?bot={nasa_bot}&with={other}")
    page.locator("#prompt").get_by_role("textbox").fill("The moon")
    write_posts(page, 5)
    expect(page.locator("[data-say='5 posts written.']")).to_have_count(2)
    for side, author in (("#left", "@NASA"), ("#right", "@gardener")):
        texts = page.locator(f"{side} .post-text").all_inner_texts()
        assert len(texts) == 5
        assert all(text.startswith("The moon") for text in texts)
        assert author in page.locator(f"{side} .by").first.inner_text()
    assert page.locator("#mixed .post-text").count() == 0
    page.locator("#share input[type=range]").press("ArrowRight")
    expect(page.locator("#mixed [data-say='5 posts written.']")).to_be_visible()


def when_shown(page: Page, path: str = "") -> Page:
    """The page, once it has loaded."""
    expect(page.locator("h1.headline")).to_be_visible()
    expect(page.locator(PAGES[path]).first).to_be_visible()
    return page


TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  for (let at = one; at; at = at.parentElement) {
    if (at !== one && ['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return false;
  }
  const shown = getComputedStyle(one).visibility != 'hidden';
  return shown && box.width > 1 && box.right > innerWidth + 1;
}).map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_on_a_phone(
    app: App, nasa_bot: str, visit: Callable[..., Page], path: str
) -> None:
    assert nasa_bot
    page = when_shown(visit(f"{app.address}/{path}", viewport=PHONE), path)
    if path.startswith("play"):
        write_posts(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_have_no_serious_accessibility_issues(
    app: App, nasa_bot: str, visit: Callable[..., Page], path: str, scheme: str
) -> None:
    assert nasa_bot
    options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    page = when_shown(visit(f"{app.address}/{path}", bypass_csp=True, **options), path)
    if path == "":
        page.locator("#sample").click()
        expect(page.locator("#found-title")).to_be_visible()
        page.get_by_role("button", name="More").click()
    elif path.startswith("play"):
        write_posts(page)
        page.locator(".novelty summary").nth(1).click()
        page.locator(".share summary").first.click()
    elif path.startswith("quiz"):
        page.locator("#start").click()
        expect(page.locator("#question-title")).to_be_visible()
    elif path.startswith("bot"):
        page.locator("summary").last.click()
        for name in ("Publish on", "Delete"):
            page.get_by_role("button", name=re.compile(name)).first.click()
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [n["html"][:200] for n in one["nodes"]]) for one in bad] == []


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def test_keyboard_alone_leads_from_sample_to_posts(app: App, visit: Callable[..., Page]) -> None:
    page = when_shown(visit(app.address))
    expect(page.locator("#sample")).to_be_visible()
    tab_to(page, "#sample")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#found-title")).to_be_visible()
    tab_to(page, "#make")
    page.keyboard.press("Enter")
    page.wait_for_url("**/train?run=*")
    expect(page.locator("[data-live='done']")).to_be_visible()
    tab_to(page, "a[href^='/play?bot=']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/play?bot=*")
    expect(page.locator(".bots")).to_be_visible()
    tab_to(page, "#prompt :is(input, textarea)")
    page.keyboard.type("We")
    page.keyboard.press("Enter")
    expect(page.locator("[data-say='10 posts written.']")).to_be_visible()
    tab_to(page, ".novelty summary")
    page.keyboard.press("Enter")
    assert page.locator(".novelty[open]").count() == 1


def test_programs_can_use_the_api(client: Client, nasa_bot: str) -> None:
    found = client.predict(sources=["sample"], api_name="/inspect")
    assert KEPT.fullmatch(f"{found['counts']['kept']:,}")
    posts = client.predict(name=nasa_bot, prompt="My dream is", n=3, seed=7, api_name="/write")
    assert len(posts) == 3
    assert all(post["text"].startswith("My dream is") for post in posts)
    assert nasa_bot in [bot["name"] for bot in client.predict(api_name="/gallery")]
    with pytest.raises(Exception, match="nobody"):
        client.predict(name="nobody", api_name="/status")
