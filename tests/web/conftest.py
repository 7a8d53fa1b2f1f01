"""A server for one person with one bot, and a browser that can reach no other host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.app_process import PATIENCE, App, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradio_client import Client
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Route

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[App]:
    """A server without a password."""
    app = App(tmp_path_factory.mktemp("alone") / "runs", tiny_base)
    try:
        yield app.start()
    finally:
        app.stop()


@pytest.fixture(scope="session")
def client(app: App) -> Iterator[Client]:
    """An API client of the server."""
    from gradio_client import Client

    made = Client(app.address, verbose=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def nasa_bot(client: Client) -> str:
    """Name of a finished bot, trained on NASA's posts."""
    name: str = client.predict(sources=["sample"], name="space", epochs=1, api_name="/submit")
    until(lambda: _state(client, name) == "done")
    return name


def _state(client: Client, name: str) -> str:
    status = client.predict(name=name, api_name="/status")
    assert status["state"] not in ("failed", "stopped"), status
    return str(status["state"])


@pytest.fixture(scope="module")  # its event loop must not outlive the module
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
def other_hosts() -> list[str]:
    """Requests of a page to other hosts; checked by :func:`visit`."""
    return []


@pytest.fixture
def visit(chromium: Browser, other_hosts: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a page in a fresh browser. Requests to other hosts, dialogs and errors are failures."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def on_dialog(dialog: Dialog) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    def open_page(address: str, **options: Any) -> Page:  # noqa: ANN401 - of playwright
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.route(lambda url: not _is_here(url), lambda route: _refuse(route, other_hosts))
        page = context.new_page()
        page.on("dialog", on_dialog)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert other_hosts == []
    assert errors == []


def _is_here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))


def _refuse(route: Route, other_hosts: list[str]) -> None:
    other_hosts.append(route.request.url)
    route.abort()
