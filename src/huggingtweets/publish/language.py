"""Which language an author writes in, as an ISO 639-1 code such as ``en``.

A single post is too short for any detector, so all posts of an author are judged together. Where
most of them say themselves what they are written in, that is believed instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

_OLD_CODES = {"in": "id", "iw": "he", "ji": "yi"}  # X still writes some of them
_MOST_CHARACTERS = 100_000  # more change nothing and take a second


def languages(posts: pl.DataFrame, authors: Iterable[str]) -> tuple[str, ...]:
    """The language of each author, every one once and in the authors' order.

    Args:
        posts: a table of kept posts.
        authors: handles as in the table.
    """
    found = (_language(posts.filter(pl.col("author") == author)) for author in authors)
    return tuple(dict.fromkeys(code for code in found if code))


def _language(posts: pl.DataFrame) -> str | None:
    told = [code for tag in posts["lang"].drop_nulls() if (code := iso_code(tag))]
    if 2 * len(told) > len(posts):
        return max(sorted(set(told)), key=told.count)
    text = "\n".join(posts["text"].tail(2_000))[-_MOST_CHARACTERS:]
    return _detect(text) if text else None


def iso_code(tag: str) -> str | None:
    """The ISO 639-1 code in a language tag such as ``en-GB``; None for X's ``und`` and ``zxx``."""
    code = re.split(r"[-_]", tag.strip().lower())[0]
    return _OLD_CODES.get(code, code) if re.fullmatch("[a-z]{2}", code) else None


def _detect(text: str) -> str:
    import py3langid

    return str(py3langid.classify(text)[0])
