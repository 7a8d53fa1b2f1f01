"""A key-value cache with preallocated room, so that a new token doesn't copy all others."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

_ROOM = 32
"""Positions allocated at once. Pages that no token is written to take no physical memory."""


class PreallocatedCacheLayer(DynamicLayer):
    """Keys and values, each (rows, heads, time, size), at the beginning of larger blocks.

    Operations of transformers that replace keys and values by other tensors work as usual; the next
    token then allocates a new block.

    Args:
        layer: the layer whose keys and values are taken over.
    """

    keys: Any
    values: Any

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        assert layer.keys is not None and layer.values is not None  # noqa: S101
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values
        self._key_block, self._value_block = layer.keys, layer.values

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values of new positions and return all of them."""
        self._key_block = _with_room(self._key_block, self.keys, key_states.shape[-2])
        self._value_block = _with_room(self._value_block, self.values, value_states.shape[-2])
        self.keys = _append(self._key_block, self.keys, key_states)
        self.values = _append(self._value_block, self.values, value_states)
        return self.keys, self.values

    def join(self, other: PreallocatedCacheLayer) -> None:
        """Append the rows of another layer, newest positions aligned."""
        self.keys = cat_right_aligned(self.keys, other.keys, dim=2)
        self.values = cat_right_aligned(self.values, other.values, dim=2)

    def keep(self, rows: torch.Tensor, skip: int) -> None:
        """Keep some rows, without their ``skip`` oldest positions."""
        length = self.keys.shape[-2] - skip
        # the free room comes along, so that the next token needs no new block
        self._key_block = _with_room(self._key_block, self.keys, 0)[:, :, skip:][rows]
        self._value_block = _with_room(self._value_block, self.values, 0)[:, :, skip:][rows]
        self.keys = self._key_block[:, :, :length]
        self.values = self._value_block[:, :, :length]


def preallocate(cache: Any) -> None:  # noqa: ANN401 - transformers' caches share no typed base
    """Replace the layers of a filled cache that grow; those that keep only a window stay."""
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[number] = PreallocatedCacheLayer(layer)


def cat_right_aligned(one: torch.Tensor, other: torch.Tensor, dim: int) -> torch.Tensor:
    """Concatenate rows; the shorter tensor gets zeros on the left of dimension ``dim``."""
    length = max(one.shape[dim], other.shape[dim])

    def pad(tensor: torch.Tensor) -> torch.Tensor:
        missing = length - tensor.shape[dim]
        after = (0, 0) * (tensor.dim() - 1 - dim)
        return torch.nn.functional.pad(tensor, (*after, missing, 0)) if missing else tensor

    return torch.cat([pad(one), pad(other)])


def _with_room(block: torch.Tensor, past: torch.Tensor, more: int) -> torch.Tensor:
    """Return the block if it begins with ``past`` and ``more`` positions fit, else a new one."""
    used = past.shape[-2]
    if block.data_ptr() == past.data_ptr() and used + more <= block.shape[-2]:
        return block
    new = past.new_empty(*past.shape[:-2], used + more + _ROOM, past.shape[-1])
    new[..., :used, :] = past
    return new


def _append(block: torch.Tensor, past: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Write ``states`` after ``past`` and return the used part of the block."""
    used, length = past.shape[-2], past.shape[-2] + states.shape[-2]
    block[..., used:length, :] = states
    return block[..., :length, :]
