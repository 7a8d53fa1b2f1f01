"""One Jinja configuration for all templates of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """Return a Jinja environment for the ``templates`` folder of a package.

    Values are escaped in ``*.html.j2`` templates. Markdown templates escape with filters of their
    own. An undefined variable is an error in both.

    Args:
        package: dotted name, such as ``huggingtweets.web``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
