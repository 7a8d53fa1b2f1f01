"""Escape untrusted text for Markdown and HTML.

Handles come from files that anybody may have written. They appear in tables, sentences, HTML tags
and YAML metadata; the last is written by a YAML library and needs only :func:`one_line`.
"""

from __future__ import annotations

import html
import re
import unicodedata

# Bidi control marks, with which a name could reorder the text after it.
_BIDI_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SEPARATOR = "<!-- -->"
"""Splits text that renderers turn into a link even if it is escaped."""

_AUTOLINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=[\w.+-])(?=@[\w-]+\.)", re.IGNORECASE)
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+!|~$^=&<>:-]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;", "$": "&#36;", ":": "&#58;"}


def one_line(text: object) -> str:
    """Return the text on one line, without control characters and bidi marks."""
    visible = (char for char in " ".join(str(text).split()) if char not in _BIDI_MARKS)
    return "".join(char for char in visible if unicodedata.category(char) not in ("Cc", "Cs"))


def escape_markdown(text: object) -> str:
    """Escape text so that Markdown and HTML show it literally, on one line."""
    parts = _AUTOLINKS.split(one_line(text))
    return _SEPARATOR.join(_SPECIAL.sub(_escape, part) for part in parts)


def escape_html(text: object) -> str:
    """Escape text for an HTML element or attribute, on one line."""
    return html.escape(one_line(text))


def _escape(match: re.Match[str]) -> str:
    return _ENTITIES.get(match[0], "\\" + match[0])
