"""The card of a bot, made from the run's own record so that it can't disagree with it."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.evaluation.report import LikenessReport
    from huggingtweets.run import Record


def title(authors: Sequence[str]) -> str:
    """What a bot is called: always an AI bot, a cyborg when it has several authors."""
    handles = " & ".join(f"@{author}" for author in authors)
    return f"AI {'bot' if len(authors) == 1 else 'cyborg'} of {handles}"


def render_card(record: Record, report: LikenessReport) -> str:
    """The card as Markdown with its YAML head.

    Handles come from files, so everything that could be markup in them is escaped.
    """
    return template(__package__, "card.md.j2").render(
        record=record, report=report, title=title(record.authors)
    )


def template(package: str, name: str) -> Template:
    """A Markdown template of a package, with the filter ``plain`` for text from outside."""
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, escaped by the filter below
    )
    environment.filters["plain"] = escape_markdown
    source = resources.files(package).joinpath("templates", name).read_text("utf-8")
    return environment.from_string(source)


def escape_markdown(text: object) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", line)
