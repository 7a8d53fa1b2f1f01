"""Take screenshots of every page of the real web app: docs/web/*.png.

.. code-block:: sh

    .venv/bin/python scripts/web_screenshots.py runs/demo [ANOTHER_RUN...]

The runs are copied into a temporary folder. A new training is started for the screenshot of the
training page. ``--axe`` writes the results of axe-core for each page to docs/web/axe.json instead.
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
TIMEOUT = 600_000  # ms
PROMPT = "My dream is"
TRAINING = "learning"  # name of the bot in training
POSTS = 1000


def train(page: Page, address: str) -> None:
    """Open the page of the bot in training."""
    page.goto(f"{address}/run/{TRAINING}")
    page.wait_for_function("document.querySelectorAll('circle.held').length > 1")


def steps(page: Page, address: str, names: list[str]) -> Iterator[str]:
    """Go through the app; yield the name of each step when its page is ready."""
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
    page.locator("#mix").click()
    page.wait_for_function(
        "document.querySelectorAll(\"[data-say='5 posts written.']\").length == 3"
    )
    yield "blend"
    page.goto(f"{address}/explore")
    page.locator("#explore").click()
    page.wait_for_selector("#explored-title")
    yield "explore"
    page.goto(f"{address}/gallery")
    page.wait_for_selector(".gallery")
    yield "gallery"
    page.goto(f"{address}/bot?name={first}")
    page.wait_for_selector("#likeness-title")
    yield "bot"


def start_training(page: Page, address: str, source: Path) -> None:
    """Start a training and wait until its page has two held-out measurements."""
    page.goto(address)
    page.locator("#source input[type=file]").set_input_files(source)
    page.wait_for_selector("#source .thumbnail-item")
    page.locator("#source .submit-button").click()
    page.wait_for_selector("#found-title")
    page.get_by_role("button", name="More").click()
    page.get_by_label("Name of the bot").fill(TRAINING)
    page.get_by_role("spinbutton").first.fill("4")
    page.locator("#make").click()
    page.wait_for_url("**/train?run=*")
    page.wait_for_function("document.querySelectorAll('circle.held').length > 1")
    page.context.close()


def newest_posts(run: Path, folder: Path) -> Path:
    """Write a run's newest posts to a table, so that epochs are short; return its path."""
    table = RunFolder(run).table("kept").sort("created_at").tail(POSTS)
    file = folder / "NASA.csv"
    table.select("author", "id", "created_at", "text").write_csv(file)
    return file


def screenshots(browser: Browser, address: str, names: list[str]) -> None:
    """Take screenshots of all steps: light, dark and phone size."""
    TARGET.mkdir(parents=True, exist_ok=True)
    pages = {view: _open_page(browser, *settings) for view, settings in VIEWS.items()}
    for view, page in pages.items():  # first, while the bot is in training
        train(page, address)
        _screenshot(page, f"train-{view}")
    for view, page in pages.items():
        for step in steps(page, address, names):
            _screenshot(page, f"{step}-{view}")


def _screenshot(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    file = TARGET / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    _reduce_colours(file)
    print(file.relative_to(ROOT), f"{file.stat().st_size / 1000:.0f} kB", flush=True)


def check_accessibility(browser: Browser, address: str, names: list[str]) -> None:
    """Run axe-core on every page, light and dark, and save the results."""
    results = []
    for scheme in ("light", "dark"):
        page = _open_page(browser, scheme, 1100, 1000)
        train(page, address)
        results.append(_run_axe(page, "train", scheme))
        results += [_run_axe(page, step, scheme) for step in steps(page, address, names)]
        page.context.close()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "axe.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def _run_axe(page: Page, step: str, scheme: str) -> dict[str, Any]:
    page.evaluate(AXE.read_text("utf-8"))
    result = page.evaluate("axe.run(document)")
    impacts = [violation["impact"] for violation in result["violations"]]
    counts = {
        impact: impacts.count(impact) for impact in ("critical", "serious", "moderate", "minor")
    }
    rules = sorted(violation["id"] for violation in result["violations"])
    summary = {"page": step, "scheme": scheme, "passed": len(result["passes"]), **counts}
    print(summary, rules, flush=True)
    return {**summary, "rules": rules}


def _open_page(browser: Browser, scheme: str, width: int, height: int) -> Page:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is injected
    )
    context.set_default_timeout(TIMEOUT)
    return context.new_page()


def _reduce_colours(file: Path) -> None:
    """Reduce a PNG to 256 colours, which are enough for a page."""
    with Image.open(file) as image:
        reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)


def main() -> None:
    """Copy the runs, start the app on them and go through its pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--axe", action="store_true")
    given = parser.parse_args()
    # the worker may save a checkpoint after the app has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "runs"
        names = []
        for run in given.runs:
            name = json.loads((run / "run.json").read_text("utf-8"))["authors"][0]
            shutil.copytree(run, out / name)
            names.append(name)
        source = newest_posts(given.runs[0], Path(folder))
        command = [sys.executable, "-m", "tests.web.program", str(out), "pocket"]
        environment = os.environ | {"HUGGINGTWEETS_TRACK": "none"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as app:
            try:
                assert app.stdout is not None  # noqa: S101 - stdout is a pipe
                address = app.stdout.readline().strip()
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(
                        executable_path="/usr/bin/chromium",
                        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                    )
                    start_training(_open_page(browser, "light", 960, 1000), address, source)
                    run = check_accessibility if given.axe else screenshots
                    run(browser, address, names)
                    browser.close()
            finally:
                app.terminate()


if __name__ == "__main__":
    main()
