"""Storage for sets of weights: those of the base and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.storage import checkpoint, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


class WeightStore:
    """Named sets of weights, stored as files or in memory.

    In memory each set is as large as the model: a quarter of the memory that training GPT-2 small
    needs.

    Args:
        folder: folder for the files; None stores the sets in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._in_memory: dict[str, dict[str, torch.Tensor]] = {}

    def save(self, name: str, weights: Mapping[str, torch.Tensor]) -> None:
        """Store a copy of ``weights``, replacing an earlier set of the same name.

        Raises:
            StorageError: the disk is full or can't be written; the earlier set remains.
        """
        if self._folder is None:
            self._in_memory[name] = {key: weight.clone() for key, weight in weights.items()}
            return
        with files.atomic_write(self._file(self._folder, name)) as temporary:
            checkpoint.write_tensors(temporary, weights, {})

    def load(self, name: str) -> dict[str, torch.Tensor]:
        """Load the set of that name, after comparing its checksum.

        Raises:
            BotError: the file is missing or damaged.
        """
        if self._folder is None:
            return self._in_memory[name]
        file = self._file(self._folder, name)
        try:
            return checkpoint.read_tensors(file)[1]
        except ValueError as error:
            raise BotError(f"{file} is damaged ({error}); train the bot again.") from error

    @staticmethod
    def _file(folder: Path, name: str) -> Path:
        return folder / f"{name}.safetensors"
