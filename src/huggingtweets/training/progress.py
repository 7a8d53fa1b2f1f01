"""How far a fine-tuning got; with the tensors it is a :mod:`~huggingtweets.storage.checkpoint`."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        best_weights: which of the weights kept beside the checkpoint have it, ``base`` or ``best``.
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
    best_weights: str = "base"
    history: list[dict[str, float | None]] = field(default_factory=list)
