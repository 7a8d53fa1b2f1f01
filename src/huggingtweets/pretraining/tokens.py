"""Encoded corpora: memory-mapped token ids on disk, and the order in which rows are read.

A file contains one corpus as ``<|endoftext|> post <|endoftext|> post …`` with 16 bits per token. A
row is one training sequence of the model. It starts with a separator, so its first post is complete
as in evaluation and generation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl
import torch

from huggingtweets.errors import InputError
from huggingtweets.pretraining.tokenizer import parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

MAX_VOCABULARY = 2**16

_SLICE_TEXTS = 10_000
"""Texts that are split at a time; the parts of 50,000 long posts would take 500 MB."""


def encode(
    tokenizer: PreTrainedTokenizerFast, separator: int, texts: Sequence[str] | pl.Series
) -> NDArray[np.uint16]:
    """Encode texts to token ids, with a separator before each.

    Each distinct part of the texts is encoded once. Texts are split twice, since keeping the parts
    of all of them would take many times the memory of the texts.
    """
    import numpy as np

    column = pl.Series(texts, dtype=pl.String)
    slices = [column.slice(start, _SLICE_TEXTS) for start in range(0, len(column), _SLICE_TEXTS)]
    distinct = pl.concat([parts(tokenizer, texts).explode().unique() for texts in slices]).unique()
    table = _encode_parts(tokenizer, distinct.drop_nulls())
    table.extend(pl.DataFrame({"part": [None], "ids": [[separator]]}, schema=table.schema))
    return np.concatenate([_look_up(parts(tokenizer, texts), table) for texts in slices])


def _encode_parts(tokenizer: PreTrainedTokenizerFast, parts: pl.Series) -> pl.DataFrame:
    """Table of parts and their ``ids``, without parts that have no tokens."""
    import numpy as np

    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # a separator in a post is ordinary text
    encoded = [
        encoding.ids
        for encoding in backend.encode_batch_fast(parts.to_list(), add_special_tokens=False)
    ]
    # building the column from a list of lists would take fifteen times as long
    row = np.repeat(np.arange(len(encoded)), [len(ids) for ids in encoded])
    flat = pl.Series(list(chain.from_iterable(encoded)), dtype=pl.UInt16)
    lists = pl.DataFrame({"row": row, "ids": flat}).group_by("row", maintain_order=True).agg("ids")
    return lists.select(parts.gather(lists["row"]).alias("part"), "ids")


def _look_up(split_texts: pl.Series, table: pl.DataFrame) -> NDArray[np.uint16]:
    """Token ids of split texts; null stands for the separator before each text."""
    with_null = pl.concat_list(pl.lit(None, pl.String), "part")
    rows = (
        pl.DataFrame({"part": split_texts})
        .select(part=with_null)
        .explode("part", empty_as_null=False)
    )
    joined = rows.join(table, on="part", how="inner", nulls_equal=True, maintain_order="left")
    ids: NDArray[np.uint16] = joined["ids"].explode(empty_as_null=False).to_numpy()
    return ids


def write_tokens(path: Path, ids: Iterable[NDArray[np.uint16]]) -> int:
    """Write pieces of token ids to a new file and return the number of tokens."""
    tokens = 0
    with path.open("wb") as file:
        for piece in ids:
            file.write(piece.tobytes())
            tokens += len(piece)
    return tokens


@dataclass
class Stream:
    """Rows of one encoded corpus; every row is read once per pass.

    Attributes:
        path: file of token ids.
        weight: weight of the corpus.
        length: predicted tokens of a row; a row has one token more.
        seed: seed of the order.
        separator: token before each post.
        rows: number of rows.
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
                f"The corpus {self.path.stem} has fewer than {self.length + 1} tokens after "
                "curation; leave it out or join it with another."
            )
        self.ids = np.memmap(self.path, np.uint16, "r")
        self.rows = (len(self.ids) - 1) // self.length

    @property
    def share(self) -> float:
        """Unnormalised share of the mix: tokens times weight."""
        return self.weight * self.rows * self.length

    def row(self, count: int) -> NDArray[np.uint16]:
        """Row number ``count`` in reading order, from 0 over all passes: length + 1 ids."""
        import numpy as np

        number = self._shuffled(*divmod(count, self.rows))
        start = number * self.length
        ids = self.ids[start : start + self.length]
        separators = np.flatnonzero(ids == self.separator)
        if len(separators):
            start += int(separators[0])
        start = min(start, len(self.ids) - self.length - 1)
        return self.ids[start : start + self.length + 1]

    def _shuffled(self, epoch: int, position: int) -> int:
        """Row at a position of an epoch, by a permutation that needs no table.

        A step size coprime to the number of rows visits each row once (a full-period linear
        congruence, Knuth, TAOCP 2, 3.2.1.2). Posts were already shuffled before encoding.
        """
        step = int(self.rows * (0.3819660113 + 0.01 * ((self.seed + epoch) % 17))) | 1
        while math.gcd(step, self.rows) != 1:
            step += 2
        return (position * step + (self.seed + 1) * 7919 + epoch * 104729) % self.rows


class CorpusMixture:
    """Rows of several streams in proportion to their shares, in a resumable order.

    Args:
        streams: encoded corpora.
        rows_read: rows of each stream read so far, from :attr:`rows_read` of an earlier mixture.
    """

    def __init__(self, streams: Sequence[Stream], rows_read: Sequence[int] | None = None) -> None:
        self.streams = list(streams)
        total = sum(stream.share for stream in self.streams)
        self.shares = [stream.share / total for stream in self.streams]
        self.rows_read = list(rows_read) if rows_read else [0] * len(self.streams)

    def batch(self, rows: int) -> torch.Tensor:
        """The next rows as int64, (rows, length + 1)."""
        import numpy as np

        return torch.from_numpy(np.stack([self._next() for _ in range(rows)]).astype(np.int64))

    def _next(self) -> NDArray[np.uint16]:
        """The next row, from the stream with the largest deficit to its share."""
        total = sum(self.rows_read) + 1
        deficits = [
            share * total - rows for share, rows in zip(self.shares, self.rows_read, strict=True)
        ]
        stream = max(range(len(deficits)), key=deficits.__getitem__)
        self.rows_read[stream] += 1
        return self.streams[stream].row(self.rows_read[stream] - 1)
