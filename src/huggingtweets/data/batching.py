"""From kept posts to rows of token ids: splitting, shuffling, batching.

A row is one post between two separators, so no post ever attends to another and positions count
from the post's own beginning, as they do when the bot writes. Rows of like length share a batch,
padded on the right: under causal attention nothing looks at the padding, so no mask is needed. On
NASA's posts 4 % of the positions are padding. The classic recipe instead joins everything and cuts
it into full blocks, as the original did.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from huggingtweets.errors import InsufficientTextError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

SplitRule = Literal["newest", "random"]
Row = list[int]
IGNORED = -100
"""Label of a position that doesn't count, as in torch's cross entropy."""

FEW_CHARACTERS = 6_000
SOME_CHARACTERS = 40_000
"""The original's limits: under the first there is an error, under the second a warning."""

_SHUFFLE_BLOCK = 1024
"""Posts among which those of like length are looked for: enough to pad little, few enough that
batches differ from epoch to epoch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and labels, both (rows, time), the labels one position ahead."""

    inputs: torch.Tensor
    labels: torch.Tensor
    tokens: int
    """Positions whose label counts, that is without padding."""


def split(
    kept: pl.DataFrame, *, holdout: float, rule: SplitRule = "newest", seed: int = 0
) -> pl.DataFrame:
    """Add a column ``split`` (``train`` or ``held_out``) to a table of kept posts.

    A third value, ``unused``, is put there by :func:`with_newest_only`.

    Args:
        kept: posts in time order.
        holdout: share of each author's posts to hold out, at least one post.
        rule: ``newest`` holds out the latest posts, which is what a bot will be asked to foresee;
            ``random`` is the published way and easier, as posts of one day resemble each other.
        seed: for ``random``.

    Raises:
        TooLittleText: an author has a single post.
    """
    lonely = kept.group_by("author").len().filter(pl.col("len") < 2)
    if not lonely.is_empty():
        raise InsufficientTextError(
            f"@{lonely['author'][0]} has only one post left after curation; more are needed."
        )
    order = pl.int_range(pl.len())
    if rule == "random":
        order = order.shuffle(seed=seed)
    rank = order.over("author")
    size = pl.len().over("author")
    held_out = (size * holdout).round().clip(1, size - 1)
    return kept.with_columns(
        pl.when(rank >= size - held_out)
        .then(pl.lit("held_out"))
        .otherwise(pl.lit("train"))
        .alias("split")
    )


