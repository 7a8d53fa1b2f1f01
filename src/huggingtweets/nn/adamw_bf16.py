"""AdamW for a bfloat16 model with fp32 master weights, one chunk at a time.

Over all weights at once, a step converts the gradients to fp32, measures and clips them, updates
the weights and writes them back in bfloat16. With GPT-2 small those are five passes over gigabytes,
and the fp32 gradients alone take half a gigabyte. Here each chunk of two million numbers goes
through all of it while it is in the cache. The state is that of ``torch.optim.AdamW``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK_SIZE = 1 << 21
"""Numbers in a chunk: 8 MB in fp32."""


def step(
    optimizer: torch.optim.AdamW,
    master_params: Mapping[str, torch.Tensor],
    bf16_params: Mapping[str, torch.Tensor],
    max_norm: float,
) -> None:
    """Take one optimizer step with the gradients of ``bf16_params``, then clear them.

    Args:
        optimizer: the optimizer of the master weights; its state is created where it is missing.
        master_params: fp32 weights by name.
        bf16_params: the model's bfloat16 weights, with the same names.
        max_norm: maximum norm of the gradient over all weights.
    """
    gradients = {n: w.grad.reshape(-1) for n, w in bf16_params.items() if w.grad is not None}
    divisor = _clipping_divisor(list(gradients.values()), max_norm)
    groups = {id(w): group for group in optimizer.param_groups for w in group["params"]}
    with torch.no_grad():
        for name, gradient in gradients.items():
            master, param = master_params[name], bf16_params[name]
            state = optimizer.state[master] or _init_state(optimizer.state[master], master)
            moments = (state["exp_avg"], state["exp_avg_sq"])
            flat = [gradient, *(tensor.view(-1) for tensor in (master, *moments, param))]
            for chunks in zip(*(torch.split(t, _CHUNK_SIZE) for t in flat), strict=True):
                _update(chunks, state["step"], groups[id(master)], divisor)
            state["step"] += 1
            param.grad = None


def _clipping_divisor(gradients: list[torch.Tensor], max_norm: float) -> torch.Tensor:
    """Return what clipping divides all gradients by, as in ``clip_grad_norm_``; a scalar.

    The norm of each chunk is rounded to bfloat16. Over many chunks the errors average out, and
    converting the gradients to fp32 for the norm would take as long as the update.
    """
    norms = [torch.linalg.vector_norm(c) for g in gradients for c in torch.split(g, _CHUNK_SIZE)]
    norm = torch.linalg.vector_norm(torch.stack(norms).float())
    divisor: torch.Tensor = ((norm + 1e-6) / max_norm).clamp_min(1.0)
    return divisor


def _init_state(state: dict[str, Any], master: torch.Tensor) -> dict[str, Any]:
    state["step"] = torch.zeros((), dtype=torch.float32)
    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(master), torch.zeros_like(master)
    return state


def _update(
    chunks: tuple[torch.Tensor, ...],
    previous_steps: torch.Tensor,
    group: dict[str, Any],
    divisor: torch.Tensor,
) -> None:
    """Update one chunk of a weight.

    Args:
        chunks: gradient, master weight, first moment, second moment, bfloat16 weight.
        previous_steps: steps taken before this one.
        group: the optimizer's settings.
        divisor: what the gradient is divided by.
    """
    gradient, master, mean, mean_square, param = chunks
    beta1, beta2 = group["betas"]
    adamw(
        [master],
        [gradient.float()],
        [mean],
        [mean_square],
        [],
        [previous_steps.clone()],  # each call increments it, and there is a call for each chunk
        fused=True,
        grad_scale=divisor,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )
    param.copy_(master)
