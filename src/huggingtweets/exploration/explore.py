"""Explore authors: read and curate their posts, then find topics, styles and distances."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import InputError
from huggingtweets.evaluation import authorship
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.exploration import authors, posts, style, topics, vectors
from huggingtweets.exploration.result import AuthorStyle, Exploration, Method, Topic
from huggingtweets.exploration.words import WordCounts
from huggingtweets.nn import devices, language_model
from huggingtweets.sources import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from huggingtweets.exploration.authors import Distances
    from huggingtweets.exploration.posts import Collection
    from huggingtweets.exploration.topics import Clustering
    from huggingtweets.exploration.vectors import Places, PostVectors
    from huggingtweets.nn.language_model import LanguageModel


def explore(
    specs: Sequence[str | Path],
    curating: CurationOptions | None = None,
    reading: ReadOptions | None = None,
    *,
    base: str = language_model.POCKET,
    number: int | None = None,
    seed: int = 0,
    device: str | None = None,
    listen: EventHandler = ignore,
) -> Exploration:
    """Explore the authors of sources and runs; nothing is written.

    Args:
        specs: files, folders, accounts, datasets and run folders.
        curating: options of curation.
        reading: options of reading.
        base: reads the posts, any base; ``words`` for their words alone.
        number: of topics; None to choose it.
        seed: of all random numbers.
        device: for the base; None for the fastest.
        listen: called with every event.

    Raises:
        SourceError: a source can't be read.
        OptedOutError: an author asked not to be imitated.
        InsufficientTextError: no author has enough posts.
        BaseModelError: the base can't be loaded.
        InputError: the number of topics or the seed is out of range.
    """
    check_numbers(number, seed)
    model = None if base == vectors.WORDS else _load(base, device)  # before hours of downloading
    found = posts.collect(
        specs, curating or CurationOptions(), reading or ReadOptions(), listen=listen
    )
    texts = found.kept["text"].to_list()
    counts = WordCounts(texts)
    placed = vectors.vectors_of(texts, counts, model, seed=seed, listen=listen)
    listen(Event(stage="encode", message="topics"))
    clustering = topics.find_topics(placed.matrix, counts, placed.rows, number, seed)
    listen(Event(stage="encode", message="the map"))
    places = vectors.on_a_map(placed, seed)
    listen(Event(stage="encode", message="styles"))
    panel = authorship.panel_by_author(found.authors)
    distances = (
        authors.distances(_texts_by_author(found.kept, found.authors), panel, seed)
        if len(found.authors) > 1
        else None
    )
    return Exploration(
        posts=found.kept,
        names=found.names,
        topics=_topics(clustering, found.kept),
        labels=clustering.labels.tolist(),
        places=places,
        styles=_styles(found.kept),
        panel=style.panel(found.authors),
        distances=distances,
        counts_by_author=found.counts_by_author,
        left_out=found.left_out,
        masked=found.masked,
        method=Method(base, len(placed.rows), len(texts), clustering.silhouette, seed),
        notes=_notes(found, placed, places, distances),
    )


def check_numbers(number: int | None, seed: int) -> None:
    """Check the number of topics and the seed.

    Raises:
        InputError: one is out of range.
    """
    if number is not None and not 1 <= number <= topics.MOST_TOPICS:
        raise InputError(f"--topics must be from 1 to {topics.MOST_TOPICS}, not {number}.")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be from 0 to 2^32 - 1, not {seed}.")


def _load(base: str, device: str | None) -> LanguageModel:
    return language_model.load(base).to(devices.select_device(device, None))


def _texts_by_author(kept: pl.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    parts = kept.partition_by("author", as_dict=True)
    return {name: parts[(name,)]["text"].to_list() for name in names}


def _styles(kept: pl.DataFrame) -> dict[str, AuthorStyle]:
    features = style.features_by_author(kept)
    return {
        str(author): AuthorStyle(
            posts=part.height,
            undated=part["created_at"].null_count(),
            features=features[str(author)],
            hours=style.hours(part),
        )
        for (author,), part in kept.partition_by("author", as_dict=True).items()
    }


def _topics(clustering: Clustering, kept: pl.DataFrame) -> tuple[Topic, ...]:
    pairs = Counter(zip(clustering.labels.tolist(), kept["author"], strict=True))
    by_topic: list[dict[str, int]] = [{} for _ in clustering.words]
    for (topic, author), count in pairs.most_common():
        by_topic[topic][author] = count
    return tuple(
        Topic(name, tuple(words), by_topic[at], tuple(clustering.nearest[at]))
        for at, (name, words) in enumerate(zip(clustering.names, clustering.words, strict=True))
    )


def _notes(
    found: Collection, placed: PostVectors, places: Places, distances: Distances | None
) -> tuple[str, ...]:
    """Say what is a sample, and what is missing."""
    notes = list(found.notes)
    total = found.kept.height
    if (read := len(placed.rows)) < total:
        notes.append(
            f"The topics were found in a random sample of {read:,} of {total:,} posts; a naive "
            "Bayes classifier over words gave the others their topics."
        )
    if (shown := len(places.rows)) < total:
        notes.append(f"The map shows a random sample of {shown:,} of {total:,} posts.")
    sizes = found.kept["author"].value_counts()["count"]
    if len(found.authors) == 1:
        notes.append(
            "The map of authors and who writes like whom need two authors with "
            f"{posts.FEWEST_POSTS} posts or more; here is one, {next(iter(found.names.values()))}."
        )
        return tuple(notes)
    assert distances is not None  # noqa: S101 - there are two authors
    can = dict(zip(distances.authors, distances.comparable, strict=True))
    if strange := [name for author, name in found.names.items() if not can[author]]:
        names = ", ".join(strange[:3]) + (" and others" if len(strange) > 3 else "")
        notes.append(
            f"Whom {names} write like can't be told: they hardly use the words that are frequent "
            "here, as in another language."
        )
    if (few := int((sizes < authors.ENOUGH_POSTS).sum())) > 0:
        notes.append(
            f"Distances of authors with under {authors.ENOUGH_POSTS} posts are largely chance "
            f"({few} of {len(sizes)} here)."
        )
    if (sizes > authors.MOST_POSTS).any():
        notes.append(
            f"Distances between authors are of up to {authors.MOST_POSTS:,} posts each, a random "
            "sample."
        )
    return tuple(notes)
