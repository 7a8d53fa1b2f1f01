"""Hashtags that an author would put to a text, told by the words of the posts with each tag.

One weight a word and tag, fitted to the author's posts with tags by ridge regression on TF-IDF
(Hoerl and Kennard 1970; Salton and Buckley 1988). The study in ``docs/research/hashtags.md``
compares it with the most frequent tags, the nearest post and the bot's own probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.arguments import PostCount, Text, checked
from huggingtweets.data import hashtags
from huggingtweets.data.hashtags import Hashtags
from huggingtweets.errors import InputError
from huggingtweets.generation import bots, copy_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RIDGE = 1.0
"""Strength of the penalty on the weights."""

_MOST_POSTS = 4_000
"""The newest posts with tags that are used. The time grows with the cube, a second for these."""

_FREQUENCY = 1e-3
"""Weight of a tag's share of the posts: it decides where the words say nothing."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed tag.

    Attributes:
        hashtag: the tag, without ``#``.
        score: higher is better; about the share of posts with such words that have the tag.
        posts: number of the author's posts with it.
    """

    hashtag: str
    score: float
    posts: int


class HashtagModel:
    """Scores an author's tags for texts.

    Args:
        posts: the author's curated posts, oldest first.

    Raises:
        InputError: no post has a tag.
    """

    def __init__(self, posts: Sequence[str]) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.tags = Hashtags(posts)
        self.tags.check_any()
        tagged = [(post, keys) for post in posts if (keys := hashtags.keys_in(post))]
        tagged = tagged[-_MOST_POSTS:]
        column = {tag.key: number for number, tag in enumerate(self.tags.ranked)}
        wanted = np.zeros((len(tagged), len(column)))
        for row, (_, keys) in enumerate(tagged):
            wanted[row, [column[key] for key in keys]] = 1.0
        self._vectors = TfidfVectorizer(analyzer=_words, sublinear_tf=True)
        try:
            self._posts: Any = self._vectors.fit_transform([post for post, _ in tagged])
        except ValueError:  # no post has a word besides its tags
            self._vectors = TfidfVectorizer(analyzer=_words, vocabulary=[""])
            self._posts = self._vectors.fit_transform([post for post, _ in tagged])
        alike = (self._posts @ self._posts.T).toarray()
        alike[np.diag_indices_from(alike)] += _RIDGE
        self._weights: Any = np.linalg.solve(alike, wanted)
        counts = np.array([tag.posts for tag in self.tags.ranked], dtype=float)
        self._frequency: Any = _FREQUENCY * counts / len(posts)

    def scores(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - an array
        """Score all tags, in the order of ``tags.ranked``, for each text; (texts, tags)."""
        alike = self._vectors.transform(texts) @ self._posts.T
        return alike @ self._weights + self._frequency

    def propose(self, text: str, n: int) -> list[Proposal]:
        """Return the ``n`` best tags that the text doesn't have yet, the best first."""
        given = set(hashtags.keys_in(text))
        scores = self.scores([text])[0].tolist()
        found = [
            Proposal(tag.name, round(score, 4), tag.posts)
            for tag, score in zip(self.tags.ranked, scores, strict=True)
            if tag.key not in given
        ]
        return sorted(found, key=lambda one: -one.score)[:n]  # the more frequent of equals first

    def knows(self, text: str) -> bool:
        """Whether a word of the text is in the author's posts with tags."""
        return bool(self._vectors.transform([text]).nnz)


@checked
def propose_hashtags(bot: str | Path, text: Text, n: PostCount = 5) -> list[Proposal]:
    """Return the hashtags that a bot's author would put to a text, the best first.

    Only tags of the posts that the bot learnt are proposed; its model isn't needed.

    Args:
        bot: a run folder.
        text: the text. Tags in it are not proposed again.
        n: number of tags.

    Raises:
        InputError: the text has no words, or the author uses no tags.
        BotError: there is no such run.
        OptedOutError: the author asked not to be imitated.
    """
    return hashtag_model(bot, text).propose(text, n)


def hashtag_model(bot: str | Path, text: str) -> HashtagModel:
    """Return a model of the tags of a bot's author, for a text.

    Raises:
        InputError: as :func:`propose_hashtags`.
    """
    if not hashtags.has_words(text):
        raise InputError("The text has no words, so no hashtag can be proposed for it.")
    return HashtagModel(bots.training_posts(bots.find_run_folder(bot)))


def _words(text: str) -> list[str]:
    """The words of a text without its tags, but with words of its sentences that are marked."""
    return copy_index.words(hashtags.without_tags(text, keep_words=True))
