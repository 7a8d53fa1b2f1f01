"""What the docs name exists: files, headings, commands and options; the site builds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import huggingtweets
from huggingtweets.cli import app
from huggingtweets.cli.commands import MODULES

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)?(?:#([^)\s]+))?\)")
CALL = re.compile(
    r"huggingtweets (demo|train|curate|download|generate|evaluate|runs|show|compare|publish|picture"
    r"|explore|update|versions|rollback|share|opt-out|forget|track|dashboard|pretrain|app|base list"
    r"|base add|base remove|export|serve|sweep report|sweep export|sweep)\b"
    r"([^`\n#]*)"
)
OPTION = re.compile(r"(?<!\S)(--[a-z-]+)")
SOURCE_PATH = re.compile(r"`([a-z_0-9/]+(?:/|\.py))`")

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def heading_ids(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@every_page
def test_links_resolve(page: Path) -> None:
    for target, heading in LINK.findall(page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}, which doesn't exist"
        if heading:
            assert heading in heading_ids(file), f"{page.name} links to {target}#{heading}"


@every_page
def test_commands_and_options_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    commands = dict(group.commands)  # type: ignore[attr-defined]
    for group_name in ("sweep", "fleet", "base"):
        for name, command in commands.pop(group_name).commands.items():
            commands[group_name if name == "run" else f"{group_name} {name}"] = command
    known = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands.items()
    }
    for name, rest in CALL.findall(page.read_text("utf-8")):
        for option in OPTION.findall(rest):
            assert option in known[name], f"{page.name}: {name} has no {option}"


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in MODULES:
        assert re.search(rf"`[^`]*\b{name}\b", readme)


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_in_the_tour_of_the_code_exist(page: str) -> None:
    paths = SOURCE_PATH.findall((ROOT / page).read_text("utf-8"))
    assert len(paths) > 10
    source = ROOT / "src" / "huggingtweets"
    for path in set(paths) - {"checkpoint/", "bot/", "report/"}:  # parts of a run folder
        assert (ROOT / path).exists() or any(source.rglob(path)), f"{page} names {path}"


def test_site_builds_without_warnings(tmp_path: Path) -> None:
    build = [sys.executable, str(ROOT / "scripts" / "build_site.py"), str(tmp_path / "site")]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {page.relative_to(tmp_path / "site") for page in (tmp_path / "site").rglob("*.html")}
    assert len(pages) == len(list((ROOT / "docs").rglob("*.md"))) + 1
    reference = (tmp_path / "site" / "api.html").read_text("utf-8")
    for name in huggingtweets.__all__:
        assert f'id="{name}"' in reference
