"""Low-rank training: pairs of small matrices beside frozen linear layers.

A layer computes W x + scale * B A x, and only A, (rank, inputs), and B, (outputs, rank), are
trained (LoRA, Hu et al. 2021, arXiv 2106.09685, section 4.1). All linear layers of a block get a
pair, the feed-forward ones too: attention alone learns less ("LoRA Without Regret", Schulman et
al. 2025, thinkingmachines.ai/blog/lora). B starts at zero, so training starts from the base.

While training, the class of a layer is replaced and the pair is a parameter of it, so the names of
all other weights stay the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from transformers.pytorch_utils import Conv1D

from huggingtweets.errors import InputError
from huggingtweets.nn import adapters
from huggingtweets.nn.adapters import Adapter
from huggingtweets.training.layers import Layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedModel

    from huggingtweets.training.recipe import LayerChoice

A_SIZE = 8.0
"""First values of A relative to those of a new linear layer. AdamW moves all values by the same
amount, so A turns an eighth as fast as with the usual size, while B learns as before: LoRA+ with
the ratio 8 (Hayou et al. 2024, arXiv 2402.12354)."""

ALPHA = 32.0 / A_SIZE
"""lora_alpha, the factor before the product times the rank. With it, the best learning rate hardly
depends on the rank (Schulman et al. 2025)."""

STORED_DTYPE = torch.bfloat16
"""Precision of saved pairs; in fp32 they would take twice the space. The measurements in
docs/research/adapters.md are of the pairs as saved."""

A, B = "lora_a", "lora_b"
"""Names of a pair's parameters in its layer."""


class Lora:
    """The pairs of a model in training.

    Args:
        layers: the layers that are trained; all weights of the model but the pairs are frozen.
        rank: of new pairs.
        start: an adapter whose pairs are trained further, or None for new ones. Its whole weights
            must be in the model already.
    """

    def __init__(self, layers: Layers, rank: int, start: Adapter | None = None) -> None:
        self.model = layers.model
        self.start = start
        self.scale = start.scale if start else ALPHA / rank
        modules = linear_layers(layers)
        if start:
            modules = {name: self.model.get_submodule(name) for name in start.pairs}
        self.modules = modules
        self.model.requires_grad_(False)
        for name, module in modules.items():
            a, b = start.pairs[name] if start else _new_pair(module, rank)
            _attach(module, a.float(), b.float(), self.scale)

    @property
    def weights(self) -> int:
        """Number of the weights beside which there are pairs."""
        return sum(module.get_parameter("weight").numel() for module in self.modules.values())

    def interpolates(self, name: str) -> bool:
        """Whether a parameter is interpolated towards the start.

        New pairs start with B = 0, so scaling B alone scales the whole difference to the base.
        """
        return self.start is not None or name.endswith(f".{B}")

    def detach(self, values: Mapping[str, torch.Tensor]) -> Adapter:
        """Remove the pairs from the model and return them as an adapter without a base's name.

        Args:
            values: of the pairs, by the names of their parameters in the model.
        """
        for module in self.modules.values():
            _detach(module)
        pairs = {name: (values[f"{name}.{A}"], values[f"{name}.{B}"]) for name in self.modules}
        transposed = any(map(adapters.is_transposed, self.modules.values()))
        full = dict(self.start.full) if self.start else {}
        return Adapter("", "", self.scale, pairs, full, transposed)


def count(model: PreTrainedModel, choice: LayerChoice, rank: int) -> int:
    """Return the number of weights that the pairs of a model would have.

    Raises:
        InputError: the chosen layers have no linear ones, or there are no such layers.
    """
    layers = Layers(model, choice)
    layers.thaw()
    shapes = [adapters.linear_shape(module) for module in linear_layers(layers).values()]
    if not shapes:
        raise InputError("--adapter lora can't be used: the layers of this base aren't linear.")
    return rank * sum(map(sum, shapes))


def linear_layers(layers: Layers) -> dict[str, torch.nn.Module]:
    """Return the linear layers in the trained blocks, by name."""
    trained = layers.trained or layers.blocks
    inside = {id(module) for block in trained for module in block.modules()}
    return {
        name: module
        for name, module in layers.model.named_modules()
        if type(module) in (torch.nn.Linear, Conv1D) and id(module) in inside
    }


def _new_pair(module: torch.nn.Module, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A with A_SIZE times the values that torch gives a new linear layer, and B = 0."""
    outputs, inputs = adapters.linear_shape(module)
    bound = A_SIZE / math.sqrt(inputs)
    return torch.empty(rank, inputs).uniform_(-bound, bound), torch.zeros(outputs, rank)


class _LoraLinear(torch.nn.Linear):
    lora_a: torch.nn.Parameter
    lora_b: torch.nn.Parameter
    lora_scale: float

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        return _add_product(super().forward(input), input, self)


class _LoraConv1D(Conv1D):
    lora_a: torch.nn.Parameter
    lora_b: torch.nn.Parameter
    lora_scale: float

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plain: torch.Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return _add_product(plain, x, self)


def _add_product(
    output: torch.Tensor, inputs: torch.Tensor, layer: _LoraLinear | _LoraConv1D
) -> torch.Tensor:
    """Add scale * B A x to a layer's output, in one operation with the second product."""
    low = F.linear(inputs, layer.lora_a).flatten(0, -2)
    flat = output.flatten(0, -2)
    return torch.addmm(flat, low, layer.lora_b.T, alpha=layer.lora_scale).view_as(output)


def _attach(module: torch.nn.Module, a: torch.Tensor, b: torch.Tensor, scale: float) -> None:
    weight = module.get_parameter("weight")
    module.__class__ = _LoraLinear if isinstance(module, torch.nn.Linear) else _LoraConv1D
    for name, values in ((A, a), (B, b)):
        module.register_parameter(name, torch.nn.Parameter(values.to(weight.device)))
    module.lora_scale = scale  # type: ignore[assignment]


def _detach(module: torch.nn.Module) -> None:
    delattr(module, A)
    delattr(module, B)
    del module.lora_scale
    module.__class__ = torch.nn.Linear if isinstance(module, torch.nn.Linear) else Conv1D
