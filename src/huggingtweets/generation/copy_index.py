"""The rules for copies and loops.

A post is a copy when it shares with one training post a run of at least ``min(15, ceil(0.7 n))``
consecutive words, where ``n`` is its own number of words. The two numbers are markovify's
(``DEFAULT_MAX_OVERLAP_TOTAL`` and ``DEFAULT_MAX_OVERLAP_RATIO``), so that bots and Markov chains
follow the same rule. Unlike in markovify, a run never spans two training posts.

A word is a piece of text between white space, case-folded, without punctuation and symbols at its
ends. So ``"#Mars!"`` and ``mars`` are the same word, and an emoji is not a word.

- A text without words (emoji, punctuation) is never a copy.
- Texts of one or two words follow the same rule: they are copies if a training post contains them.
  Generating another post costs little, and a special case would need explaining.
- Chinese, Japanese, Thai, Lao, Khmer and Burmese put no spaces between words, so every character
  counts as a word. Fifteen characters are fewer than fifteen words, so the rule is stricter there.

The index stores every training word as an integer, and the positions of each word. A query visits
only the positions of its own words. That takes about a millisecond for a post against 50,000
others, where searching the whole text would take a hundred.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

MAX_RUN = 15
"""Consecutive words that make a post of any length a copy (markovify)."""

_MIN_LOOP_WORDS, _MIN_LOOP_SHARE = 4, 0.3
"""Minimum number and share of repeated words in a loop."""

_MIN_IMMEDIATE_REPEAT = 3
"""Minimum number of words that make a loop when they are immediately repeated."""

LONGEST_WORD = 50
"""Letters, digits and underscores in a row that a post may have. One of 46,000 curated posts of 17
authors has more."""

_ENDLESS = re.compile(rf"\w{{{LONGEST_WORD + 1}}}")
_ENDLESS_AT_END = re.compile(rf"\w{{{LONGEST_WORD + 1}}}\Z", re.ASCII)
_REPEATED_PIECE = re.compile(r"(\w{4,}?)(?:_?\1){2,}")
_TAG = re.compile(r"[@#]\w+")
_NUMBER = re.compile(r"\d+([.,:]\d+)*(st|nd|rd|th)?")
_SEPARATOR = -1  # between two training posts; no word has this id
_EMOJI_SELECTORS = "\u200d\ufe0e\ufe0f"  # joiner and variation selectors: marks, but parts of emoji
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003134f])"
)  # Thai and Lao, Burmese, Khmer, kana, Han


@dataclass(frozen=True, slots=True)
class SharedSpan:
    """The longest run of words that a text shares with one training post.

    Attributes:
        words: its length in words; 0 when nothing is shared.
        source: the whole training post that contains it (the oldest of several), or "".
    """

    words: int
    source: str


def words(text: str) -> list[str]:
    """Split a text into words as the copy rule compares them."""
    if not text.isascii():
        # NFKC replaces full-width and "mathematical" letters by plain ones, so they hide no copy.
        text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
        text = _UNSPACED.sub(r" \1 ", text)
    return [word for piece in text.split() if (word := _normalize_word(piece))]


@lru_cache(maxsize=1 << 16)
def _normalize_word(piece: str) -> str:
    """Case-fold a word and strip punctuation, symbols and control characters from both ends."""
    start, end = 0, len(piece)
    while start < end and _is_stripped(piece[start]):
        start += 1
    while end > start and _is_stripped(piece[end - 1]):
        end -= 1
    return piece[start:end].casefold()


def _is_stripped(char: str) -> bool:
    # All but letters, digits and vowel marks (categories L, N, M).
    return unicodedata.category(char)[0] in "PSZC" or char in _EMOJI_SELECTORS


def copy_length(n_words: int) -> int:
    """Length in words of the shortest shared run that makes a post of ``n_words`` words a copy."""
    return min(MAX_RUN, -(-7 * n_words // 10))  # ceil(0.7 n) in integers


def is_loop(text: str) -> bool:
    """Whether a post repeats itself as people rarely do.

    It does when repeated pairs of words make up at least 30 % of it and at least four words, when
    three or more words are immediately repeated, or when a mention or hashtag occurs twice. All
    numbers count as equal, so "the 1500th anniversary of the 1501st anniversary of" is a loop;
    "thank you thank you" is not. A word is a loop by itself when it has more than
    :data:`LONGEST_WORD` letters, or four or more letters three times in a row: "#Mars_Mars_Mars",
    but not "hahahahahaha". The rule catches 0.38 % of the curated posts of NASA, the White
    House and ten members of Congress, and at most 0.9 % of one author's.
    """
    tags = [tag.casefold() for tag in _TAG.findall(text)]
    if len(set(tags)) < len(tags):
        return True
    plain = words(text)
    sequence = [_NUMBER.sub("0", word) for word in plain]
    if any(_ENDLESS.search(word) or _repeats_a_piece(word) for word in plain):
        return True
    first: dict[tuple[str, str], int] = {}
    repeated = set()
    for position, pair in enumerate(pairwise(sequence)):
        if first.setdefault(pair, position) < position:
            repeated |= {position, position + 1}
    limit = max(_MIN_LOOP_WORDS, _MIN_LOOP_SHARE * len(sequence))
    return len(repeated) >= limit or _has_immediate_repeat(sequence)


def ends_endlessly(text: str) -> bool:
    """Whether a text ends with a word of more than :data:`LONGEST_WORD` letters, in ASCII."""
    return _ENDLESS_AT_END.search(text) is not None


def _repeats_a_piece(word: str) -> bool:
    if _NUMBER.fullmatch(word):
        return False
    pieces = (match[1] for match in _REPEATED_PIECE.finditer(word))
    return any(piece not in (piece + piece)[1:-1] for piece in pieces)  # "haha" is "ha" twice


def _has_immediate_repeat(sequence: list[str]) -> bool:
    """Whether three or more words are followed by the same words."""
    for length in range(_MIN_IMMEDIATE_REPEAT, len(sequence) // 2 + 1):
        run = 0
        for position in range(len(sequence) - length):
            run = run + 1 if sequence[position] == sequence[position + length] else 0
            if run == length:
                return True
    return False


class CopyIndex:
    """Finds what a text shares with the training posts."""

    def __init__(self, posts: Iterable[str]) -> None:
        import numpy as np

        self.posts = tuple(posts)
        """The training posts."""
        ids: dict[str, int] = {}
        corpus: list[int] = []
        starts: list[int] = []  # where each post begins in corpus
        for post in self.posts:
            starts.append(len(corpus))
            corpus.extend([ids.setdefault(word, len(ids)) for word in words(post)])
            corpus.append(_SEPARATOR)
        self._ids = ids
        self._starts = np.asarray(starts, dtype=np.int64)
        self._corpus = np.asarray(corpus, dtype=np.int32)
        # Positions sorted by word: word w is at _positions[_first[w]:_first[w + 1]].
        self._positions = np.argsort(self._corpus, kind="stable")
        self._first = np.searchsorted(self._corpus[self._positions], np.arange(len(ids) + 1))
        # Length of the run that ends at a position if the word before it matched too, else 1.
        self._run_at = np.ones(len(corpus), dtype=np.int32)

    @cached_property
    def handles(self) -> list[str]:
        """The accounts that the posts mention, sorted."""
        from huggingtweets.generation.token_rules import handles_in

        return handles_in(self.posts)

    @cached_property
    def first_words(self) -> list[str]:
        """What posts begin with, each once, sorted."""
        return sorted({post.split(maxsplit=1)[0] for post in self.posts if post.strip()})

    def longest_run(self, text: str) -> SharedSpan:
        """Return the longest run of consecutive words shared with one training post."""
        return self._longest(words(text))

    def is_copy(self, text: str) -> bool:
        """Whether a text is a copy."""
        query = words(text)
        return bool(query) and self._longest(query).words >= copy_length(len(query))

    def _longest(self, query: list[str]) -> SharedSpan:
        # Longest common substring by dynamic programming. A row has only the positions where both
        # this word and the previous one match: run(position) = run(position - 1) + 1.
        best, best_position = 0, 0
        ends = self._positions[:0]
        previous: int | None = None
        for word in map(self._ids.get, query):
            if word is not None and not best:
                best, best_position = 1, int(self._positions[self._first[word]])
            previous_ends = ends
            ends = self._pair_ends(previous, word)
            runs = self._run_at[ends - 1] + 1
            self._run_at[previous_ends] = 1
            self._run_at[ends] = runs
            if len(runs) and (longest := int(runs.max())) > best:
                best, best_position = longest, int(ends[runs.argmax()])
            previous = word
        self._run_at[ends] = 1
        return SharedSpan(best, self._post_at(best_position)) if best else SharedSpan(0, "")

    def _pair_ends(self, previous: int | None, word: int | None) -> NDArray[np.int64]:
        """Return the positions of ``word`` right after ``previous``; search the rarer word's."""
        if previous is None or word is None:
            return self._positions[:0]
        first, second = self._positions_of(previous), self._positions_of(word)
        if len(first) < len(second):
            # In range, because a separator ends the last post.
            ends: NDArray[np.int64] = first[self._corpus[first + 1] == word] + 1
        else:
            # Before the very first position is the last separator (index -1), which never matches.
            ends = second[self._corpus[second - 1] == previous]
        return ends

    def _positions_of(self, word: int) -> NDArray[np.int64]:
        return self._positions[self._first[word] : self._first[word + 1]]

    def _post_at(self, position: int) -> str:
        return self.posts[int(self._starts.searchsorted(position, side="right")) - 1]
