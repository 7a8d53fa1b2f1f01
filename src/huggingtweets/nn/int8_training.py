"""Int8 matrix products in training, for CPUs that multiply 8-bit integers fastest.

Processors with VNNI but without bfloat16 (most of today's laptops) compute int8 products three to
four times as fast as fp32 ones. The inputs of each product (weights, activations, gradients) are
rounded to 8 bits. Sums are exact and everything else stays in fp32 ("SwitchBack", Wortsman et al.
2023, arXiv 2304.13013, section 2.2, here with the weights' gradient in int8 too). Rounding changes
a gradient by a few percent, far less than the choice of the batch does.
``benchmarks/pretrain_step.py`` trains the same weights both ways and prints losses and speeds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch

from huggingtweets.nn import quantization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice


def should_use(machine: ComputeDevice, *, compiled: bool) -> bool:
    """Whether int8 products make training faster.

    Args:
        machine: where the training runs.
        compiled: whether ``torch.compile`` is used; without it, rounding costs what products save.
    """
    fp32_on_cpu = machine.device == "cpu" and machine.precision == "fp32"
    return fp32_on_cpu and compiled and quantization.has_fast_int8()


@contextmanager
def int8_matmuls(model: PreTrainedModel, *, wanted: bool = True) -> Iterator[None]:
    """Train a model's linear layers in int8 inside the context; evaluation stays exact.

    Args:
        model: the class of its layers is replaced, then restored; its weights stay the same
            tensors.
        wanted: False changes nothing.
    """
    head = model.get_output_embeddings()
    linear = (m for m in model.modules() if type(m) is torch.nn.Linear)
    replaced = [m for m in linear if wanted and getattr(m, "bias", None) is None]
    for layer in replaced:
        layer.__class__ = _Int8TrainingHead if layer is head else _Int8TrainingLinear
    try:
        yield
    finally:
        for layer in replaced:
            layer.__class__ = torch.nn.Linear


def _quantize(values: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return integers from -127 to 127, and their scales, with ``dim`` reduced to size 1."""
    scale = (values.abs().amax(dim, keepdim=True) * (1 / 127)).clamp_min(1e-12)
    return (values / scale).round().to(torch.int8), scale


def _int8_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    sums: torch.Tensor = torch._int_mm(a, b)  # noqa: SLF001 - torch's only int8 product on a CPU
    return sums.float()


def _quantized_product(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return ``x @ weight.T``, then the integers and scales of ``x`` and of ``weight``."""
    x8, x_scale = _quantize(x, 1)
    w8, w_scale = _quantize(weight, 1)
    return _int8_product(x8, w8.t()) * x_scale * w_scale.t(), x8, x_scale, w8, w_scale


class _Product(torch.autograd.Function):
    """``x @ weight.T`` for ``x``, (tokens, inputs), and ``weight``, (outputs, inputs)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        out, *quantized = _quantized_product(x, weight)
        ctx.save_for_backward(*quantized)
        return out

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        x8, x_scale, w8, w_scale = ctx.saved_tensors
        # the scale along the summed dimension is multiplied into the gradient before that is
        # rounded, so weights and activations are quantized once for both passes
        per_token, token_scale = _quantize(grad_output * w_scale.t(), 1)
        per_output, output_scale = _quantize(grad_output * x_scale, 0)
        grad_x = _int8_product(per_token, w8) * token_scale
        return grad_x, _int8_product(per_output.t(), x8) * output_scale.t()


class _HeadProduct(torch.autograd.Function):
    """The same product with an fp32 backward pass.

    Most of a softmax's gradient is spread over thousands of numbers that 8 bits would round to 0.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        return _quantized_product(x, weight)[0]

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        return grad_output @ weight, grad_output.t() @ x


class _Int8TrainingLinear(torch.nn.Linear):
    """A linear layer without bias that trains in int8."""

    _function: Any = _Product

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs, (..., outputs), for inputs, (..., inputs)."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(inputs)
        out = self._function.apply(inputs.flatten(0, -2), self.weight)
        return cast("torch.Tensor", out).view(*inputs.shape[:-1], -1)


class _Int8TrainingHead(_Int8TrainingLinear):
    """A head whose forward pass trains in int8."""

    _function = _HeadProduct
