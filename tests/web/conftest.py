"""One server for one person, one bot on it, and a browser that can't reach anything else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.running import PATIENCE, App, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradio_client import Client
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Route

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[App]:
    """A server without a password."""
    app = App(tmp_path_factory.mktemp("alone") / "runs", tiny_base)
    try:
        yield app.start()
    finally:
        app.stop()


@pytest.fixture(scope="session")
def client(alone: App) -> Iterator[Client]:
    """A program that uses the server's endpoints."""
    from gradio_client import Client

    made = Client(alone.address, verbose=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def space(client: Client) -> str:
    """The name of a finished bot of NASA's posts."""
    name: str = client.predict(sources=["sample"], name="space", epochs=1, api_name="/submit")
    until(lambda: _state(client, name) == "done")
    return name


def _state(client: Client, name: str) -> str:
    status = client.predict(name=name, api_name="/status")
    assert status["state"] not in ("failed", "stopped"), status
    return str(status["state"])


@pytest.fixture(scope="module")  # while it is there a loop runs, and other tests want their own
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    if not CHROMIUM.is_file():
        pytest.skip(f"there is no {CHROMIUM} to open the pages in")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def elsewhere() -> list[str]:
    """Whatever a page asked other hosts for; checked by :func:`visit`."""
    return []


@pytest.fixture
def visit(chromium: Browser, elsewhere: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser of its own: no other host, no dialog, no fault of a script."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def asked(dialog: Dialog) -> None:
        faults.append(dialog.message)
        dialog.dismiss()

    def opened(address: str, **options: Any) -> Page:  # noqa: ANN401 - of playwright
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.route(lambda url: not _is_here(url), lambda route: _refuse(route, elsewhere))
        page = context.new_page()
        page.on("dialog", asked)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert faults == []


def _is_here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))


def _refuse(route: Route, elsewhere: list[str]) -> None:
    elsewhere.append(route.request.url)
    route.abort()
