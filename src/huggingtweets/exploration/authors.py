"""Who writes like whom: distances between authors by how they write, not what about.

The distance is Cosine Delta (Smith & Aldridge 2011; Evert et al. 2017, "Understanding and
explaining Delta measures for authorship attribution"): the frequencies of the most frequent words
and marks, as z-scores over all authors, compared by the angle between them. Frequent words are
function words, so the subject matters little. Hashtags, mentions, numbers and emoji each count as
one word, whichever they are.

The panel's people are part of the z-scores, so that two authors can be compared: without them, two
authors would be opposites by construction. Each distance is the mean of two, between halves of the
authors' posts, so that it can be held against the distance of an author's two halves to each other.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORDS = 300
"""Most frequent words compared; posts are too short for the 2,000 of novels."""

MOST_POSTS = 1_000
"""Posts per author, a random sample; the frequent words of 500 posts a half are stable."""

ENOUGH_POSTS = 200
"""Fewest posts of an author whose distances mean something. With 200, the two halves of all 15
authors were nearer to each other than to anybody else's; with 100 those of 11, with 50 of 7, with
20 of 8 (``benchmarks/explore.py --authors``)."""

_TOKEN = re.compile(r"<\w+>|#\w+|@\w+|\d[\d.,:]*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_EMOJI_FROM = "\u2600"

_LEAST_SHARE = 0.2
"""Of an author's words, those among the frequent ones; about half are in English. Below it, as in
a language that the others don't write, only marks would be compared."""


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances between authors: 0 is the same, 1 unrelated, up to 2.

    Attributes:
        authors: in the order of the rows and columns.
        matrix: distance of each pair; the diagonal is the distance of an author's two halves.
        places: two coordinates of each author.
        panel: two coordinates of each of the panel's people.
        comparable: whether each author uses enough of the frequent words to be compared.
    """

    authors: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    places: tuple[tuple[float, float], ...]
    panel: tuple[tuple[float, float], ...]
    comparable: tuple[bool, ...]

    def can_compare(self, author: str) -> bool:
        """Whether an author and somebody else use the frequent words."""
        return self.comparable[self.authors.index(author)] and sum(self.comparable) > 1

    def nearest(self, author: str) -> tuple[str, float]:
        """Return the nearest other author and the distance, of those who can be compared if any."""
        row = self.authors.index(author)
        others = [
            (not self.comparable[at], value, at)
            for at, value in enumerate(self.matrix[row])
            if at != row
        ]
        _, distance, at = min(others)
        return self.authors[at], distance

    def own(self, author: str) -> float:
        """Return the distance of an author's two halves."""
        row = self.authors.index(author)
        return self.matrix[row][row]


def distances(
    texts: Mapping[str, Sequence[str]], panel: Mapping[str, Sequence[str]], seed: int = 0
) -> Distances:
    """Measure the distances between authors.

    Args:
        texts: curated posts by author, two authors or more, each with two posts or more.
        panel: curated posts of other people.
        seed: of the samples and halves.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    halves: list[Counter[str]] = []
    for posts in texts.values():
        chosen = rng.permutation(len(posts))[:MOST_POSTS]
        halves += [_counts([posts[at] for at in chosen[part::2]]) for part in (0, 1)]
    others = [_counts(posts) for posts in panel.values()]
    wholes = [first + second for first, second in zip(halves[::2], halves[1::2], strict=True)]
    people = [*wholes, *others]
    words = _most_frequent(people)
    reference = _frequencies(people, words)
    mean, spread = reference.mean(axis=0), reference.std(axis=0)
    spread[spread == 0] = 1.0

    def directions(counts: Sequence[Counter[str]]) -> Any:  # noqa: ANN401 - an array
        scores = (_frequencies(counts, words) - mean) / spread
        return scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-9)

    parts = directions(halves)
    first, second = parts[::2], parts[1::2]
    matrix = 1 - (first @ second.T + second @ first.T) / 2
    places = _plane(directions(people))
    return Distances(
        tuple(texts),
        tuple(tuple(map(float, row)) for row in matrix),
        places[: len(wholes)],
        places[len(wholes) :],
        tuple(_share_of_words(counts, words) >= _LEAST_SHARE for counts in wholes),
    )


def _share_of_words(counts: Counter[str], frequent: Sequence[str]) -> float:
    """Return the share of an author's words, marks aside, that are among the frequent ones."""
    known = set(frequent)
    words = {word: count for word, count in counts.items() if word[0].isalpha()}
    total = sum(words.values())
    return sum(count for word, count in words.items() if word in known) / total if total else 0.0


def _most_frequent(people: Sequence[Counter[str]]) -> list[str]:
    """Return the words with the highest mean frequency, so that no author's number of posts counts.

    A word that only one person uses, such as a name, is left out.
    """
    total: Counter[str] = Counter()
    users: Counter[str] = Counter()
    for counts in people:
        size = sum(counts.values()) or 1
        for word, count in counts.items():
            total[word] += count / size  # type: ignore[assignment]  # frequencies add up, too
            users[word] += 1
    shared = [word for word in total if users[word] > 1] or list(total)
    return sorted(shared, key=lambda word: (-total[word], word))[:WORDS]


def _frequencies(people: Sequence[Counter[str]], words: Sequence[str]) -> Any:  # noqa: ANN401
    import numpy as np

    rows = [[counts[word] / (sum(counts.values()) or 1) for word in words] for counts in people]
    return np.array(rows, dtype=np.float64)


def _counts(posts: Sequence[str]) -> Counter[str]:
    return Counter(_kind(token) for post in posts for token in _TOKEN.findall(post.lower()))


def _kind(token: str) -> str:
    """Return a token, or what it is an example of."""
    first = token[0]
    if first in "#@<" and len(token) > 1:
        return first
    if first.isdigit():
        return "0"
    return "☺" if first >= _EMOJI_FROM and not first.isalnum() else token


def _plane(rows: Any) -> tuple[tuple[float, float], ...]:  # noqa: ANN401 - an array
    """Project rows on their two principal components, with fixed signs."""
    from sklearn.decomposition import PCA

    if min(rows.shape) < 2:
        return tuple((float(at), 0.0) for at in range(len(rows)))
    places = PCA(2, random_state=0).fit_transform(rows)
    return tuple((float(x), float(y)) for x, y in places)
