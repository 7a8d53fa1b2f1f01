"""What is new in a source, and which posts an update trains on and is judged on."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import curation, sources
from huggingtweets.curation import CurationOptions
from huggingtweets.data import batching
from huggingtweets.privacy import deleted_posts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.storage.run_folder import RunRecord


@dataclass(frozen=True, slots=True)
class NewPosts:
    """What is new in the posts of a source.

    Attributes:
        posts: all posts: those of the run, in their newest form, and the new ones.
        new: ids of the new posts, with their authors.
        edited: the same of the posts that were changed.
        missing: the same of the run's posts that aren't in the source any more.
    """

    posts: pl.DataFrame
    new: pl.DataFrame
    edited: pl.DataFrame
    missing: pl.DataFrame

    def fingerprint(self) -> str:
        """Return a hash of the new and the changed posts."""
        key = ["author", "id"]
        rows = self.posts.join(pl.concat([self.new, self.edited]), on=key, how="semi")
        lines = sorted("\0".join(row) for row in rows.select(*key, "text").iter_rows())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TrainingPosts:
    """The posts of an update's training, by author.

    Attributes:
        learnt: those that the bot didn't know.
        replayed: some of those it knew.
    """

    learnt: Mapping[str, list[str]]
    replayed: Mapping[str, list[str]]

    @classmethod
    def of(
        cls,
        kept: pl.DataFrame,
        before: pl.DataFrame,
        found: NewPosts,
        record: RunRecord,
        replay: float,
    ) -> TrainingPosts:
        """Choose the posts; every author gets as many as the one with the most new ones."""
        key = ["author", "id"]
        knew = before.filter(pl.col("split") == "train").select(key)
        knew = knew.join(found.edited, on=key, how="anti")
        train = kept.filter(pl.col("split") == "train")
        learnt = train.join(knew, on=key, how="anti", maintain_order="left")
        known = train.join(knew, on=key, how="semi", maintain_order="left")
        by_author = {a: learnt.filter(author=a)["text"].to_list() for a in record.authors}
        wanted = round(max(map(len, by_author.values())) * (1 + replay))
        chance = random.Random(f"{record.config['seed']}/{record.version}/replay")
        replayed = {}
        for author, posts in by_author.items():
            texts = known.filter(author=author)["text"].to_list()
            replayed[author] = chance.sample(texts, min(len(texts), max(0, wanted - len(posts))))
        return cls(by_author, replayed)

    def texts(self) -> list[list[str]]:
        """Return all posts to train on, by author; authors without any are left out."""
        both = ([*self.learnt[author], *self.replayed[author]] for author in self.learnt)
        return [posts for posts in both if posts]

    @staticmethod
    def size(posts: Mapping[str, list[str]]) -> int:
        """Return the number of posts of all authors."""
        return sum(map(len, posts.values()))


def what_is_new(
    before: pl.DataFrame, read: pl.DataFrame, options: CurationOptions | None = None
) -> NewPosts:
    """Compare the posts of a run with those of a source.

    A post is known by its text, as files may number their posts anew, or by an id that no other
    post has. With such an id and another text it was edited, unless the new text only breaks off
    earlier, as some interfaces give it.

    Args:
        before: posts as the run stores them, masked.
        read: posts as they were read.
        options: of the run's curation; they say what is masked.
    """
    key = ["author", "id"]
    read = curation.without_masked(read, options or CurationOptions())
    unknown = read.join(before, on=["author", "text"], how="anti", maintain_order="left")
    unique = unknown["id"].map_elements(deleted_posts.is_unique, return_dtype=pl.Boolean)
    stored = before.select(*key, stored="text").unique(key)
    unknown = unknown.with_columns(unique=unique).join(
        stored, on=key, how="left", maintain_order="left"
    )
    same = pl.col("unique") & pl.col("stored").is_not_null()
    start = pl.col("text").str.strip_chars_end(" …")
    is_shorter = pl.col("stored").str.starts_with(start)
    edited = unknown.filter(same & ~is_shorter).select(before.columns)
    new = unknown.filter(~same).select(before.columns)
    rest = before.join(edited, on=key, how="anti", maintain_order="left")
    posts = sources.merge_posts([rest, edited, new])
    fresh = posts.join(rest, on=key, how="anti").join(edited, on=key, how="anti")
    oldest = read["created_at"].min()
    gone = before.join(read, on=key, how="anti").join(read, on=["author", "text"], how="anti")
    if oldest is not None:
        gone = gone.filter(pl.col("created_at") >= oldest)
    return NewPosts(posts, fresh.select(key), edited.select(key), gone.select(key))


def split_again(
    kept: pl.DataFrame, before: pl.DataFrame, config: Mapping[str, Any]
) -> pl.DataFrame:
    """Split old and new posts: what the bot learnt is never held out, else the run's rule holds."""
    rule = config["split"]
    split = batching.split(kept, holdout=config["holdout"], rule=rule, seed=config["seed"])
    was = before.select("author", "id", was="split").unique(["author", "id"])
    joined = split.join(was, on=["author", "id"], how="left", maintain_order="left")
    stays = (
        pl.col("was").is_not_null()
        if rule == "random"
        else (pl.col("was") == "train")
        | ((pl.col("was") == "unused") & (pl.col("split") == "train"))
    )
    chosen = pl.when(stays.fill_null(value=False)).then("was").otherwise("split")
    return joined.with_columns(split=chosen).drop("was")


def halves(held_out: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return each author's older held-out posts, which choose weights, and the newer, which judge.

    One post alone does both.
    """
    older: list[str] = []
    newer: list[str] = []
    for posts in held_out.values():
        middle = len(posts) // 2
        older += posts[:middle] or posts
        newer += posts[middle:]
    return older, newer
