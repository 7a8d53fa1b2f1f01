"""Fast causal attention over full rows, for each device.

On a CPU, torch's fused kernel takes a third of a compiled step of the preset ``pocket`` in
bfloat16. Here blocks of 128 positions attend to the positions up to their end, which skips half of
the products that the causal mask would discard, and the compiler fuses scaling, mask and softmax.
The step is 1.4 times as fast (9,300 and 13,000 tokens/s on two cores with AVX-512 BF16;
``benchmarks/pretrain_step.py``).

On a GPU the fused kernel is fastest, provided it gets ``is_causal`` and no mask. transformers
builds a mask while a CUDA graph is captured, and when torch before 2.14 compiles the model.
Otherwise it checks whether a row packs several texts, which waits for the GPU.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

_NAME = "huggingtweets_{}"
_BLOCK_SIZE = 128
"""Positions in a block. Rows of 256 in two blocks take 3/4 of the full product."""


@contextmanager
def use_causal_attention(
    model: PreTrainedModel, device: str, *, wanted: bool = True
) -> Iterator[None]:
    """Use the device's fastest causal attention inside the context.

    Args:
        model: its rows have padding only at their end, if any, and it keeps no cache meanwhile.
        device: ``cpu`` uses blockwise attention, which ignores attention dropout; others use
            torch's fused kernel.
        wanted: False changes nothing.
    """
    if not wanted:
        yield
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    function = _blockwise_attention if device == "cpu" else sdpa_attention_forward
    name = _NAME.format(function.__name__)
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, _no_mask)
    previous = model.config._attn_implementation  # noqa: SLF001 - transformers has no public getter
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(previous)


def _no_mask(*_: object, **__: object) -> None:
    """Return no mask: positions alone decide what is visible."""


def _blockwise_attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention over (rows, heads, time, width) tensors; returns (rows, time, heads, width)."""
    if (queries_per_key := query.shape[1] // key.shape[1]) > 1:  # grouped-query attention
        key, value = (tensor.repeat_interleave(queries_per_key, 1) for tensor in (key, value))
    time = query.shape[2]
    blocks = []
    for start in range(0, time, _BLOCK_SIZE):
        end = min(start + _BLOCK_SIZE, time)
        scores = (query[:, :, start:end] * scaling) @ key[:, :, :end].transpose(2, 3)
        visible = torch.arange(start, end)[:, None] >= torch.arange(end)[None, :]
        scores = torch.where(visible, scores.float(), float("-inf"))
        blocks.append(torch.softmax(scores, -1).to(value.dtype) @ value[:, :, :end])
    return torch.cat(blocks, 2).transpose(1, 2).contiguous(), None
