"""Activations that transformers writes out in Python, as the one operation torch has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def replace_gelu(model: torch.nn.Module) -> None:
    """Let torch compute a model's GELU by tanh in one pass over its numbers, in place.

    Transformers writes GPT-2's out as eight operations, each of which reads and writes all of them.
    The function is the same to rounding, and there are no weights in it, so saving isn't touched.
    """
    import torch
    from transformers import activations

    written_out = (
        activations.NewGELUActivation,
        activations.FastGELUActivation,
        activations.AccurateGELUActivation,
        activations.GELUTanh,
    )
    for name, module in list(model.named_modules()):
        if isinstance(module, written_out):
            model.set_submodule(name, torch.nn.GELU(approximate="tanh"))
