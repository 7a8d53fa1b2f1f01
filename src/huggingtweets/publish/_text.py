"""Clean, count and shorten untrusted text, in graphemes: what readers see as one character."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Callable

ELLIPSIS = "…"
_MAX_MARKS = 4
"""Combining marks on one letter. No script uses more; longer stacks only overlap other lines."""
# Control characters, surrogates, and marks that change the direction of the text after them.
_INVISIBLE = regex.compile(r"[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]")
_STACKED_MARKS = regex.compile(rf"(\p{{M}}{{{_MAX_MARKS}}})\p{{M}}+")
_SPACES = regex.compile(r"[^\S\n]+")
_LINES = regex.compile(r" ?\n\s*")


def clean(text: str, *, lines: bool = False) -> str:
    """Return the text without invisible characters and long stacks of combining marks.

    Args:
        text: from a bot, a file or a user.
        lines: keep line breaks, merging consecutive ones.
    """
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = text.replace("\t", " ")
    text = _SPACES.sub(" ", text) if lines else " ".join(text.split())
    text = "\n".join(_INVISIBLE.sub("", line) for line in _LINES.sub("\n", text).split("\n"))
    return _STACKED_MARKS.sub(r"\1", text).strip()


def graphemes(text: str) -> list[str]:
    """Split text into graphemes: letters with their marks, joined emoji, flags."""
    return regex.findall(r"\X", text)


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the text, or its longest prefix of whole graphemes that fits with an ellipsis.

    Args:
        text: the text.
        fits: whether a text is short enough; must be monotonic in the length.
    """
    if fits(text):
        return text
    parts = graphemes(text)
    fitting, beyond = 0, len(parts)
    while beyond - fitting > 1:
        half = (fitting + beyond) // 2
        if fits(_shortened(parts, half)):
            fitting = half
        else:
            beyond = half
    return _shortened(parts, fitting)


def _shortened(parts: list[str], count: int) -> str:
    return "".join(parts[:count]).rstrip() + ELLIPSIS


def reads_right_to_left(text: str) -> bool:
    """Whether the first strong character is right-to-left, as in the Unicode bidi algorithm."""
    kinds = (unicodedata.bidirectional(char) for char in text)
    return next((kind != "L" for kind in kinds if kind in ("L", "R", "AL")), False)
