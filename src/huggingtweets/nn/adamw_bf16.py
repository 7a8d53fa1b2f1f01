"""AdamW on fp32 copies of bfloat16 weights, a piece at a time.

Done for all weights at once, a step turns the gradients into fp32, measures and clips them, updates
the weights and writes them back in bfloat16: five passes over gigabytes with GPT-2 small, and its
gradients in fp32 take half a gigabyte. Here two million numbers go through all of it while they are
in the cache. The state is that of ``torch.optim.AdamW``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

_PIECE = 1 << 21
"""Numbers: 8 MB in fp32."""


def step(
    optimizer: torch.optim.AdamW,
    masters: Mapping[str, torch.Tensor],
    halved: Mapping[str, torch.Tensor],
    clip: float,
) -> None:
    """One step of an optimizer from the gradients of ``halved``, which are then cleared.

    Args:
        optimizer: of the masters; its state is updated, and begun where there is none.
        masters: fp32 weights by name.
        halved: the bfloat16 weights that are computed with, of the same names.
        clip: the gradient's norm at most, over all weights.
    """
    import torch

    gradients = {n: w.grad.reshape(-1) for n, w in halved.items() if w.grad is not None}
    shrunk = _divisor(list(gradients.values()), clip)
    groups = {id(w): group for group in optimizer.param_groups for w in group["params"]}
    with torch.no_grad():
        for name, gradient in gradients.items():
            master, half = masters[name], halved[name]
            state = optimizer.state[master] or _begun(optimizer.state[master], master)
            moments = (state["exp_avg"], state["exp_avg_sq"])
            flat = [gradient, *(one.view(-1) for one in (master, *moments, half))]
            for pieces in zip(*(torch.split(one, _PIECE) for one in flat), strict=True):
                _update(pieces, state["step"], groups[id(master)], shrunk)
            state["step"] += 1
            half.grad = None


def _divisor(gradients: list[torch.Tensor], clip: float) -> torch.Tensor:
    """What all gradients are divided by, as ``torch.nn.utils.clip_grad_norm_`` does; a scalar.

    Each norm is rounded to bfloat16, which the sum of all of them evens out: to turn the gradients
    into fp32 for it as well would take as long as the update.
    """
    import torch

    norms = [torch.linalg.vector_norm(p) for g in gradients for p in torch.split(g, _PIECE)]
    norm = torch.linalg.vector_norm(torch.stack(norms).float())
    divisor: torch.Tensor = ((norm + 1e-6) / clip).clamp_min(1.0)
    return divisor


def _begun(state: dict[str, Any], master: torch.Tensor) -> dict[str, Any]:
    import torch

    state["step"] = torch.zeros((), dtype=torch.float32)
    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(master), torch.zeros_like(master)
    return state


def _update(
    pieces: tuple[torch.Tensor, ...],
    count: torch.Tensor,
    group: dict[str, Any],
    shrunk: torch.Tensor,
) -> None:
    """Take the same piece of a gradient, its master, both moments and the halved weight a step on.

    Args:
        pieces: these five.
        count: steps before this one.
        group: the optimizer's settings.
        shrunk: what the gradient is divided by.
    """
    from torch.optim.adamw import adamw

    gradient, master, mean, square, half = pieces
    beta1, beta2 = group["betas"]
    adamw(
        [master],
        [gradient.float()],
        [mean],
        [square],
        [],
        [count.clone()],  # counted up by each call, and each piece is one
        fused=True,
        grad_scale=shrunk,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )
    half.copy_(master)
