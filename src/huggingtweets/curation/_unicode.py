"""Unicode character classes, and normalization of only the texts that may change.

Normalizing takes about eight times as long as searching for a character that may change, and most
posts have none: curly quotes, accented letters and emoji stay the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from huggingtweets.curation._slices import map_where

if TYPE_CHECKING:
    import polars as pl

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts written without spaces between words (for use inside a character class)."""

RIGHT_TO_LEFT = r"\p{Hebrew}\p{Arabic}\p{Syriac}\p{Thaana}\p{Nko}\p{Samaritan}\p{Mandaic}\p{Adlam}"
"""Scripts written from right to left (for use inside a character class)."""

BIDI_CONTROLS = r"\x{061C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}"
"""Invisible marks that control text direction (for use inside a character class)."""

INERT = (
    r"\x00-\x7F¡-§©«-®°±¶·»¿-ıĴ-ľŁ-ňŊ-ž\x{400}-\x{481}\x{3041}-\x{3096}\x{30A1}-\x{30FA}"
    r"\x{4E00}-\x{9FFF}\x{AC00}-\x{D7A3}\x{200D}\x{2010}\x{2012}-\x{2016}\x{2018}-\x{2023}"
    r"\x{2026}\x{20AC}\x{2190}-\x{2199}\x{2600}-\x{27BF}\x{2B00}-\x{2B1F}\x{FE0F}"
    r"\x{1F1E6}-\x{1F1FF}\x{1F300}-\x{1FAFF}"
)
"""Common characters that NFC never changes, whatever their neighbours (for use inside a character
class). NFKC changes only one of them, the ellipsis, to three full stops."""

NOT_INERT = f"[^{INERT}]"


def has_non_ascii(texts: pl.Series) -> pl.Series:
    """Return whether each text has a character that isn't ASCII."""
    return texts.str.len_bytes() != texts.str.len_chars()


def normalise(texts: pl.Series, form: Literal["NFC", "NFKC"]) -> pl.Series:
    """Normalize texts; with NFKC, an ellipsis may stay."""

    def where_needed(chosen: pl.Series) -> pl.Series:
        rows = chosen.str.contains(NOT_INERT)
        return map_where(chosen, rows, lambda matches: matches.str.normalize(form))

    return map_where(texts, has_non_ascii(texts), where_needed)
