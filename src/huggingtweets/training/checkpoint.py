"""The resumable state of a training run, as one safetensors file.

One file, because one rename then makes it whole: ``kill -9`` leaves either the last checkpoint or
the one before. No pickle, so a run folder from somebody else can't run code.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from huggingtweets import atomic
from huggingtweets.errors import BotError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


@dataclass
class Progress:
    """Where training stands, apart from the tensors.

    Attributes:
        step: optimizer steps taken.
        epoch: epoch under way, from 0.
        in_epoch: batches of it that are done.
        tokens: of real text seen so far.
        seconds: spent training so far, over all sittings.
        loss_sum: summed training loss of this epoch, nats.
        loss_tokens: tokens that sum is over.
        best: lowest held-out bits per byte so far.
        history: one entry a measurement: epoch, step, train_loss, held_out_bits_per_byte.
        plan: fingerprint of data, recipe and seed; a checkpoint of another plan isn't used.
    """

    plan: str
    step: int = 0
    epoch: int = 0
    in_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    best: float = float("inf")
    history: list[dict[str, float | None]] = field(default_factory=list)


def save(path: Path, progress: Progress, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a checkpoint atomically.

    Raises:
        StorageError: the disk is full or can't be written; the checkpoint before is kept.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic.replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={"progress": json.dumps(asdict(progress))})
        except SafetensorError as error:
            raise atomic.as_os_error(error) from error


def load(path: Path) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """Read a checkpoint, or None where there is none yet.

    Raises:
        BotError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            return progress, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BotError(
            f"The checkpoint {path} is damaged ({error}); train the bot anew."
        ) from error
