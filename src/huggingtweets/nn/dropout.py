"""Dropout whose random numbers cost a quarter, for a CPU.

torch draws a number of its own for each activation there, one after the other, which for GPT-2
small takes a twentieth of a training step. Here one number of 64 bits decides for four of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_STEPS = 1 << 16
"""Values of the 16 bits that decide for an activation: the rate is off by 8e-6 at most."""


def is_in(model: torch.nn.Module) -> bool:
    """Whether a model drops anything in training."""
    import torch

    return any(isinstance(one, torch.nn.Dropout) and one.p > 0 for one in model.modules())


def replace_dropout(model: torch.nn.Module) -> None:
    """Replace a model's dropout layers by quicker ones that do the same, in place."""
    import torch

    kind = _layer()
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Dropout:
            model.set_submodule(name, kind(module.p).train(module.training))


def _layer() -> type[torch.nn.Dropout]:
    import torch

    drop = _function()

    class Dropout(torch.nn.Dropout):
        def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
            if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
                return super().forward(input)
            dropped: torch.Tensor = drop.apply(input, self.p)
            return dropped

    return Dropout


def _function() -> Any:  # noqa: ANN401 - an autograd function
    import torch

    class Drop(torch.autograd.Function):
        """Keeps one byte an activation for the way back, a quarter of what torch's keeps."""

        @staticmethod
        def forward(ctx: Any, values: torch.Tensor, rate: float) -> torch.Tensor:  # noqa: ANN401 - torch's context
            kept = _kept(values.shape, rate)
            ctx.save_for_backward(kept)
            ctx.scale = 1 / (1 - rate)
            return torch.where(kept, values * ctx.scale, 0.0)

        @staticmethod
        def backward(ctx: Any, above: torch.Tensor) -> Any:  # noqa: ANN401 - torch's context
            (kept,) = ctx.saved_tensors
            return torch.where(kept, above * ctx.scale, 0.0), None

    return Drop


def _kept(shape: torch.Size, rate: float) -> torch.Tensor:
    """True with chance ``1 - rate``, of a shape, from torch's global generator."""
    import torch

    size = shape.numel()
    drawn = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None)
    least = round(_STEPS * rate) - _STEPS // 2
    return (drawn.view(torch.int16)[:size] >= least).view(shape)
