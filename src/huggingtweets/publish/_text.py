"""Text from outside, made fit to be shown and counted: what people see as one character is one."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Callable

ELLIPSIS = "…"
_MOST_MARKS = 4
"""On one letter; no script puts more there, only texts that mean to run over their neighbours."""
# Controls, halves of characters, and what turns the direction of all that follows.
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]")
_HEAPS = regex.compile(rf"(\p{{M}}{{{_MOST_MARKS}}})\p{{M}}+")
_SPACES = regex.compile(r"[^\S\n]+")
_LINES = regex.compile(r" ?\n\s*")


def clean(text: str, *, lines: bool = False) -> str:
    """The text without anything that isn't seen or that spoils its surroundings.

    Args:
        text: from a bot, a file or a user.
        lines: keep line breaks, each as one.
    """
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = text.replace("\t", " ")
    text = _SPACES.sub(" ", text) if lines else " ".join(text.split())
    text = "\n".join(_UNSEEN.sub("", line) for line in _LINES.sub("\n", text).split("\n"))
    return _HEAPS.sub(r"\1", text).strip()


def graphemes(text: str) -> list[str]:
    """What a reader takes for single characters: letters with their marks, joined emoji, flags."""
    return regex.findall(r"\X", text)


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or its longest beginning in whole graphemes that fits with an ellipsis behind it.

    Args:
        text: what to shorten.
        fits: whether a text is short enough; what is longer than one that isn't never is.
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
    """Whether the first letter with a direction says so, as the Unicode bidi algorithm has it."""
    kinds = (unicodedata.bidirectional(char) for char in text)
    return next((kind != "L" for kind in kinds if kind in ("L", "R", "AL")), False)
