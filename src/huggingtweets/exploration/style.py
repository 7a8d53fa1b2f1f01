"""Writing style: length, emoji, capitals, punctuation, hashtags, mentions, readability, hours.

Each feature of an author stands beside the panel of :mod:`huggingtweets.evaluation.authorship`:
other people's posts, curated in the same way. Links are not counted, because curation removes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.evaluation import authorship

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMOJI = r"[\p{Emoji_Presentation}\x{2600}-\x{27BF}\x{1F1E6}-\x{1FAFF}]"
_NAMES = r"[#@]\w+|<\w+>"
"""Hashtags, mentions and placeholders of masked data: they are no words of a sentence."""
_WORD = r"[\p{L}\p{N}][\p{L}\p{N}'’-]*"
_CAPITALS = r"\b\p{Lu}{2,}\b"
_SENTENCE_END = r"[.!?…。！？]+(?:\s|$)"  # a decimal point ends no sentence
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_LONG = r"[\p{L}]{7,}"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of style.

    Attributes:
        label: what it measures, for people.
        form: Python format of its value.
        meaning: how it is counted.
    """

    label: str
    form: str
    meaning: str


FEATURES = {
    "characters": Feature("length, characters", ".0f", "median of the posts"),
    "words": Feature("length, words", ".0f", "median of the posts"),
    "emoji": Feature("posts with emoji", ".0%", "share of the posts"),
    "capitals": Feature("words in CAPITALS", ".1%", "share of the words, from two letters"),
    "punctuation": Feature("punctuation", ".1f", "marks per 100 characters, besides # and @"),
    "exclamations": Feature("posts with !", ".0%", "share of the posts"),
    "questions": Feature("posts with ?", ".0%", "share of the posts"),
    "hashtags": Feature("hashtags per post", ".2f", "mean"),
    "mentions": Feature("mentions per post", ".2f", "mean"),
    "readability": Feature(
        "readability, LIX",
        ".0f",
        "words per sentence plus the percentage of words over six letters (Björnsson 1968): under "
        "30 is very easy, over 55 hard; unknown for scripts without spaces",
    ),
}
"""All features, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The style of other people.

    Attributes:
        authors: number of people.
        posts: number of their posts.
        features: lowest, mean and highest value among the people, by feature.
    """

    authors: int
    posts: int
    features: dict[str, tuple[float, float, float]]


def features_by_author(posts: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Measure the features of each author.

    Args:
        posts: with the columns ``author`` and ``text``, curated.

    Returns:
        A value for each feature by author; None where it can't be measured.
    """
    text, words = pl.col("text"), pl.col("plain").str
    plain = posts.select("author", "text", text.str.replace_all(_NAMES, " ").alias("plain"))
    counted = plain.select(
        "author",
        characters=text.str.len_chars(),
        words=words.count_matches(_WORD),
        emoji=words.contains(_EMOJI),
        capitals=words.count_matches(_CAPITALS),
        punctuation=words.count_matches(r"\p{P}"),
        exclamations=words.contains("[!！]"),
        questions=words.contains("[?？]"),
        hashtags=text.str.count_matches(r"#\w+"),
        mentions=text.str.count_matches(r"@\w+"),
        long=words.count_matches(_LONG),
        sentences=words.strip_chars().str.count_matches(_SENTENCE_END).clip(lower_bound=1),
        unspaced=words.contains(_UNSPACED),
    )
    number = pl.col("words").sum()
    lix = number / pl.col("sentences").sum() + 100 * pl.col("long").sum() / number
    table = counted.group_by("author", maintain_order=True).agg(
        pl.col("characters", "words").median(),
        *(pl.col(name).mean() for name in ("emoji", "exclamations", "questions")),
        *(pl.col(name).mean() for name in ("hashtags", "mentions")),
        capitals=pl.col("capitals").sum() / number,
        punctuation=100 * pl.col("punctuation").sum() / pl.col("characters").sum(),
        readability=pl.when(pl.col("unspaced").mean() < 0.5).then(lix),
    )
    return {
        row["author"]: {name: _finite(row[name]) for name in FEATURES}
        for row in table.iter_rows(named=True)
    }


def panel(without: Iterable[str]) -> Panel:
    """Measure the panel.

    Args:
        without: authors who are left out of it.
    """
    by_author = authorship.panel_by_author(without)
    rows = [(author, text) for author, texts in by_author.items() for text in texts]
    posts = pl.DataFrame(rows, schema={"author": pl.String, "text": pl.String}, orient="row")
    people = features_by_author(posts).values()
    features = {}
    for name in FEATURES:
        values = [value for person in people if (value := person[name]) is not None]
        if values:
            features[name] = (min(values), sum(values) / len(values), max(values))
    return Panel(len(by_author), len(rows), features)


def hours(posts: pl.DataFrame) -> list[float] | None:
    """Return the share of the dated posts that were written in each hour of the day, UTC.

    A post of exactly midnight has no known hour if all have: some exports give only days.

    Returns:
        24 shares, or None if no post has a time.
    """
    times = posts["created_at"].drop_nulls()
    if times.is_empty() or (times.dt.time() == times.dt.time().min()).all():
        return None
    counts = times.dt.hour().value_counts()
    shares: dict[int, Any] = dict(zip(counts[times.name], counts["count"], strict=True))
    return [shares.get(hour, 0) / len(times) for hour in range(24)]


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN
