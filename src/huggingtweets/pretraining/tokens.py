"""Encoded corpora: token ids on disk, memory-mapped, and the order in which rows are read.

A file holds one corpus as ``<|endoftext|> post <|endoftext|> post …`` in 16 bits a token. A row is
as many tokens as the model reads at once; it begins with a separator, so that its first post is
seen as posts are judged and written: from its own beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.errors import InputError
from huggingtweets.pretraining.tokenizer import parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

MOST_TOKENS = 2**16

_AT_ONCE = 10_000
"""Texts whose parts are there at a time: those of 50,000 long posts would take 500 MB."""


def encode(
    tokenizer: PreTrainedTokenizerFast, separator: int, texts: Sequence[str] | pl.Series
) -> NDArray[np.uint16]:
    """Token ids of texts, a separator before each.

    Each different part of the texts is encoded once. Slices are cut twice, as to keep the parts of
    all of them would take many times the memory of the texts.
    """
    import numpy as np

    column = pl.Series(texts, dtype=pl.String)
    slices = [column.slice(start, _AT_ONCE) for start in range(0, len(column), _AT_ONCE)]
    different = pl.concat([parts(tokenizer, one).explode().unique() for one in slices]).unique()
    known = _encode_each(tokenizer, different.drop_nulls())
    known.extend(pl.DataFrame({"part": [None], "ids": [[separator]]}, schema=known.schema))
    return np.concatenate([_look_up(parts(tokenizer, one), known) for one in slices])


def _encode_each(tokenizer: PreTrainedTokenizerFast, parts: pl.Series) -> pl.DataFrame:
    """Texts, in the column ``part``, and their token ids; texts without any are left out."""
    import numpy as np

    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # a separator in a post is text like any other
    encoded = [
        one.ids for one in backend.encode_batch_fast(parts.to_list(), add_special_tokens=False)
    ]
    # Polars takes fifteen times as long for a list of lists.
    row = np.repeat(np.arange(len(encoded)), [len(ids) for ids in encoded])
    flat = pl.Series(list(chain.from_iterable(encoded)), dtype=pl.UInt16)
    lists = pl.DataFrame({"row": row, "ids": flat}).group_by("row", maintain_order=True).agg("ids")
    return lists.select(parts.gather(lists["row"]).alias("part"), "ids")


def _look_up(cut: pl.Series, known: pl.DataFrame) -> NDArray[np.uint16]:
    """Token ids of texts that were cut into parts, those of null before each."""
    begun = pl.concat_list(pl.lit(None, pl.String), "part")
    inside = pl.DataFrame({"part": cut}).select(part=begun).explode("part", empty_as_null=False)
    found = inside.join(known, on="part", how="inner", nulls_equal=True, maintain_order="left")
    ids: NDArray[np.uint16] = found["ids"].explode(empty_as_null=False).to_numpy()
    return ids


def append(path: Path, ids: Iterable[NDArray[np.uint16]]) -> int:
    """Write pieces of token ids to a new file; returns how many tokens it holds."""
    tokens = 0
    with path.open("wb") as file:
        for piece in ids:
            file.write(piece.tobytes())
            tokens += len(piece)
    return tokens


@dataclass
class Stream:
    """Rows of one encoded corpus, each read once before any is read again.

    Attributes:
        path: the file of token ids.
        weight: of the corpus.
        length: tokens of a row that are predicted; a row holds one more.
        seed: of the order.
        separator: token that stands before each post.
    """

    path: Path
    weight: float
    length: int
    seed: int
    separator: int
    ids: NDArray[np.uint16] = field(init=False)
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        if self.path.stat().st_size < 2 * (self.length + 1):
            raise InputError(
                f"The corpus {self.path.stem} has fewer than {self.length + 1} tokens left; "
                "leave it out or join it with another."
            )
        self.ids = np.memmap(self.path, np.uint16, "r")
        self.rows = (len(self.ids) - 1) // self.length

    @property
    def share(self) -> float:
        """Of all tokens read: those of the corpus times its weight, before scaling to 1."""
        return self.weight * self.rows * self.length

    def row(self, count: int) -> NDArray[np.uint16]:
        """The row that is read as number ``count`` (from 0, over all passes): length + 1 ids."""
        import numpy as np

        number = self._shuffled(*divmod(count, self.rows))
        start = number * self.length
        inside = self.ids[start : start + self.length]
        separators = np.flatnonzero(inside == self.separator)
        if len(separators):
            start += int(separators[0])
        start = min(start, len(self.ids) - self.length - 1)
        return self.ids[start : start + self.length + 1]

    def _shuffled(self, epoch: int, position: int) -> int:
        """Row at a position of an epoch: a permutation without a table of it.

        Steps of a width that has no divisor in common with the number of rows meet each row once
        (a full-period linear congruence, Knuth, TAOCP 2, 3.2.1.2); posts were shuffled before.
        """
        step = int(self.rows * (0.3819660113 + 0.01 * ((self.seed + epoch) % 17))) | 1
        while math.gcd(step, self.rows) != 1:
            step += 2
        return (position * step + (self.seed + 1) * 7919 + epoch * 104729) % self.rows


class CorpusMixture:
    """Rows of several streams in proportion to their shares, in an order that can be resumed.

    Args:
        streams: encoded corpora.
        taken: rows read so far of each stream, as :attr:`taken` said.
    """

    def __init__(self, streams: Sequence[Stream], taken: Sequence[int] | None = None) -> None:
        self.streams = list(streams)
        whole = sum(stream.share for stream in self.streams)
        self.shares = [stream.share / whole for stream in self.streams]
        self.taken = list(taken) if taken else [0] * len(self.streams)

    def batch(self, rows: int) -> torch.Tensor:
        """The next rows, (rows, length + 1), int64."""
        import numpy as np
        import torch

        return torch.from_numpy(np.stack([self._next() for _ in range(rows)]).astype(np.int64))

    def _next(self) -> NDArray[np.uint16]:
        """A row of the stream that is furthest behind its share."""
        read = sum(self.taken) + 1
        behind = [
            share * read - taken for share, taken in zip(self.shares, self.taken, strict=True)
        ]
        which = max(range(len(behind)), key=behind.__getitem__)
        self.taken[which] += 1
        return self.streams[which].row(self.taken[which] - 1)
