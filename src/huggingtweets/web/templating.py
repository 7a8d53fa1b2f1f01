"""HTML from templates that escape every value.

All texts of people and bots reach a page through these templates. The filters also remove invisible
characters and those that change the text direction (:func:`huggingtweets.publish.clean`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from huggingtweets import publish, templating
from huggingtweets.evaluation.report import percent
from huggingtweets.events import counted
from huggingtweets.privacy import masking
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """Render a template to HTML."""
    return _environment().get_template(f"{template}.html.j2").render(values)


def duration(seconds: float | None) -> str:
    """Format a duration: ``45 seconds``, ``3 minutes``, ``1 h 20 min``."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def times_in_ten(share: float) -> str:
    """A share of posts in words: ``9 times in 10``; never or always only if that is exact."""
    times = round(10 * share)
    if times in (0, 10):
        exact = share in (0, 1)
        return ("" if exact else "almost ") + ("every time" if times else "never")
    return f"{times} time{'' if times == 1 else 's'} in 10"


def link_to(page: str, /, **query: str) -> str:
    """The address of a page with query parameters."""
    pairs = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"/{page}?{pairs}" if pairs else f"/{page}"


def run_name(name: str) -> str:
    """The name of a bot without its owner's tag, which a shared bot's has."""
    return name.partition("~")[0]


@cache
def _environment() -> Environment:
    environment = templating.environment("huggingtweets.web")
    environment.filters |= {
        "shown": lambda text: publish.clean(text, lines=True),
        "one_line": publish.clean,
        "initial": publish.initial,
        "hue": publish.hue,
        "percent": percent,
        "duration": duration,
        "for_browser": for_browser,
        "times_in_ten": times_in_ten,
        "counted": masking.counted,
        "count_of": counted,
        "number": lambda value: f"{value:,}",
        "run_name": run_name,
    }
    environment.globals["link_to"] = link_to
    return environment
