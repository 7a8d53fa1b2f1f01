"""Outputs of frozen layers, computed once for each row and kept for all steps and measurements.

They are kept in the precision that the machine computes in: in memory up to a gigabyte, beyond that
in a memory-mapped file. Of 50,000 tokens of a model 576 wide they take 58 MB in bfloat16.
"""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.nn import likelihood
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch

    from huggingtweets.data.batching import Row
    from huggingtweets.training.layers import Layers

IN_MEMORY = 1 << 30
"""Bytes of outputs up to which they are kept in memory."""

_POSITIONS = 2048
"""In a batch whose outputs are computed, padding included."""

_MEASURED_POSITIONS = 4096
"""In a batch that is measured, as in :func:`huggingtweets.data.batching.evaluation_batches`."""

_TRIED_TOKENS = 16
"""Of a row that tells whether the frozen layers of a model can be skipped."""


class FrozenOutputs:
    """What the frozen layers of a model give for rows of token ids.

    Args:
        layers: of the model, some of them frozen.
        rows: all that will be asked for; equal ones are kept once.
        folder: where the file goes, if one is needed; None takes the system's temporary folder.

    Raises:
        StorageError: the disk has no room for the file.
    """

    def __init__(self, layers: Layers, rows: Iterable[Row], folder: Path | None) -> None:
        import torch

        self.layers = layers
        self.rows = list({tuple(row): row for row in rows}.values())
        self.starts: dict[tuple[int, ...], int] = {}
        total = 0
        for row in self.rows:
            self.starts[tuple(row)] = total
            total += len(row) - 1
        one = layers.outputs(torch.tensor([self.rows[0][:1]], device=layers.model.device))
        shape = (total, one.shape[-1])
        size = math.prod(shape) * one.element_size()
        self.kept = (
            torch.empty(shape, dtype=one.dtype)
            if size <= IN_MEMORY
            else _mapped(folder or Path(tempfile.gettempdir()), shape, one.dtype)
        )

    def compute(self, tell: Callable[[int, int], None]) -> None:
        """Run the frozen layers over all rows.

        Args:
            tell: is called with the number of rows that are done, and of all.
        """
        done = 0
        model = self.layers.model
        numbers = range(len(self.rows))
        for group in batching.batches_by_length(self.rows, numbers, _POSITIONS, 0, 0):
            rows = [self.rows[i] for i in group]
            found = self.layers.outputs(batching.to_batch(rows).inputs.to(model.device))
            for row, output in zip(rows, found, strict=True):
                size, start = len(row) - 1, self.starts[tuple(row)]
                self.kept[start : start + size] = output[:size]
            done += len(rows)
            tell(done, len(self.rows))

    @contextmanager
    def skipping(self, rows: Sequence[Row]) -> Iterator[None]:
        """Skip the frozen layers inside, where the model is given a batch of these rows."""
        time = max(map(len, rows)) - 1
        padded = self.kept.new_zeros(len(rows), time, self.kept.shape[-1])
        for i, row in enumerate(rows):
            size, start = len(row) - 1, self.starts[tuple(row)]
            padded[i, :size] = self.kept[start : start + size]
        with self.layers.skipping(padded.to(self.layers.model.device)):
            yield

    def summed_nats(self, rows: Sequence[Row]) -> float:
        """As :func:`huggingtweets.nn.likelihood.summed_nats`, without running the frozen layers."""
        import torch

        model, total = self.layers.model.eval(), 0.0
        numbers = range(len(rows))
        with torch.inference_mode():
            for group in batching.batches_by_length(rows, numbers, _MEASURED_POSITIONS, 0, 0):
                some = [rows[i] for i in group]
                with self.skipping(some):
                    batch = batching.to_batch(some)
                    total += float(likelihood.negative_log_likelihood(model, batch))
        return total


def can_be_kept(layers: Layers, row: Row) -> bool:
    """Whether there are frozen layers, and a model computes the same when they are skipped."""
    import torch

    return layers.can_skip(torch.tensor([row[:_TRIED_TOKENS]], device=layers.model.device))


def _mapped(folder: Path, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor in a file of its own, which is gone when the tensor or the process is.

    Raises:
        StorageError: there is no room for it.
    """
    import torch

    size = math.prod(shape)
    with files.wrap_os_errors(folder / "frozen"):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".frozen.", suffix=".tmp")
        try:
            _reserve(handle, size * dtype.itemsize)
            kept = torch.from_file(name, shared=True, size=size, dtype=dtype)
        finally:
            os.close(handle)
            with suppress(OSError):  # Windows keeps a file that is open
                Path(name).unlink()
    return kept.view(shape)


def _reserve(handle: int, size: int) -> None:
    """Take the room on the disk now: without it the process would be killed while it computes."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)
