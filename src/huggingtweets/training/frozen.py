"""A cache of the outputs of frozen layers, computed once per row for all steps and measurements.

Outputs have the precision that the machine computes in. The cache is in memory up to one gigabyte
and in a memory-mapped file beyond that. 50,000 tokens of a model of width 576 take 58 MB in
bfloat16.
"""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from huggingtweets.data import batching
from huggingtweets.nn import likelihood
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from huggingtweets.data.batching import Row
    from huggingtweets.training.layers import Layers

MAX_MEMORY_BYTES = 1 << 30
"""Size of the largest cache in memory."""

_PROBE_TOKENS = 16
"""Tokens of the row used to test whether a model's frozen layers can be skipped."""


class FrozenOutputs:
    """Outputs of a model's frozen layers for rows of token ids.

    Args:
        layers: the model's layers, some of them frozen.
        rows: every row that will be used; equal rows are stored once.
        folder: folder of the file, if one is needed; None uses the system's temporary folder.

    Raises:
        StorageError: the disk is too full for the file.
    """

    def __init__(self, layers: Layers, rows: Iterable[Row], folder: Path | None) -> None:
        self.layers = layers
        self.rows = list({tuple(row): row for row in rows}.values())
        self.starts: dict[tuple[int, ...], int] = {}
        total = 0
        for row in self.rows:
            self.starts[tuple(row)] = total
            total += len(row) - 1
        sample = layers.outputs(torch.tensor([self.rows[0][:1]], device=layers.model.device))
        shape = (total, sample.shape[-1])
        size = math.prod(shape) * sample.element_size()
        self.cache = (
            torch.empty(shape, dtype=sample.dtype)
            if size <= MAX_MEMORY_BYTES
            else _memory_mapped(folder or Path(tempfile.gettempdir()), shape, sample.dtype)
        )
        """Outputs of all rows one after another, (tokens, width)."""

    def compute(self, report: Callable[[int, int], None]) -> None:
        """Run the frozen layers over all rows.

        Args:
            report: called with the number of finished rows and of all rows.
        """
        done = 0
        model = self.layers.model
        order = range(len(self.rows))
        positions = batching.positions_to_read(model.device.type)
        for group in batching.batches_by_length(self.rows, order, positions, 0, 0):
            rows = [self.rows[i] for i in group]
            outputs = self.layers.outputs(batching.to_batch(rows).inputs.to(model.device))
            for row, output in zip(rows, outputs, strict=True):
                size, start = len(row) - 1, self.starts[tuple(row)]
                self.cache[start : start + size] = output[:size]
            done += len(rows)
            report(done, len(self.rows))

    @contextmanager
    def skip_frozen(self, rows: Sequence[Row], width: int | None = None) -> Iterator[None]:
        """Skip the frozen layers inside, where the model runs on a batch of these rows.

        Args:
            rows: the batch's rows.
            width: of the batch; None for that of its longest row.
        """
        width = width or max(map(len, rows)) - 1
        padded = self.cache.new_zeros(len(rows), width, self.cache.shape[-1])
        for i, row in enumerate(rows):
            size, start = len(row) - 1, self.starts[tuple(row)]
            padded[i, :size] = self.cache[start : start + size]
        with self.layers.skip_frozen(padded.to(self.layers.model.device)):
            yield

    def summed_nats(self, rows: Sequence[Row]) -> float:
        """Like :func:`huggingtweets.nn.likelihood.summed_nats`, but skip the frozen layers."""
        model, total = self.layers.model.eval(), 0.0
        order, positions = range(len(rows)), batching.positions_to_read(model.device.type)
        with torch.inference_mode():
            for group in batching.batches_by_length(rows, order, positions, 0, 0):
                group_rows = [rows[i] for i in group]
                with self.skip_frozen(group_rows):
                    batch = batching.to_batch(group_rows)
                    total += float(likelihood.negative_log_likelihood(model, batch))
        return total


def can_cache_outputs(layers: Layers, row: Row) -> bool:
    """Whether a model has frozen layers and computes the same when they are skipped."""
    return layers.can_skip(torch.tensor([row[:_PROBE_TOKENS]], device=layers.model.device))


def _memory_mapped(folder: Path, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """Create a tensor in a temporary file that disappears with the tensor or the process.

    Raises:
        StorageError: the disk is full.
    """
    size = math.prod(shape)
    with files.wrap_os_errors(folder / "frozen"):
        files.make_folder(folder)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".frozen.", suffix=".tmp")
        try:
            _reserve(handle, size * dtype.itemsize)
            tensor = torch.from_file(name, shared=True, size=size, dtype=dtype)
        finally:
            os.close(handle)
            with suppress(OSError):  # Windows can't delete an open file
                Path(name).unlink()
    return tensor.view(shape)


def _reserve(handle: int, size: int) -> None:
    """Reserve the disk space now; on a full disk, a later write would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)
