"""A checkpoint: training state in one safetensors file.

It is one file so that one rename replaces it: ``kill -9`` leaves either the new checkpoint or the
previous one. It is not a pickle, so a folder from somebody else can't run code.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.errors import BotError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from _typeshed import DataclassInstance

Progress = TypeVar("Progress")


def save(path: Path, progress: DataclassInstance, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a checkpoint atomically.

    Raises:
        StorageError: the disk is full or can't be written; the previous checkpoint is kept.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with files.atomic_write(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={"progress": json.dumps(asdict(progress))})
        except SafetensorError as error:
            raise files.to_os_error(error) from error


def load(path: Path, kind: type[Progress]) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """Read a checkpoint; None if there is none yet.

    Args:
        path: the file.
        kind: dataclass of the values saved beside the tensors.

    Raises:
        BotError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            values: dict[str, Any] = json.loads(file.metadata()["progress"])
            return kind(**values), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BotError(
            f"The checkpoint {path} is damaged ({error}). Train the bot again."
        ) from error
