"""Put texts into a Unicode normal form, but only those that it may change.

Normalising takes some eight times as long as searching for a character that may be changed, and
most posts hold none: curly quotes, accented letters and emoji stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from huggingtweets.curation._slices import map_where

if TYPE_CHECKING:
    import polars as pl

INERT = (
    r"\x00-\x7F¡-§©«-®°±¶·»¿-ıĴ-ľŁ-ňŊ-ž\x{400}-\x{481}\x{3041}-\x{3096}\x{30A1}-\x{30FA}"
    r"\x{4E00}-\x{9FFF}\x{AC00}-\x{D7A3}\x{200D}\x{2010}\x{2012}-\x{2016}\x{2018}-\x{2023}"
    r"\x{2026}\x{20AC}\x{2190}-\x{2199}\x{2600}-\x{27BF}\x{2B00}-\x{2B1F}\x{FE0F}"
    r"\x{1F1E6}-\x{1F1FF}\x{1F300}-\x{1FAFF}"
)
"""Common characters that stay as they are in NFC whatever stands beside them (for use inside a
character class); in NFKC too, but for the ellipsis, which would become three full stops."""

NOT_INERT = f"[^{INERT}]"


def beyond_ascii(texts: pl.Series) -> pl.Series:
    """Whether each text holds a character that isn't ASCII."""
    return texts.str.len_bytes() != texts.str.len_chars()


def normalise(texts: pl.Series, form: Literal["NFC", "NFKC"]) -> pl.Series:
    """Put texts into a normal form; an ellipsis may stay in NFKC."""

    def where_needed(chosen: pl.Series) -> pl.Series:
        rows = chosen.str.contains(NOT_INERT)
        return map_where(chosen, rows, lambda found: found.str.normalize(form))

    return map_where(texts, beyond_ascii(texts), where_needed)
