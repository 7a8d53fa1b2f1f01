"""What README and docs/ name must be there: files, headings, commands and options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from huggingtweets.cli import app
from huggingtweets.cli.commands import MODULES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)?(?:#([^)\s]+))?\)")
CALL = re.compile(
    r"huggingtweets (demo|train|curate|download|generate|evaluate|runs|show|compare|publish|picture"
    r"|share|opt-out|forget|track|dashboard|pretrain|app"
    r"|sweep report|sweep export|sweep)\b"
    r"([^`\n#]*)"
)
OPTION = re.compile(r"(?<!\S)(--[a-z-]+)")


def heading_ids(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in LINK.findall(page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}, which is not there"
        if heading:
            assert heading in heading_ids(file), f"{page.name} links to {target}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_those_of_the_program(page: Path) -> None:
    group = typer.main.get_command(app)
    commands = dict(group.commands)  # type: ignore[attr-defined]
    for group_name in ("sweep", "base"):
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
