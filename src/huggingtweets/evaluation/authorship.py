"""Authorship attribution: how often a classifier assigns posts to the author.

Character n-grams are the usual feature (Stamatatos 2009, "A survey of modern authorship attribution
methods"), since they capture words, spelling, punctuation and emoji. A linear model over TF-IDF
weighted 2- to 5-grams learns to distinguish the author's training posts from a fixed panel of other
people (750 posts of 15 members of the US Congress, ``panel.parquet``, made by
``scripts/make_panel.py``). It then classifies posts it has not seen.

The share of real held-out posts is what a perfect bot would reach; the share of the panel's test
posts is the false positive rate. The panel consists of politicians who write English, so
the task is easy for an author with another subject or language. Only the distance to the two
anchors is meaningful, not the share itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_TRAIN_POSTS = 3_000
"""Newest training posts of the classifier; more of them take time and change little."""

_TEST_EVERY = 5  # every fifth panel post measures false positives
_MAX_FEATURES = 60_000  # the most frequent n-grams; all n-grams change under 2 % of the decisions


@dataclass(frozen=True, slots=True)
class Authorship:
    """Shares of posts that the classifier assigns to the author, 0 to 1; 0 if there are none.

    Attributes:
        bot: share of the bot's posts; higher is better, up to ``held_out``.
        held_out: share of the author's held-out posts.
        panel: share of the panel's test posts: the false positive rate.
    """

    bot: float
    held_out: float
    panel: float


def classify_authorship(
    train: Sequence[str],
    generated: Sequence[str],
    held_out: Sequence[str],
    *,
    authors: Iterable[str],
) -> Authorship | None:
    """Train a classifier on the author's and the panel's posts and classify unseen posts.

    Args:
        train: the author's training posts, oldest first.
        generated: unfiltered posts of the bot.
        held_out: real posts that neither the bot nor the classifier has seen.
        authors: handles of the bot's authors, who are removed from the panel.

    Returns:
        None if there is no training post or no other author in the panel.
    """
    panel = panel_posts(without=authors)
    if not train or not panel:
        return None
    panel_train = [post for i, post in enumerate(panel) if i % _TEST_EVERY]
    given_to_author = author_classifier(train[-MAX_TRAIN_POSTS:], panel_train)

    def share(posts: Sequence[str]) -> float:
        given = given_to_author(posts)
        return sum(given) / len(given) if given else 0.0

    return Authorship(
        bot=share(generated), held_out=share(held_out), panel=share(panel[::_TEST_EVERY])
    )


def still_by_author(
    posts: Sequence[str], rewritten: Sequence[str | None], *, authors: Iterable[str]
) -> list[bool]:
    """Whether the classifier gives each rewritten post to the author of the posts.

    Posts at even places are judged by a classifier that learnt from those at odd places, and the
    other way round: one that has learnt a post recognises it by the words that are left.

    Args:
        posts: posts of one author.
        rewritten: the same posts rewritten; None counts as not the author's.
        authors: handles who are removed from the panel.

    Returns:
        A value for each post; all False if no other author is in the panel, or there are under two
        posts.
    """
    result = [False] * len(posts)
    panel = panel_posts(without=authors)
    for half in (0, 1):
        own = posts[1 - half :: 2]
        chosen = [
            (i, text) for i, text in enumerate(rewritten) if i % 2 == half and text is not None
        ]
        if not (panel and own and chosen):
            continue
        given_to_author = author_classifier(own[-MAX_TRAIN_POSTS:], panel)
        given = given_to_author([text for _, text in chosen])
        for (i, _), is_given in zip(chosen, given, strict=True):
            result[i] = is_given
    return result


def author_classifier(
    own: Sequence[str], others: Sequence[str]
) -> Callable[[Sequence[str]], list[bool]]:
    """Train a classifier.

    Args:
        own: posts of the author.
        others: posts of other people.

    Returns:
        A function that tells for each post whether the classifier gives it to the author.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=(2, 5), sublinear_tf=True, max_features=_MAX_FEATURES
        ),
        LogisticRegression(class_weight="balanced", C=10.0, solver="liblinear", random_state=0),
    )
    texts = [*_without_line_breaks(own), *_without_line_breaks(others)]
    model.fit(texts, [1] * len(own) + [0] * len(others))

    def given_to_author(posts: Sequence[str]) -> list[bool]:
        if not posts:
            return []
        return [bool(value) for value in model.predict(_without_line_breaks(posts))]

    return given_to_author


def panel_posts(without: Iterable[str] = ()) -> list[str]:
    """Posts of the panel, without those of some authors (any case, with or without @)."""
    return [text for posts in panel_by_author(without).values() for text in posts]


def panel_by_author(without: Iterable[str] = ()) -> dict[str, list[str]]:
    """Posts of each author of the panel, without some authors (any case, with or without @)."""
    excluded = {name.lstrip("@").lower() for name in without}
    posts: dict[str, list[str]] = {}
    for author, text in _panel():
        if author.lower() not in excluded:
            posts.setdefault(author, []).append(text)
    return posts


@cache
def _panel() -> list[tuple[str, str]]:
    data = resources.files(__package__).joinpath("panel.parquet").read_bytes()
    table = pl.read_parquet(BytesIO(data))
    return list(zip(table["author"], table["text"], strict=True))


def _without_line_breaks(posts: Iterable[str]) -> list[str]:
    # The panel's posts have no line breaks, so they would identify the author's posts.
    return [" ".join(post.split()) for post in posts]
