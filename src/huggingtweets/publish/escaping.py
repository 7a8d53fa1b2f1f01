"""Text from strangers, made harmless for Markdown and HTML: it is shown and does nothing.

Handles come from files that anybody may have written. They go into a table, a sentence, an HTML
tag and a YAML head; the last is made by a YAML library and needs only :func:`one_line`.
"""

from __future__ import annotations

import html
import re
import unicodedata

# Marks that turn the direction of all text after them, so that a name could rewrite a sentence.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NOTHING = "<!-- -->"
"""Parts what renderers would otherwise make a link of, even where it is escaped."""

_LINKED = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=[\w.+-])(?=@[\w-]+\.)", re.IGNORECASE)
_MARKED = re.compile(r"[\\`*_{}\[\]()#+!|~$^=&<>:-]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;", "$": "&#36;", ":": "&#58;"}


def one_line(text: object) -> str:
    """The text on one line, without control characters and marks of direction."""
    shown = (char for char in " ".join(str(text).split()) if char not in _TURNING)
    return "".join(char for char in shown if unicodedata.category(char) not in ("Cc", "Cs"))


def escape_markdown(text: object) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    parts = _LINKED.split(one_line(text))
    return _NOTHING.join(_MARKED.sub(_escaped, part) for part in parts)


def escape_html(text: object) -> str:
    """Text for an HTML element or attribute, on one line."""
    return html.escape(one_line(text))


def _escaped(found: re.Match[str]) -> str:
    return _ENTITIES.get(found[0], "\\" + found[0])
