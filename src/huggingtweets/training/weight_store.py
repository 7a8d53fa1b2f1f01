"""Sets of weights that a run holds on to: the base's, and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


class WeightStore:
    """Named sets of weights, as files where there is a folder for them.

    In memory each takes as much as the model, a quarter of all that training GPT-2 small needs.

    Args:
        folder: where the files go; None keeps the sets in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._in_memory: dict[str, dict[str, torch.Tensor]] = {}

    def put(self, name: str, weights: Mapping[str, torch.Tensor]) -> None:
        """Keep a copy of ``weights``, in place of the one of that name.

        Raises:
            StorageError: the disk is full or can't be written; the one before is kept.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if self._folder is None:
            self._in_memory[name] = {key: weight.clone() for key, weight in weights.items()}
            return
        with files.atomic_write(self._file(self._folder, name)) as temporary:
            try:
                save_file(dict(weights), temporary)
            except SafetensorError as error:
                raise files.to_os_error(error) from error

    def take(self, name: str) -> dict[str, torch.Tensor]:
        """The set of that name, read as its weights are used.

        Raises:
            BotError: the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if self._folder is None:
            return self._in_memory[name]
        file = self._file(self._folder, name)
        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            raise BotError(f"{file} is damaged ({error}); train the bot anew.") from error

    @staticmethod
    def _file(folder: Path, name: str) -> Path:
        return folder / f"{name}.safetensors"
