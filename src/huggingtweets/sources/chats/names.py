"""Mask the names of the other people of a chat in one person's messages.

The export itself says who they are. First and last names are masked also alone, because that is how
people address each other; nicknames that the export doesn't hold stay.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from huggingtweets.sources.chats.export import Person

MASK = "@user"
"""The same as for mentions of others; see :mod:`huggingtweets.curation`."""

INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Marks of direction and width that networks put around names."""

_RUN = re.compile(r"@?\w+(?:[.\-]\w+)*")
_WORD = re.compile(r"@?\w+")
_PART = re.compile(r"[^\W\d_]+")
_REPEATED = re.compile(rf"{MASK}(?:\s+{MASK})+")
# Scripts that write without spaces: a name is found inside a longer run of letters.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_SHORTEST_PART = 3
_PHONE = re.compile(r"\+?[\d\s().\-\u00a0\u202f]{7,}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of contacts' names that name nobody.
_NEVER = _words(
    """the and from van von der den del los las dos das work office team group family home school
    phone mobile bot admin support service new old arbeit familie gruppe familia grupo"""
)
# First and last names that are also common words: masked only when they begin with a capital.
_ALSO_WORDS = _words(
    """will may mark rose grace hope joy art bill rob jack pat sue dawn june april august summer
    autumn chance faith sky star gene ray chuck drew frank grant max miles penny ruby sandy skip
    sunny victor virginia wade ward young long king page park price rich brown white green black
    gray grey stone wood hill lane field baker cook fisher hunter mason taylor west north love day
    best good way bell bush rain snow fox wolf bird case cross banks waters ernst klein gross lang
    sol mar luz paz rosa blanca alba victoria santos leal bravo bon petit grand"""
)


def spoken(name: str, *, fold: bool = True) -> str:
    """Return a name as people write it: without marks, ``@`` and ``~``; ``fold`` ignores case."""
    plain = INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    plain = " ".join(plain.split()).removeprefix("@").removeprefix("~").strip()
    return plain.casefold() if fold else plain


@dataclass(frozen=True, slots=True)
class NameMask:
    """Replaces names by :data:`MASK`.

    Attributes:
        whole: names and handles in lower case, masked wherever they are written as one word.
        parts: first and last names in lower case.
        inside: names in scripts without spaces, masked inside a run of letters.
    """

    whole: frozenset[str]
    parts: frozenset[str]
    inside: re.Pattern[str] | None

    @classmethod
    def of(cls, speaker: Person, others: Iterable[Person]) -> NameMask:
        """Collect the names of others, without those that are also the speaker's."""
        own = _names(speaker)
        whole: set[str] = set()
        parts: set[str] = set()
        unspaced: set[str] = set()
        for person in others:
            for name in _names(person) - own:
                if _PHONE.fullmatch(name):
                    whole.add("".join(filter(str.isdigit, name)))  # as WhatsApp mentions it
                    continue
                whole.add(name)
                parts.update(_PART.findall(name))
                if _UNSPACED.search(name) and len(name) > 1:
                    unspaced.add(name)
        own_parts = {part for name in own for part in _PART.findall(name)}
        parts = {part for part in parts if len(part) >= _SHORTEST_PART} - own_parts - _NEVER
        whole = {name for name in whole if len(name) >= _SHORTEST_PART} - own_parts - _NEVER
        longest_first = sorted(unspaced, key=len, reverse=True)
        inside = re.compile("|".join(map(re.escape, longest_first))) if unspaced else None
        return cls(frozenset(whole), frozenset(parts), inside)

    def __call__(self, text: str) -> str:
        """Mask the names in a text."""
        if not (self.whole or self.inside):
            return text
        if INVISIBLE.search(text):  # a mention: @, then the name between marks of direction
            text = re.sub("@[\u2066-\u2069~\u202f ]*([^\u2066-\u2069\n]{1,60})\u2069", r"@\1", text)
        if self.inside:
            text = self.inside.sub(MASK, text)
        masked = _RUN.sub(self._mask_run, text)
        return _REPEATED.sub(MASK, masked) if masked != text else text

    def _mask_run(self, run: re.Match[str]) -> str:
        written = run[0].removeprefix("@")
        if written.lower() in self.whole and self._is_name(written, run[0]):
            return MASK
        return _WORD.sub(self._mask_word, run[0])

    def _mask_word(self, word: re.Match[str]) -> str:
        written = word[0].removeprefix("@")
        if written.lower() in self.parts and self._is_name(written, word[0]):
            return MASK
        return word[0]

    def _is_name(self, written: str, with_sign: str) -> bool:
        return with_sign != written or not written.islower() or written not in _ALSO_WORDS


def _names(person: Person) -> set[str]:
    """Return the names of a person in lower case."""
    names = (spoken(name, fold=False).lower() for name in (person.name, *person.aliases))
    return {name for name in names if name}
