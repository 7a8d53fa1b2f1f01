"""Topics: clusters of posts, named after their telling words.

K-means over the posts' vectors finds the clusters. Their number is the one with the highest mean
silhouette (Rousseeuw 1987) on a sample, among the numbers of :data:`CHOICES` that leave
:data:`POSTS_PER_TOPIC` posts a topic. Names are the words with the highest class-based TF-IDF
(Grootendorst 2022, "BERTopic", arXiv 2203.05794): how frequent a word is in the topic, times how
rare it is in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingtweets.exploration.words import WordCounts

CHOICES = (2, 3, 4, 6, 8, 10, 12, 16, 20)
"""Numbers of topics to choose from."""

POSTS_PER_TOPIC = 25
"""Fewest posts for each topic, on average; a table of more topics would show chance."""

MOST_TOPICS = 50

_SILHOUETTE_POSTS = 2_000  # it takes the square of their number
_NAME_WORDS = 4
_WORDS = 12
_LIFT = 1.5  # how much more frequent a telling word is in its topic than in all posts
_RARE = 3  # posts of a topic in which a telling word occurs, at least


@dataclass(frozen=True, slots=True)
class Clustering:
    """The topic of each post.

    Attributes:
        labels: number of each post's topic, from 0, the largest topic first; an array.
        words: telling words of each topic, with their scores, best first.
        nearest: rows of posts by topic, those nearest to its centre first.
        silhouette: mean silhouette of the sample, -1 to 1, by number of topics tried.
    """

    labels: Any
    words: list[list[tuple[str, float]]]
    nearest: list[list[int]]
    silhouette: dict[int, float]

    @property
    def names(self) -> list[str]:
        """A name of each topic."""
        best = (words[:_NAME_WORDS] for words in self.words)
        names = [" · ".join(word for word, _ in words) or "other" for words in best]
        others = [at for at, name in enumerate(names) if name == "other"]
        for number, at in enumerate(others[1:], start=2):  # posts without words, such as emoji
            names[at] = f"other ({number})"
        return names


def find_topics(
    vectors: Any,  # noqa: ANN401 - an array
    counts: WordCounts,
    rows: Any,  # noqa: ANN401 - an array
    number: int | None = None,
    seed: int = 0,
) -> Clustering:
    """Cluster posts, and name the clusters.

    Args:
        vectors: of the posts ``rows``, (posts, dimensions), each of length 1.
        counts: words of all posts.
        rows: numbers of the posts that have vectors. The others get the topic that a naive Bayes
            classifier over words, trained on these, gives them.
        number: of topics; None to choose it.
        seed: of the starting centres and of the sample.
    """
    import numpy as np

    tried: dict[int, float] = {}
    if number is None:
        number, tried = _choose(vectors, seed)
    number = min(number, len(vectors))
    model = _k_means(number, seed).fit(vectors)
    labels = _label_all(model.labels_, counts, rows)
    order = np.argsort(-np.bincount(labels, minlength=number), kind="stable")
    order = order[np.bincount(labels, minlength=number)[order] > 0]
    rank = np.zeros(number, dtype=np.int64)
    rank[order] = np.arange(len(order))
    distance = np.linalg.norm(vectors - model.cluster_centers_[model.labels_], axis=1)
    nearest = []
    for topic in order:
        members = np.flatnonzero(model.labels_ == topic)
        near = members[np.argsort(distance[members], kind="stable")]
        nearest.append([int(row) for row in rows[near[:_WORDS]]])
    labels = rank[labels]
    return Clustering(labels, _telling_words(labels, len(order), counts), nearest, tried)


def _choose(vectors: Any, seed: int) -> tuple[int, dict[int, float]]:  # noqa: ANN401
    """Return the number of topics with the highest silhouette, and all silhouettes."""
    import numpy as np
    from sklearn.metrics import silhouette_score

    sample = vectors[np.random.default_rng(seed).permutation(len(vectors))[:_SILHOUETTE_POSTS]]
    tried = {}
    for number in CHOICES:
        if number > 2 and number * POSTS_PER_TOPIC > len(vectors):
            break
        labels = _k_means(number, seed).fit_predict(sample)
        if len(set(labels.tolist())) > 1:
            tried[number] = float(silhouette_score(sample, labels))
    return max(tried, key=lambda number: tried[number], default=1), tried


def _k_means(number: int, seed: int) -> Any:  # noqa: ANN401 - it has no types
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(number, batch_size=1024, n_init=3, random_state=seed)


def _label_all(labels: Any, counts: WordCounts, rows: Any) -> Any:  # noqa: ANN401 - arrays
    """Return the topic of every post."""
    import numpy as np

    total = counts.matrix.shape[0]
    if len(rows) == total:
        return labels
    from sklearn.naive_bayes import ComplementNB

    given = ComplementNB().fit(counts.matrix[rows], labels).predict(counts.matrix)
    given = np.asarray(given)
    given[rows] = labels
    return given


def _telling_words(labels: Any, number: int, counts: WordCounts) -> list[list[tuple[str, float]]]:  # noqa: ANN401
    """Return the words of each topic with the highest class-based TF-IDF."""
    import numpy as np
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(categories=[range(number)])
    members = encoder.fit_transform(labels.reshape(-1, 1)).T  # sparse, (topics, posts)
    uses = (members @ counts.matrix).toarray().astype(np.float64)
    posts = (members @ (counts.matrix > 0)).toarray()
    in_all = uses.sum(axis=0)
    lengths = np.maximum(uses.sum(axis=1, keepdims=True), 1.0)
    share = uses / lengths
    score = share * np.log1p(lengths.mean() / np.maximum(in_all, 1.0))
    lift = share / np.maximum(in_all / max(in_all.sum(), 1.0), 1e-12)
    telling = (lift >= _LIFT) & (posts >= _RARE)
    words = []
    for topic in range(number):
        allowed = telling[topic] if telling[topic].sum() >= _NAME_WORDS else uses[topic] > 0
        ranked = np.argsort(-np.where(allowed, score[topic], -1.0), kind="stable")
        words.append(_distinct(ranked, allowed, score[topic], counts.words))
    return words


def _distinct(
    ranked: Any,  # noqa: ANN401 - an array
    allowed: Any,  # noqa: ANN401 - an array
    score: Any,  # noqa: ANN401 - an array
    words: list[str],
) -> list[tuple[str, float]]:
    """Return the best words, without those that are there already in another form."""
    chosen: dict[str, tuple[str, float]] = {}
    for column in ranked:
        if not allowed[column] or len(chosen) == _WORDS:
            break
        word = words[column]
        plain = word.lstrip("#").removesuffix("s")
        if plain not in chosen:
            chosen[plain] = (word, float(score[column]))
    return list(chosen.values())
