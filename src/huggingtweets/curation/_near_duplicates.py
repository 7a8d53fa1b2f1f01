"""An index of the posts kept so far, by parts of their word sets.

A part that consists of a few common words, or of a phrase that a bot posts every day, occurs in so
many different posts that it is useless for the search. Posts with such a part are divided again
into other parts and indexed by those as well. The result depends only on the posts kept before and
their order, so curating the kept posts again finds no new duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass

from huggingtweets.curation._set_similarity import divide_again

_MAX_SHARING = 16
"""Kept posts that may share a part before it counts as too common."""

_EXTRA_DIVISIONS = 4
"""Additional divisions of a post. Of 1,292 pairs among 1,472 posts made from one template with two
blanks, none finds 811, four find 1,267 and eight find 1,288."""

_EXTRA_DIVISIONS_LOW, _LOW_THRESHOLD = 1, 0.85
"""The same below this threshold, where parts have two or three words: more divisions would take
most of the time and find few more pairs."""


@dataclass(slots=True)
class IndexedPost:
    """A post in the index.

    Attributes:
        row: of the post.
        words: its word set.
        divisions: the hashes of its parts in each division computed so far.
        indexed: the last division that it was added to the index for.
    """

    row: int
    words: frozenset[str]
    divisions: list[list[int]]
    indexed: int = -1

    def parts(self, division: int, threshold: float) -> list[int]:
        """Return the hashes of the parts of one division."""
        while len(self.divisions) <= division:
            self.divisions.append(divide_again(self.words, threshold, len(self.divisions)))
        return self.divisions[division]


class NearDuplicateIndex:
    """Posts by the hashes of their parts, for each division.

    Args:
        threshold: Jaccard similarity, in (0, 1].
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        is_low = threshold < _LOW_THRESHOLD
        self._last = _EXTRA_DIVISIONS_LOW if is_low else _EXTRA_DIVISIONS
        self._by_part: list[dict[int, list[IndexedPost]]] = [{} for _ in range(self._last + 1)]

    def find_match(self, post: IndexedPost) -> tuple[int, float] | None:
        """Return the row of the earliest post that is similar enough, and its exact similarity."""
        words, sharing = post.words, self._sharing(post)
        for row in sorted(sharing):
            other_words = sharing[row].words
            shared = len(words & other_words)
            similarity = shared / (len(words) + len(other_words) - shared)
            if similarity >= self.threshold:
                return row, similarity
        return None

    def add(self, post: IndexedPost, division: int = 0) -> None:
        """Add a post to the index, up to the given division."""
        if division <= post.indexed:
            return
        post.indexed = division
        by_part = self._by_part[division]
        for part in post.parts(division, self.threshold):
            others = by_part.setdefault(part, [])
            if len(others) < _MAX_SHARING:
                others.append(post)
            if len(others) == _MAX_SHARING and division < self._last:
                for other in others:  # immediately, because later posts skip this part
                    self.add(other, division + 1)
                self.add(post, division + 1)

    def _sharing(self, post: IndexedPost) -> dict[int, IndexedPost]:
        """Return the posts that share a part, by row, using further divisions if one is common."""
        sharing: dict[int, IndexedPost] = {}
        for division, by_part in enumerate(self._by_part):
            has_common_part = False
            for part in post.parts(division, self.threshold):
                others = by_part.get(part, ())
                if len(others) == _MAX_SHARING:
                    has_common_part = True
                else:
                    for other in others:
                        sharing[other.row] = other
            if not has_common_part:
                break
        return sharing
