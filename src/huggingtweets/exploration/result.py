"""The result of exploring authors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from huggingtweets.exploration.authors import Distances
    from huggingtweets.exploration.style import Panel
    from huggingtweets.exploration.vectors import Places

FORMAT = 1

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        name: its most telling words.
        words: its telling words with their class-based TF-IDF, best first.
        posts: number of posts by author.
        examples: numbers of typical posts, the most typical first.
    """

    name: str
    words: tuple[tuple[str, float], ...]
    posts: dict[str, int]
    examples: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of posts."""
        return sum(self.posts.values())


@dataclass(frozen=True, slots=True)
class AuthorStyle:
    """How one author writes.

    Attributes:
        posts: number of posts after curation.
        undated: how many of them have no time.
        features: value of each feature of :data:`~.style.FEATURES`; None where it is unknown.
        hours: share of the posts in each hour of the day, UTC; None without times.
    """

    posts: int
    undated: int
    features: dict[str, float | None]
    hours: list[float] | None


@dataclass(frozen=True, slots=True)
class Method:
    """How the topics were found.

    Attributes:
        base: the base that read the posts, or ``words``.
        read: posts with vectors of their own, from which the topics were found.
        posts: all posts.
        silhouette: by number of topics tried; empty if the user chose the number.
        seed: of all random numbers.
    """

    base: str
    read: int
    posts: int
    silhouette: dict[int, float]
    seed: int


@dataclass(frozen=True)
class Exploration:
    """What authors write about and how.

    Attributes:
        posts: the curated posts, in time order.
        names: authors as people read them, by author, most posts first.
        topics: the largest first.
        labels: number of the topic of each post.
        places: the map of posts.
        styles: by author.
        panel: the style of other people, beside which the authors stand.
        distances: None for one author.
        counts_by_author: numbers of curation.
        left_out: records of the sources that are no posts of the authors, by reason.
        masked: pieces of private data masked, by kind.
        method: how the topics were found.
        notes: sentences about what is missing, and why.
    """

    posts: pl.DataFrame
    names: dict[str, str]
    topics: tuple[Topic, ...]
    labels: Sequence[int]
    places: Places
    styles: dict[str, AuthorStyle]
    panel: Panel
    distances: Distances | None
    counts_by_author: dict[str, dict[str, int]]
    left_out: dict[str, int]
    masked: dict[str, int]
    method: Method
    notes: tuple[str, ...]

    def examples(self, topic: Topic, most: int = _EXAMPLES) -> list[tuple[str, str]]:
        """Return author and text of typical posts of a topic, without two of the same text."""
        texts, authors = self.posts["text"], self.posts["author"]
        found = {texts[row]: authors[row] for row in topic.examples}
        return [(author, text) for text, author in list(found.items())[:most]]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for ``json.dump``; the shape is in the reference."""
        total = self.posts.height
        return {
            "format": FORMAT,
            "authors": [self._author(author) for author in self.names],
            "panel": {
                "authors": self.panel.authors,
                "posts": self.panel.posts,
                "style": {
                    name: {"lowest": low, "mean": mean, "highest": high}
                    for name, (low, mean, high) in self.panel.features.items()
                },
            },
            "topics": [
                {
                    "name": topic.name,
                    "words": [{"word": word, "score": score} for word, score in topic.words],
                    "posts": topic.size,
                    "share": topic.size / total,
                    "by_author": topic.posts,
                    "examples": [text for _, text in self.examples(topic)],
                }
                for topic in self.topics
            ],
            "map": self._map(),
            "distances": self._distances(),
            "left_out": self.left_out,
            "masked": self.masked,
            "method": {
                "base": self.method.base,
                "posts": self.method.posts,
                "read": self.method.read,
                "silhouette": {str(k): value for k, value in self.method.silhouette.items()},
                "seed": self.method.seed,
            },
            "notes": list(self.notes),
        }

    def _author(self, author: str) -> dict[str, Any]:
        style, topics = self.styles[author], [topic.posts.get(author, 0) for topic in self.topics]
        value: dict[str, Any] = {
            "author": author,
            "name": self.names[author],
            "posts": style.posts,
            "counts": self.counts_by_author[author],
            "undated": style.undated,
            "style": style.features,
            "hours": style.hours,
            "topics": [count / style.posts for count in topics],
            "nearest": None,
        }
        if self.distances and self.distances.can_compare(author):
            nearest, distance = self.distances.nearest(author)
            value["nearest"] = {"author": nearest, "distance": distance}
        return value

    def _map(self) -> list[dict[str, Any]]:
        ids, authors = self.posts["id"], self.posts["author"]
        return [
            {"author": authors[row], "id": ids[row], "topic": int(self.labels[row]), "x": x, "y": y}
            for row, x, y in zip(self.places.rows, self.places.x, self.places.y, strict=True)
        ]

    def _distances(self) -> dict[str, Any] | None:
        if self.distances is None:
            return None
        return {
            "authors": list(self.distances.authors),
            "matrix": [list(row) for row in self.distances.matrix],
            "map": [{"x": x, "y": y} for x, y in self.distances.places],
        }