def with_newest_only(kept: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """Train only on the newest posts: the others' ``split`` becomes ``unused``.

    Args:
        kept: as :func:`split` gives it.
        most: training posts of each author at most; None leaves the table as it is.
    """
    if most is None:
        return kept
    is_train = pl.col("split") == "train"
    newer = is_train.cast(pl.Int64).cum_sum(reverse=True).over("author")
    return kept.with_columns(
        pl.when(is_train & (newer > most)).then(pl.lit("unused")).otherwise("split").alias("split")
    )


def texts_by_author(
    table: pl.DataFrame, part: Literal["train", "unused", "held_out"], authors: Sequence[str]
) -> dict[str, list[str]]:
    """The posts of one part of the split for each of ``authors``, in that order."""
    chosen = table.filter(pl.col("split") == part)
    return {a: chosen.filter(pl.col("author") == a)["text"].to_list() for a in authors}


def text_amount_warning(kept: pl.DataFrame) -> str | None:
    """A warning where there is little to learn from, or None.

    Raises:
        TooLittleText: under 6,000 characters are left.
    """
    characters = int(kept["text"].str.len_chars().sum())
    if characters < FEW_CHARACTERS:
        raise InsufficientTextError(
            f"Only {characters:,} characters in {len(kept):,} posts are left after curation; "
            f"at least {FEW_CHARACTERS:,} are needed to learn anything. Add more posts."
        )
    if characters < SOME_CHARACTERS:
        return (
            f"Only {characters:,} characters to learn from; the bot will be better with "
            f"{SOME_CHARACTERS:,} or more."
        )
    return None


def make_rows(posts: Sequence[Sequence[int]], separator: int, context: int) -> list[Row]:
    """Put separators around encoded posts and cut those longer than the model's context.

    A cut post goes on in a next row that starts with the last token of the one before, so every
    token of it is predicted exactly once.
    """
    rows: list[Row] = []
    for post in posts:
        row = [separator, *post, separator]
        rows.extend(row[i : i + context + 1] for i in range(0, len(row) - 1, context))
    return rows


def epoch_order(rows_per_author: Sequence[Sequence[int]], seed: int, epoch: int) -> list[int]:
    """Which rows an epoch goes through, shuffled anew for each epoch.

    Args:
        rows_per_author: for each author the size in tokens of each row; rows are numbered on from
            author to author.
        seed: of the run.
        epoch: from 0.

    Returns:
        Row numbers. Authors with less text come several times, the last time in part, until each
        has as many tokens as the longest.
    """
    rng = random.Random(f"{seed}/{epoch}")
    longest = max(sum(sizes) for sizes in rows_per_author)
    order: list[int] = []
    start = 0
    for sizes in rows_per_author:
        numbers = list(range(len(sizes)))
        missing = longest
        while missing > 0 and sizes:
            rng.shuffle(numbers)
            for number in numbers:
                order.append(start + number)
                missing -= sizes[number]
                if missing <= 0:
                    break
        start += len(sizes)
    rng.shuffle(order)
    return order


def batches_by_length(
    rows: Sequence[Row], order: Sequence[int], budget: int, seed: int, epoch: int
) -> list[list[int]]:
    """Group row numbers into batches of at most ``budget`` positions, padding included.

    Rows of like length stand together within each 1,024 posts of ``order``; the batches are then
    shuffled so that lengths come mixed.
    """
    groups: list[list[int]] = []
    for start in range(0, len(order), _SHUFFLE_BLOCK):
        block = sorted(order[start : start + _SHUFFLE_BLOCK], key=lambda i: len(rows[i]))
        group: list[int] = []
        for number in block:
            # sorted, so the newest row is the longest of its group
            if group and (len(group) + 1) * (len(rows[number]) - 1) > budget:
                groups.append(group)
                group = []
            group.append(number)
        groups.append(group)
    random.Random(f"{seed}/{epoch}/batches").shuffle(groups)
    return groups


def pack_blocks(rows: Sequence[Row], order: Sequence[int], separator: int, size: int) -> list[Row]:
    """The original's way: all posts in ``order`` joined by separators, cut into full blocks.

    The rest that fills no block is left out, as it was there; a text shorter than one block gives
    a single short one.
    """
    stream = [separator]
    for number in order:
        stream.extend(rows[number][1:])
    full = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]
    return full or [stream]


def fit_recent_posts(posts: Sequence[Row], room: int) -> list[Row]:
    """The newest of encoded posts, oldest first, that fit into ``room`` tokens.

    Each takes one token more, the separator before it. One that is too long for the room by itself
    is passed over; otherwise the first that doesn't fit ends it, as going on would pick short ones.
    """
    fitting: list[Row] = []
    left = room
    for post in reversed(posts):
        size = len(post) + 1
        if size > room:
            continue
        if size > left:
            break
        left -= size
        fitting.append(post)
    return fitting[::-1]


def concat_with_separators(posts: Sequence[Row], separator: int) -> Row:
    """Encoded posts as one row, each behind a separator, ready for another post to follow."""
    return [token for post in posts for token in (separator, *post)]


def to_batch(rows: Sequence[Row], read: Sequence[int] | None = None) -> Batch:
    """Stack rows into inputs and labels, padded on the right.

    Args:
        rows: token ids.
        read: for each row how many tokens at its beginning are only read: whatever is predicted up
            to the token after them doesn't count. None for none.
    """
    import torch

    skipped = read or [0] * len(rows)

    width = max(len(row) for row in rows) - 1
    inputs = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for i, row in enumerate(rows):
        ids = torch.tensor(row, dtype=torch.long)
        inputs[i, : len(row) - 1] = ids[:-1]
        labels[i, skipped[i] : len(row) - 1] = ids[1 + skipped[i] :]
    return Batch(inputs, labels, sum(len(row) - 1 for row in rows) - sum(skipped))


def evaluation_batches(
    rows: Sequence[Row], read: Sequence[int] | None = None, budget: int = 4096
) -> Iterator[Batch]:
    """All rows once, in batches of like length; ``read`` as in :func:`to_batch`."""
    skipped = read or [0] * len(rows)
    for group in batches_by_length(rows, range(len(rows)), budget, seed=0, epoch=0):
        yield to_batch([rows[i] for i in group], [skipped[i] for i in group])
