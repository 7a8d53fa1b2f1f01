"""Mask what identifies people: e-mail addresses, phone numbers, mentions of others.

This is a courtesy to people in a person's posts, not a guarantee: names, postal addresses and
numbers written in words stay. It uses Python callbacks (mentions of an author stay, phone numbers
are recognized by their digits), called only on texts with an ``@`` or enough digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._slices import map_where

if TYPE_CHECKING:
    from collections.abc import Callable

MAY_MATCH = r"@|\d(?:\D{0,3}\d){8}"
"""An address or mention, or nine digits close together (the minimum of a phone number)."""

# A handle of X (@nasa), Mastodon (@nasa@mastodon.social) or Bluesky (@nasa.bsky.social). An @ after
# a letter is part of an e-mail address.
_MENTION = re.compile(r"(?<![\w@])@(\w+(?:[.-]\w+)*(?:@\w+(?:[.-]\w+)*)?)")

# A run of the characters of an address, and its domain if there is one. Each run is searched once:
# a pattern that starts at every word would take a minute for 100,000 characters of "a.a.a.a.".
_MAYBE_EMAIL = re.compile(r"[\w.%+-]++(?:(?<!\.)(@(?:[\w-]+\.)+[^\W\d_]{2,}))?")
# Not the tail of a Mastodon handle that stays because it belongs to an author.
_EMAIL_START = re.compile(r"(?<![\w@])\w")

# A number that isn't a price, hashtag, decimal or part of something longer.
_BEFORE = r"(?<![\w$€£¥#+(])(?<!\d[.,:/-])"
_AFTER = r"(?!\w|[.,:/-]\d|\s?[%$€£¥])"
_PHONE = re.compile(
    _BEFORE
    + r"""(?:
        \+\d(?:[ .\-()/]{0,2}\d){8,14}                          # +44 20 7946 0958
      | (?:1[ .-]?)?\([2-9]\d\d\)[ .-]?\d{3}[ .-]?\d{4}          # (202) 224-3121
      | (?:1[ .-])?[2-9]\d\d([ .-])\d{3}\1\d{4}                 # 202-224-3121, 1-800-555-0199
      | [2-9]\d\d[2-9]\d{6}                                     # 2022243121
      | 0\d{1,4}([ /-])\d{2,8}(?:\2\d{2,4}){0,4}                # 020 7946 0958, 0171/1234567
      | 0\d{9,10}                                               # 02079460958
    )"""
    + _AFTER,
    re.VERBOSE,
)
_PHONE_DIGITS = range(9, 16)
"""Digits of a phone number with its area code: at most 15 by ITU-T E.164; a date has at most 8."""


def scrub(texts: pl.Series, authors: frozenset[str]) -> pl.Series:
    """Replace what identifies others by ``<email>``, ``<phone>`` and ``@user``.

    Args:
        texts: posts, without null.
        authors: lower-case handles without ``@`` whose mentions stay.
    """

    def mask(text: str) -> str:
        text = _MENTION.sub(_mask_unless_author(authors), text)
        text = _MAYBE_EMAIL.sub(_mask_email, text)
        return _PHONE.sub(_mask_phone, text)

    def mask_all(chosen: pl.Series) -> pl.Series:
        return pl.Series(chosen.name, [mask(text) for text in chosen], dtype=pl.String)

    return map_where(texts, texts.str.contains(MAY_MATCH), mask_all)


def _mask_unless_author(authors: frozenset[str]) -> Callable[[re.Match[str]], str]:
    def replace(mention: re.Match[str]) -> str:
        handle = mention[1].lower()
        # In "@nasa.Great news", the sentence after the handle looks like a Bluesky domain.
        is_author = {handle, handle.split("@")[0], handle.split(".")[0]} & authors
        return mention[0] if is_author else "@user"

    return replace


def _mask_email(run: re.Match[str]) -> str:
    start = _EMAIL_START.search(run.string, run.start(), run.start(1)) if run[1] else None
    return f"{run.string[run.start() : start.start()]}<email>" if start else run[0]


def _mask_phone(number: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in number[0])
    return "<phone>" if digits in _PHONE_DIGITS else number[0]
