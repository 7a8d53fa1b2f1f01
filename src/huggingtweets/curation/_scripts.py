"""Groups of Unicode characters that several rules share, as parts of a regular expression."""

from __future__ import annotations

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts written without spaces between words (for use inside a character class)."""

RIGHT_TO_LEFT = r"\p{Hebrew}\p{Arabic}\p{Syriac}\p{Thaana}\p{Nko}\p{Samaritan}\p{Mandaic}\p{Adlam}"
"""Scripts written from right to left (for use inside a character class)."""

BIDI_CONTROLS = r"\x{061C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}"
"""Invisible marks that steer the direction of text (for use inside a character class)."""
