"""Room in a key-value cache for the tokens to come, so that each one doesn't copy all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_ROOM = 32
"""Positions that are added at once; memory that no token is written to is never taken."""


def preallocate(cache: Any) -> None:  # noqa: ANN401 - transformers' cache classes have no common typed base
    """Let the layers of a filled cache grow in place; those that keep only a window stay."""
    from transformers.cache_utils import DynamicLayer

    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[number] = _layer()(layer)


_made: list[Any] = []


def _layer() -> Any:  # noqa: ANN401 - a class that needs transformers
    """The class of a layer that has room, made on first use."""
    if _made:
        return _made[0]
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """A layer whose keys and values are the beginnings of larger blocks.

        Whatever else is done to keys and values, by transformers, makes them tensors of their own;
        the next token gets them a new block then.

        Args:
            layer: whose keys and values it takes over.
        """

        keys: Any
        values: Any

        def __init__(self, layer: Any) -> None:  # noqa: ANN401 - of transformers
            super().__init__()  # type: ignore[no-untyped-call]
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
            """Write keys and values of further positions after the others; gives all of them."""
            self._key_block = _block(self._key_block, self.keys, key_states.shape[-2])
            self._value_block = _block(self._value_block, self.values, value_states.shape[-2])
            self.keys = _written(self._key_block, self.keys, key_states)
            self.values = _written(self._value_block, self.values, value_states)
            return self.keys, self.values

    _made.append(RoomyLayer)
    return RoomyLayer


def _block(block: torch.Tensor, past: torch.Tensor, more: int) -> torch.Tensor:
    """The block if it begins with ``past`` and ``more`` positions fit behind, else a new one."""
    used = past.shape[-2]
    if block.data_ptr() == past.data_ptr() and used + more <= block.shape[-2]:
        return block
    new = past.new_empty(*past.shape[:-2], used + more + _ROOM, past.shape[-1])
    new[..., :used, :] = past
    return new


def _written(block: torch.Tensor, past: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """The beginning of the block with ``states`` written behind ``past``."""
    used, length = past.shape[-2], past.shape[-2] + states.shape[-2]
    block[..., used:length, :] = states
    return block[..., :length, :]
