"""Split kept posts, and make shuffled batches of token ids from them.

A row is one post between two separators, so no post attends to another and positions start at the
beginning of the post, as they do in generation. Rows of similar length share a batch, padded on the
right: under causal attention no token attends to the padding, so no mask is needed. On NASA's posts
4 % of the positions are padding. The classic recipe instead concatenates all posts and splits the
result into full blocks, as the original did.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from huggingtweets.errors import InsufficientTextError
from huggingtweets.events import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

SplitRule = Literal["newest", "random"]
Row = list[int]
IGNORED = -100
"""Label of a position without loss, as in torch's cross entropy."""

FEW_CHARACTERS = 6_000
SOME_CHARACTERS = 40_000
"""The original's limits: below the first is an error, below the second a warning. At about the
first, training overtakes reading the posts in the prompt (docs/research/few-shot.md)."""

WIDTH_MULTIPLE = 4
"""Training batches have room for widths rounded up to this. Some machines pad to it and others
don't; so all train on the same batches."""

_SHUFFLE_BLOCK = 1024
"""Posts that are sorted by length together: enough for little padding, few enough that batches
differ from epoch to epoch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and labels, both (rows, time); labels are shifted one position ahead."""

    inputs: torch.Tensor
    labels: torch.Tensor
    tokens: int
    """Number of labels with loss, which excludes padding."""


def split(
    kept: pl.DataFrame, *, holdout: float, rule: SplitRule = "newest", seed: int = 0
) -> pl.DataFrame:
    """Add a column ``split`` (``train`` or ``held_out``) to a table of kept posts.

    :func:`with_newest_only` adds a third value, ``unused``.

    Args:
        kept: posts in time order.
        holdout: fraction of each author's posts to hold out, at least one post.
        rule: ``newest`` holds out the latest posts, since a bot is meant to write future ones;
            ``random`` is the published method and easier, because posts of one day are similar.
        seed: for ``random``.

    Raises:
        InsufficientTextError: an author has only one post.
    """
    check_posts_per_author(kept)
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


def check_posts_per_author(kept: pl.DataFrame) -> None:
    """Check that every author has a post to learn from and one to hold out.

    Raises:
        InsufficientTextError: an author has only one post.
    """
    too_few = kept.group_by("author").len().filter(pl.col("len") < 2)
    if not too_few.is_empty():
        raise InsufficientTextError(
            f"{too_few['author'][0]} has only one post left after curation; add more posts."
        )


