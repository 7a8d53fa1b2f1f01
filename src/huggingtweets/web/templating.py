"""HTML of our own, made from templates that escape whatever is put into them.

Nothing a person or a bot wrote gets into a page on any other way. Besides, what isn't seen or would
turn the direction of the text around it is taken out (:func:`huggingtweets.publish.clean`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from huggingtweets import publish
from huggingtweets.evaluation.report import percent

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """One of the templates, filled in."""
    return _environment().get_template(f"{template}.html.j2").render(values)


def duration(seconds: float | None) -> str:
    """A time for people: ``45 seconds``, ``3 minutes``, ``1 h 20 min``."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def link_to(page: str, **query: str) -> str:
    """The address of a page of ours."""
    pairs = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"/{page}?{pairs}" if pairs else f"/{page}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "shown": lambda text: publish.clean(text, lines=True),
        "one_line": publish.clean,
        "initial": publish.initial,
        "hue": publish.hue,
        "percent": percent,
        "duration": duration,
        "number": lambda value: f"{value:,}",
    }
    made.globals["link_to"] = link_to
    return made
