"""The posts kept so far, found again by the parts of their words.

A part of a few common words, or of what a weather bot says every day, is in so many posts which
aren't alike that it tells nothing. Posts that have such a part in common are divided again, other
words together, and looked for by those parts as well. What is found depends on nothing but the
posts kept before and their order, so that curating the kept ones again finds nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.curation._set_similarity import divide_again

_MOST = 16
"""Posts kept that may have a part in common and yet differ, before it tells nothing."""

_AGAIN = 4
"""How often a post is divided again. Of 1,292 pairs among 1,472 posts of a sentence with two places
to fill in, 811 are found without, 1,267 with four times and 1,288 with eight."""

_AGAIN_IF_SHORT, _SHORT_BELOW = 1, 0.85
"""The same below this threshold, where parts are of two or three words: dividing them again takes
most of the time and finds few posts more."""


@dataclass(slots=True)
class IndexedPost:
    """A post's row and words, its parts of each division that was needed, and the last entered."""

    row: int
    words: frozenset[str]
    divisions: list[list[int]]
    entered: int = -1

    def parts(self, division: int, threshold: float) -> list[int]:
        """The numbers of the parts of one division."""
        while len(self.divisions) <= division:
            self.divisions.append(divide_again(self.words, threshold, len(self.divisions)))
        return self.divisions[division]


class NearDuplicateIndex:
    """Posts by their parts, for each division of their words."""

    def __init__(self, threshold: float) -> None:
        """Start without any; for the threshold see :func:`candidates`."""
        self.threshold = threshold
        self._last = _AGAIN if threshold >= _SHORT_BELOW else _AGAIN_IF_SHORT
        self._having: list[dict[int, list[IndexedPost]]] = [{} for _ in range(self._last + 1)]

    def find_match(self, post: IndexedPost) -> tuple[int, float] | None:
        """Return the row of the earliest post that is similar enough, and its exact similarity."""
        words, met = post.words, self._sharing(post)
        for row in sorted(met):
            others = met[row].words
            shared = len(words & others)
            similarity = shared / (len(words) + len(others) - shared)
            if similarity >= self.threshold:
                return row, similarity
        return None

    def add(self, post: IndexedPost, division: int = 0) -> None:
        """Keep a post, so that later ones find it."""
        if division <= post.entered:
            return
        post.entered = division
        having = self._having[division]
        for part in post.parts(division, self.threshold):
            others = having.setdefault(part, [])
            if len(others) < _MOST:
                others.append(post)
            if len(others) == _MOST and division < self._last:
                for other in others:  # at once, or those before would be missed
                    self.add(other, division + 1)
                self.add(post, division + 1)

    def _sharing(self, post: IndexedPost) -> dict[int, IndexedPost]:
        """The posts with a part in common, by their rows; divided again while it tells nothing."""
        met: dict[int, IndexedPost] = {}
        for division, having in enumerate(self._having):
            is_clear = True
            for part in post.parts(division, self.threshold):
                others = having.get(part, ())
                if len(others) == _MOST:
                    is_clear = False
                else:
                    for other in others:
                        met[other.row] = other
            if is_clear:
                break
        return met