def with_newest_only(kept: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """Limit training to the newest posts: the ``split`` of the others becomes ``unused``.

    Args:
        kept: as returned by :func:`split`.
        most: maximum number of training posts per author; None for no limit.
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
    """Return the posts of one part of the split for each of ``authors``, in that order."""
    chosen = table.filter(pl.col("split") == part)
    return {a: chosen.filter(pl.col("author") == a)["text"].to_list() for a in authors}


def text_amount_warning(kept: pl.DataFrame) -> str | None:
    """Return a warning if there is little text to learn from, or None.

    Raises:
        InsufficientTextError: fewer than 6,000 characters are left.
    """
    characters = int(kept["text"].str.len_chars().sum())
    if (missing := FEW_CHARACTERS - characters) > 0:
        raise InsufficientTextError(
            f"Only {characters:,} characters in {counted(len(kept), 'post')} are left after "
            f"curation, but at least {FEW_CHARACTERS:,} are needed for training; {missing:,} are "
            "missing. Add more posts.",
            posts=len(kept),
        )
    if characters < SOME_CHARACTERS:
        return (
            f"Only {characters:,} characters are available for training; the bot will be better "
            f"with {SOME_CHARACTERS:,} or more."
        )
    return None


def undated_warning(kept: pl.DataFrame, rule: SplitRule) -> str | None:
    """Return a warning if the newest posts are to be held out but can't be told, or None."""
    if rule != "newest":
        return None
    undated = kept["created_at"].null_count()
    if undated == 0:
        return None
    if undated < len(kept):
        return (
            f"{undated:,} of {len(kept):,} posts have no date that can be read; `--split newest` "
            "takes them for the oldest."
        )
    return (
        f"None of the {len(kept):,} posts has a date that can be read, so `--split newest` takes "
        "the last ones in the file for the newest; use `--split random` if they aren't."
    )


def make_rows(posts: Sequence[Sequence[int]], separator: int, context: int) -> list[Row]:
    """Put separators around encoded posts and split those longer than the model's context.

    Each further row of a split post starts with the last token of the row before, so every token is
    predicted exactly once.
    """
    rows: list[Row] = []
    for post in posts:
        row = [separator, *post, separator]
        rows.extend(row[i : i + context + 1] for i in range(0, len(row) - 1, context))
    return rows


def epoch_order(rows_per_author: Sequence[Sequence[int]], seed: int, epoch: int) -> list[int]:
    """Return the shuffled order of rows in an epoch, balanced between authors.

    Args:
        rows_per_author: for each author the size in tokens of each row; rows are numbered
            consecutively across authors.
        seed: of the run.
        epoch: from 0.

    Returns:
        Row numbers. The rows of authors with less text are repeated, the last time in part, until
        every author has as many tokens as the one with the most.
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
    rows: Sequence[Row],
    order: Sequence[int],
    budget: int,
    seed: int,
    epoch: int,
    *,
    multiple: int = 1,
) -> list[list[int]]:
    """Group row numbers into batches of at most ``budget`` positions, including padding.

    Rows are sorted by length within each 1,024 posts of ``order``; then the batches are shuffled,
    so that lengths alternate.

    Args:
        rows: token ids of all rows.
        order: numbers of the rows to group.
        budget: maximum number of positions in a batch; a longer row is a batch of its own.
        seed: of the run.
        epoch: from 0.
        multiple: batches will be padded to a multiple of this width.
    """
    groups: list[list[int]] = []
    for start in range(0, len(order), _SHUFFLE_BLOCK):
        block = sorted(order[start : start + _SHUFFLE_BLOCK], key=lambda i: len(rows[i]))
        group: list[int] = []
        for number in block:
            # Rows are sorted, so the current one is the longest of its group.
            width = round_up(len(rows[number]) - 1, multiple)
            if group and (len(group) + 1) * width > budget:
                groups.append(group)
                group = []
            group.append(number)
        groups.append(group)
    random.Random(f"{seed}/{epoch}/batches").shuffle(groups)
    return groups


def padded_width(width: int, multiple: int, longest: int) -> int:
    """Return the width to which a batch is padded: a multiple, unless that is above ``longest``.

    Args:
        width: that of the batch's longest row.
        multiple: what to round up to.
        longest: the model's context.
    """
    return max(width, min(round_up(width, multiple), longest))


def round_up(number: int, multiple: int) -> int:
    """Return the smallest multiple that isn't below ``number``."""
    return -(-number // multiple) * multiple


def pack_blocks(rows: Sequence[Row], order: Sequence[int], separator: int, size: int) -> list[Row]:
    """Concatenate the posts in ``order`` with separators and split them into full blocks.

    This is the original's method, which drops the incomplete last block. A text shorter than one
    block gives a single short one.
    """
    stream = [separator]
    for number in order:
        stream.extend(rows[number][1:])
    full = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]
    return full or [stream]


def fit_recent_posts(posts: Sequence[Row], room: int) -> list[Row]:
    """Return the newest encoded posts, oldest first, that fit into ``room`` tokens.

    Each post takes one more token for the separator before it. A post that is longer than ``room``
    is skipped. The first other post that doesn't fit ends the selection, because continuing would
    prefer short posts.
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
    """Concatenate encoded posts, each after a separator, so that another post can follow."""
    return [token for post in posts for token in (separator, *post)]


def to_batch(
    rows: Sequence[Row],
    context_lengths: Sequence[int] | None = None,
    *,
    multiple: int = 1,
    longest: int = sys.maxsize,
) -> Batch:
    """Stack rows into inputs and labels, padded on the right.

    Args:
        rows: token ids.
        context_lengths: for each row the number of predictions at its beginning that have no loss.
            None for none.
        multiple: what the width is rounded up to.
        longest: the model's context, above which nothing is rounded.
    """
    import torch

    skipped = context_lengths or [0] * len(rows)
    width = padded_width(max(map(len, rows)) - 1, multiple, longest)
    inputs = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for i, row in enumerate(rows):
        ids = torch.tensor(row, dtype=torch.long)
        inputs[i, : len(row) - 1] = ids[:-1]
        labels[i, skipped[i] : len(row) - 1] = ids[1 + skipped[i] :]
    return Batch(inputs, labels, sum(len(row) - 1 for row in rows) - sum(skipped))


def training_batch(rows: Sequence[Row], longest: int, *, padded: bool) -> Batch:
    """Stack the rows of a training batch.

    Args:
        rows: token ids.
        longest: the model's context.
        padded: whether to round the width up to a multiple of ``WIDTH_MULTIPLE``.
    """
    return to_batch(rows, multiple=WIDTH_MULTIPLE if padded else 1, longest=longest)


def positions_to_read(device: str) -> int:
    """Return the positions of a batch that is read without gradients on this kind of device.

    On a CPU, larger batches gain nothing and have more padding: with 4,096 positions, 120 of NASA's
    posts took a third longer (one core with AVX2).
    """
    return 512 if device == "cpu" else 4096


def evaluation_batches(
    rows: Sequence[Row], context_lengths: Sequence[int] | None = None, budget: int = 4096
) -> Iterator[Batch]:
    """Yield all rows once, in batches of similar length; arguments as in :func:`to_batch`."""
    skipped = context_lengths or [0] * len(rows)
    for group in batches_by_length(rows, range(len(rows)), budget, seed=0, epoch=0):
        yield to_batch([rows[i] for i in group], [skipped[i] for i in group])
