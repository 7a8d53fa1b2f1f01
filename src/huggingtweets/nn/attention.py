"""Causal attention over full rows, the quickest way on each device.

On a CPU torch's fused kernel takes a third of a compiled step of the preset ``pocket`` in bfloat16.
Here 128 positions at a time attend to what stands before them, so of the products that the mask
throws away half are never computed, and the compiler makes scaling, mask and softmax one loop: the
step is 1.4 times as fast (9,300 and 13,000 tokens/s on two cores with AVX-512 BF16;
``benchmarks/pretrain_step.py``).

On a GPU the fused kernel is the quickest there is, as long as it is told "causal" and not given a
mask. transformers makes one while a CUDA graph is captured and when torch before 2.14 compiles it;
otherwise it looks for several texts in a row, for which the GPU has to be waited for.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel

_NAME = "huggingtweets_{}"
_PIECE = 128
"""Positions whose attention is one product: rows of 256 in two pieces do 3/4 of the work."""


@contextmanager
def use_causal_attention(
    model: PreTrainedModel, device: str, *, wanted: bool = True
) -> Iterator[None]:
    """Let a model attend in the way of a device while inside.

    Args:
        model: its rows have padding only at their end, if any, and it keeps no cache meanwhile.
        device: ``cpu`` attends in pieces, which leaves out dropout; others by the fused kernel.
        wanted: False changes nothing.
    """
    if not wanted:
        yield
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    way = _blockwise_attention if device == "cpu" else sdpa_attention_forward
    name = _NAME.format(way.__name__)
    AttentionInterface.register(name, way)
    AttentionMaskInterface.register(name, _no_mask)
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no other way to ask
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _no_mask(*_: Any, **__: Any) -> None:  # noqa: ANN401 - transformers' interface
    """Positions tell what comes before what."""


def _blockwise_attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    scaling: float,
    **_: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attention of (rows, heads, time, width) tensors; returns (rows, time, heads, width)."""
    import torch

    if (groups := query.shape[1] // key.shape[1]) > 1:  # several query heads share keys
        key, value = (one.repeat_interleave(groups, 1) for one in (key, value))
    time = query.shape[2]
    pieces = []
    for start in range(0, time, _PIECE):
        end = min(start + _PIECE, time)
        scores = (query[:, :, start:end] * scaling) @ key[:, :, :end].transpose(2, 3)
        before = torch.arange(start, end)[:, None] >= torch.arange(end)[None, :]
        scores = torch.where(before, scores.float(), float("-inf"))
        pieces.append(torch.softmax(scores, -1).to(value.dtype) @ value[:, :, :end])
    return torch.cat(pieces, 2).transpose(1, 2).contiguous(), None
