"""How fast an exported page writes in Chromium: loading, the first post, tokens a second.

    python benchmarks/web_page.py exports/me-web [--rounds 3] [--one-core]

The first round loads the model over HTTP; the others are warm, with it in the browser's cache. The
machine's load is printed, because a page on busy cores is slow.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.publish.page_server import PageServer
from huggingtweets.publish.web_page import ISOLATION

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

CHROMIUM = "/usr/bin/chromium"
_PATIENCE = 600_000  # ms


def write_posts(context: BrowserContext, address: str) -> tuple[float, str]:
    """Open the page and write ten posts.

    Returns:
        The seconds from the click to the first finished post, loading included, and the page's own
        summary, which counts from the first token on.
    """
    page = context.new_page()
    page.set_default_timeout(_PATIENCE)
    page.goto(address)
    page.fill("#prompt", "My dream is")
    page.wait_for_selector("#write:enabled")
    began = time.perf_counter()
    page.click("#write")
    page.wait_for_selector(".post.done")
    first = time.perf_counter() - began
    page.wait_for_selector("#write:visible")
    summary = page.inner_text("#status")
    page.close()
    return first, summary


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("page", type=Path, help="folder of `export --to web`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-core", action="store_true", help="without the headers for threads")
    arguments = parser.parse_args()
    if arguments.one_core:
        ISOLATION.clear()
    from playwright.sync_api import sync_playwright

    with PageServer(arguments.page) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context()
        print(f"Chromium {browser.version}, {os.cpu_count()} cores")
        for number in range(arguments.rounds):
            first, summary = write_posts(context, server.address)
            kind = "warm" if number else "cold"
            print(
                f"{kind}: first post after {first:.1f} s; {summary} Load {os.getloadavg()[0]:.1f}."
            )
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
