"""Made-up texts in 20 scripts, with emoji, digits and spaces: for comparing tokenizers."""

from __future__ import annotations

import random
import unicodedata

SCRIPTS = {
    "Latin": (0x41, 0x24F),
    "Greek": (0x370, 0x3FF),
    "Cyrillic": (0x400, 0x4FF),
    "Armenian": (0x531, 0x587),
    "Hebrew": (0x591, 0x5F4),
    "Arabic": (0x610, 0x6FF),
    "Devanagari": (0x900, 0x97F),
    "Bengali": (0x980, 0x9FE),
    "Gurmukhi": (0xA01, 0xA76),
    "Gujarati": (0xA81, 0xAFF),
    "Tamil": (0xB82, 0xBFA),
    "Telugu": (0xC00, 0xC7F),
    "Kannada": (0xC80, 0xCF2),
    "Thai": (0xE01, 0xE5B),
    "Georgian": (0x10A0, 0x10FF),
    "Ethiopic": (0x1200, 0x137C),
    "Khmer": (0x1780, 0x17F9),
    "Hangul": (0xAC00, 0xD7A3),
    "Kana": (0x3041, 0x30FF),
    "Han": (0x4E00, 0x9FA5),
}
"""First and last character of a script's main block."""

_EMOJI = ("🚀", "😂", "❤️", "👩‍👩‍👧", "👍🏽", "🇺🇳", "🏳️‍🌈", "1️⃣", "👩🏿‍🚀", "🫠")
_BETWEEN = (" ", " ", " ", "  ", "\n", "\n\n", " \t", "\u00a0", "\u3000", "")
_MARKS = (",", ".", "!?", "…", " — ", "'s", "n't", "’ll", " #", " @", "://", "“", "،", "。")


def texts(number: int, seed: int = 0) -> list[str]:
    """Return made-up texts, in each script in turn."""
    drawn = random.Random(seed)
    names = list(SCRIPTS)
    letters = {name: _letters(*SCRIPTS[name]) for name in names}
    return [_text(drawn, letters[names[i % len(names)]]) for i in range(number)]


def _letters(first: int, last: int) -> list[str]:
    """Return the letters, marks and digits of a block that old versions of Unicode have, too."""
    old = unicodedata.ucd_3_2_0
    return [chr(c) for c in range(first, last + 1) if old.category(chr(c))[0] in "LMN"]


def _text(drawn: random.Random, letters: list[str]) -> str:
    parts = []
    for _ in range(drawn.randint(1, 12)):
        kind = drawn.random()
        if kind < 0.7:
            parts.append("".join(drawn.choices(letters, k=drawn.randint(1, 8))))
        elif kind < 0.8:
            parts.append(str(drawn.randrange(10 ** drawn.randint(1, 6))))
        elif kind < 0.9:
            parts.append(drawn.choice(_EMOJI))
        else:
            parts.append(drawn.choice(_MARKS))
        parts.append(drawn.choice(_BETWEEN))
    return "".join(parts)
