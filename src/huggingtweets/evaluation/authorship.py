"""Whom a classifier takes a post for, the author or somebody else.

Character n-grams are the usual feature of authorship attribution (Stamatatos 2009, "A survey of
modern authorship attribution methods"): they hold words, spelling, punctuation and emoji habits
alike. A linear model over TF-IDF weighted 2- to 5-grams learns to tell the author's training posts
from a fixed panel of other people (750 posts of 15 members of the US Congress, ``panel.parquet``,
made by ``scripts/make_panel.py``), and then judges posts it has not seen.

How to read it: the share of real held-out posts is what a perfect bot would reach; the share of
the panel's left-out posts is what comes by chance. A panel of politicians who write English makes
the task easy for an author of another subject or language, so only the distance to the two anchors
means something, not the share itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_TRAIN_POSTS = 3_000
"""Newest training posts the classifier sees; more of them only cost time."""

_LEFT_OUT = 5  # every fifth panel post is kept aside to measure false positives
_MAX_FEATURES = 60_000  # the most frequent n-grams; all of them judge alike (within 2 % of posts)


@dataclass(frozen=True, slots=True)
class Authorship:
    """Shares of posts that the classifier gives to the author, 0 to 1 (0 of no posts is 0).

    Attributes:
        bot: of the generations; higher is better, up to ``held_out``.
        held_out: of the author's real held-out posts.
        panel: of other people's posts that the classifier has not seen: false positives.
    """

    bot: float
    held_out: float
    panel: float


def taken_for_author(
    train: Sequence[str],
    generated: Sequence[str],
    held_out: Sequence[str],
    *,
    authors: Iterable[str],
) -> Authorship | None:
    """Judge generations and real posts with a classifier made from ``train`` and the panel.

    Args:
        train: the author's training posts, oldest first.
        generated: posts the bot wrote, unfiltered.
        held_out: real posts that neither the bot nor the classifier has seen.
        authors: handles of the bot's authors; the panel goes without them.

    Returns:
        None when nothing is there to compare: no training post, or no other author in the panel.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    others = panel_posts(without=authors)
    if not train or not others:
        return None
    left_out = others[::_LEFT_OUT]
    known = [post for i, post in enumerate(others) if i % _LEFT_OUT]
    own = _plain(train[-MAX_TRAIN_POSTS:])
    model = make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=(2, 5), sublinear_tf=True, max_features=_MAX_FEATURES
        ),
        LogisticRegression(class_weight="balanced", C=10.0, solver="liblinear", random_state=0),
    )
    model.fit(own + known, [1] * len(own) + [0] * len(known))

    def share(posts: list[str]) -> float:
        return float(model.predict(posts).mean()) if posts else 0.0

    return Authorship(share(_plain(generated)), share(_plain(held_out)), share(left_out))


def panel_posts(without: Iterable[str] = ()) -> list[str]:
    """Return the panel's posts without those of some authors (any case, with or without @)."""
    left_out = {name.lstrip("@").lower() for name in without}
    return [text for author, text in _panel() if author.lower() not in left_out]


@cache
def _panel() -> list[tuple[str, str]]:
    data = resources.files(__package__).joinpath("panel.parquet").read_bytes()
    table = pl.read_parquet(BytesIO(data))
    return list(zip(table["author"], table["text"], strict=True))


def _plain(posts: Iterable[str]) -> list[str]:
    # The panel has no line breaks; where the author's were kept they would give every post away.
    return [" ".join(post.split()) for post in posts]
