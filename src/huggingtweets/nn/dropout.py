"""Dropout for CPUs with a quarter of the random numbers.

On a CPU, torch generates one random number for each activation, one after the other. For GPT-2
small that takes a twentieth of a training step. Here one 64-bit number serves four activations.
"""

from __future__ import annotations

from typing import Any

import torch

_LEVELS = 1 << 16
"""Values of the 16 bits that decide for an activation. The rate is off by at most 8e-6."""


def has_dropout(model: torch.nn.Module) -> bool:
    """Whether a model drops activations in training."""
    return any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules())


def replace_dropout(model: torch.nn.Module) -> None:
    """Replace a model's dropout layers by faster equivalent ones, in place."""
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Dropout:
            model.set_submodule(name, _Dropout(module.p).train(module.training))


class _Dropout(torch.nn.Dropout):
    """On a CPU, uses :class:`_Drop`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        output: torch.Tensor = _Drop.apply(input, self.p)  # type: ignore[no-untyped-call]
        return output


class _Drop(torch.autograd.Function):
    """Saves one byte an activation for the backward pass, a quarter of what torch saves."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, rate: float) -> torch.Tensor:  # noqa: ANN401 - torch's context
        mask = _keep_mask(values.shape, rate)
        ctx.save_for_backward(mask)
        ctx.scale = 1 / (1 - rate)
        return torch.where(mask, values * ctx.scale, 0.0)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401 - torch's context
        (mask,) = ctx.saved_tensors
        return torch.where(mask, grad_output * ctx.scale, 0.0), None


def _keep_mask(shape: torch.Size, rate: float) -> torch.Tensor:
    """Sample a mask that is True with probability ``1 - rate``, from torch's global generator."""
    size = shape.numel()
    random_bits = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None)
    threshold = round(_LEVELS * rate) - _LEVELS // 2
    return (random_bits.view(torch.int16)[:size] >= threshold).view(shape)
