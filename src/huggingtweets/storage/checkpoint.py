"""A checkpoint: training state in one safetensors file, and the one before it.

It is one file so that one rename replaces it: ``kill -9`` leaves either the new checkpoint or the
previous one. It is not a pickle, so a folder from somebody else can't run code.

The file holds a checksum of its own contents. A damaged checkpoint is noticed, and the previous
one is used: training repeats a few steps with the same result. So a training needs the disk space
of two checkpoints, and of three while one is written; on a full disk the older one gives way.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from huggingtweets.errors import BotError, StorageError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from _typeshed import DataclassInstance

Progress = TypeVar("Progress")

_FULL = (errno.ENOSPC, errno.EDQUOT)
_THREADS = 4
"""Threads of a checksum; ``zlib.crc32`` works outside Python's lock."""


def save(path: Path, progress: DataclassInstance, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a checkpoint atomically and keep the one before it.

    Raises:
        StorageError: the disk is full or can't be written; the previous checkpoint is kept.
    """
    metadata = {"progress": json.dumps(asdict(progress))}
    try:
        _save_with_previous(path, tensors, metadata)
    except StorageError as error:
        cause = error.__cause__
        if not (isinstance(cause, OSError) and cause.errno in _FULL and _previous(path).exists()):
            raise
        _previous(path).unlink(missing_ok=True)  # room for the new one; the current one stays
        _save_with_previous(path, tensors, metadata)


def load(
    path: Path, kind: type[Progress], warn: Callable[[str], None] | None = None
) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """Read a checkpoint, or the one before it if the newest is damaged; None if there is none.

    Args:
        path: the file.
        kind: dataclass of the values saved beside the tensors.
        warn: called with a sentence when the newest one is damaged.

    Raises:
        BotError: no checkpoint is left that is not damaged.
    """
    damage = ""
    for file in (path, _previous(path)):
        if not file.exists():
            continue
        try:
            metadata, tensors = read_tensors(file)
            progress = kind(**json.loads(metadata["progress"]))
        except (ValueError, KeyError, TypeError) as error:
            damage = damage or str(error)
            continue
        if damage:
            with suppress(OSError):
                file.replace(path)  # or the next save would keep the damaged one as the previous
            if warn:
                warn(f"the checkpoint is damaged ({damage}), so the one before it is used")
        return progress, tensors
    if damage:
        raise BotError(f"The checkpoint {path} is damaged ({damage}). Train the bot again.")
    return None


def remove(path: Path) -> None:
    """Delete a checkpoint and the one before it."""
    for file in (path, _previous(path)):
        file.unlink(missing_ok=True)


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and their checksum into a safetensors file and flush it to disk.

    Raises:
        OSError: the file can't be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(held, path, metadata={**metadata, "checksum": _checksum(held, metadata)})
    except SafetensorError as error:
        raise files.to_os_error(error) from error
    files.sync(path)


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Read the metadata and tensors of a file; one from before 0.2 has no checksum to compare.

    Raises:
        ValueError: the file is damaged; the message says what is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(str(error)) from error
    checksum = metadata.pop("checksum", None)
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise ValueError("its checksum differs")
    return metadata, tensors


def _save_with_previous(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    with files.atomic_write(path) as temporary:
        write_tensors(temporary, tensors, metadata)
        # a second name for the current one, so that `path` exists at every moment
        if path.exists():
            previous = _previous(path)
            previous.unlink(missing_ok=True)
            with suppress(OSError):  # not every file system has hard links
                os.link(path, previous)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _checksum(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """CRC-32 over names, types, shapes and values, so over all that a reader sees of a file."""

    def line(name: str) -> str:
        tensor = tensors[name]
        return f"{name} {tensor.dtype} {tuple(tensor.shape)} {_crc32(tensor)}"

    with ThreadPoolExecutor(_THREADS) as pool:
        lines = list(pool.map(line, sorted(tensors)))
    text = json.dumps([sorted(metadata.items()), lines])
    return f"crc32:{zlib.crc32(text.encode()):08x}"


def _crc32(tensor: torch.Tensor) -> int:
    import torch

    values: Any = tensor.reshape(-1).view(torch.uint8).numpy()  # a buffer, unlike its annotation
    return zlib.crc32(values)
