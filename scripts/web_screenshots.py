"""Pictures of every step of the web app, from the real app: docs/web/*.png.

.. code-block:: sh

    .venv/bin/python scripts/web_screenshots.py runs/demo [ANOTHER_RUN...]

The runs are copied into a folder of their own; a new bot of the sample is begun for the picture of
the training. ``--axe`` writes docs/web/axe.json instead: what axe-core finds on each page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import sync_playwright

from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "web"
AXE = ROOT / "tests" / "web" / "vendor" / "axe.min.js"
VIEWS = {"light": ("light", 960, 1000), "dark": ("dark", 960, 1000), "phone": ("light", 390, 844)}
PATIENCE = 600_000  # ms
PROMPT = "My dream is"
LEARNING = "learning"
POSTS = 1000


def train(page: Page, address: str) -> None:
    """The page of the bot that learns."""
    page.goto(f"{address}/run/{LEARNING}")
    page.wait_for_function("document.querySelectorAll('circle.held').length > 1")


def steps(page: Page, address: str, names: list[str]) -> Iterator[str]:
    """Go through the app; gives a step's name each time its page is ready."""
    first, second = names[0], names[-1]
    page.goto(address)
    page.locator("#sample").click()
    page.wait_for_selector("#found-title")
    yield "choose"
    page.goto(f"{address}/play?bot={first}")
    page.locator("#prompt").get_by_role("textbox").fill(PROMPT)
    page.locator("#write").click()
    page.wait_for_selector("[data-say='10 posts written.']")
    page.locator(".novelty:has(blockquote) summary").first.click()
    page.locator("[data-do=favourite]").first.click()
    page.locator("[data-do=picture]").first.click()
    page.get_by_role("button", name="Picture set").wait_for()
    yield "play"
    page.goto(f"{address}/quiz?bot={first}")
    page.locator("#start").click()
    page.wait_for_selector("#question-title")
    page.locator("#real").click()
    page.wait_for_selector(".verdict")
    yield "quiz"
    page.goto(f"{address}/blend?bot={first}&with={second}")
    page.locator("#prompt").get_by_role("textbox").fill(PROMPT)
    page.locator("#write").click()
    page.wait_for_function(
        "document.querySelectorAll(\"[data-say='5 posts written.']\").length == 2"
    )
    yield "blend"
    page.goto(f"{address}/gallery")
    page.wait_for_selector(".gallery")
    yield "gallery"
    page.goto(f"{address}/bot?name={first}")
    page.wait_for_selector("#likeness-title")
    yield "bot"


def begin(page: Page, address: str, source: Path) -> None:
    """Let a bot learn until there is something to see, for all pictures of it."""
    page.goto(address)
    page.locator("#source input[type=file]").set_input_files(source)
    page.wait_for_selector("#source .thumbnail-item")
    page.locator("#source .submit-button").click()
    page.wait_for_selector("#found-title")
    page.get_by_role("button", name="More").click()
    page.get_by_label("Name of the bot").fill(LEARNING)
    page.get_by_role("spinbutton").first.fill("4")
    page.locator("#make").click()
    page.wait_for_url("**/train?run=*")
    page.wait_for_function("document.querySelectorAll('circle.held').length > 1")
    page.context.close()


def newest(run: Path, folder: Path) -> Path:
    """The newest posts of a run as a table of their own, so that its epochs are short."""
    table = RunFolder(run).table("kept").sort("created_at").tail(POSTS)
    file = folder / "NASA.csv"
    table.select("author", "id", "created_at", "text").write_csv(file)
    return file


def photograph(browser: Browser, address: str, names: list[str]) -> None:
    """All steps in light, dark and phone size."""
    TARGET.mkdir(parents=True, exist_ok=True)
    pages = {view: _opened(browser, *of) for view, of in VIEWS.items()}
    for view, page in pages.items():  # these first, while it learns
        train(page, address)
        _photograph(page, f"train-{view}")
    for view, page in pages.items():
        for step in steps(page, address, names):
            _photograph(page, f"{step}-{view}")


def _photograph(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    file = TARGET / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    _small(file)
    print(file.relative_to(ROOT), f"{file.stat().st_size / 1000:.0f} kB", flush=True)


def examine(browser: Browser, address: str, names: list[str]) -> None:
    """What axe-core finds on every page, light and dark."""
    found = []
    for scheme in ("light", "dark"):
        page = _opened(browser, scheme, 1100, 1000)
        train(page, address)
        found.append(_examined(page, "train", scheme))
        found += [_examined(page, step, scheme) for step in steps(page, address, names)]
        page.context.close()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "axe.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _examined(page: Page, step: str, scheme: str) -> dict[str, Any]:
    page.evaluate(AXE.read_text("utf-8"))
    result = page.evaluate("axe.run(document)")
    kinds = [one["impact"] for one in result["violations"]]
    counts = {kind: kinds.count(kind) for kind in ("critical", "serious", "moderate", "minor")}
    rules = sorted(one["id"] for one in result["violations"])
    told = {"page": step, "scheme": scheme, "passed": len(result["passes"]), **counts}
    print(told, rules, flush=True)
    return {**told, "rules": rules}


def _opened(browser: Browser, scheme: str, width: int, height: int) -> Page:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in by hand
    )
    context.set_default_timeout(PATIENCE)
    return context.new_page()


def _small(file: Path) -> None:
    """256 colours are plenty for a page."""
    with Image.open(file) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def main() -> None:
    """Copy the runs, start the app on them, go through it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--axe", action="store_true")
    given = parser.parse_args()
    # the worker may still save a checkpoint when the app has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "runs"
        names = []
        for run in given.runs:
            name = json.loads((run / "run.json").read_text("utf-8"))["authors"][0]
            shutil.copytree(run, out / name)
            names.append(name)
        source = newest(given.runs[0], Path(folder))
        command = [sys.executable, "-m", "tests.web.program", str(out), "pocket"]
        environment = os.environ | {"HUGGINGTWEETS_TRACK": "none"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as app:
            try:
                assert app.stdout is not None  # noqa: S101 - it is a pipe
                address = app.stdout.readline().strip()
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(
                        executable_path="/usr/bin/chromium",
                        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                    )
                    begin(_opened(browser, "light", 960, 1000), address, source)
                    (examine if given.axe else photograph)(browser, address, names)
                    browser.close()
            finally:
                app.terminate()


if __name__ == "__main__":
    main()
