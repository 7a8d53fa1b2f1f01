"""Matrix products of a training step in 8 bits, on CPUs that multiply those fastest.

Processors with VNNI but no bfloat16 (most laptops of today) do 8-bit products three to four times
as fast as fp32 ones. Weights, activations and gradients are rounded to 8 bits on the way into a
product, sums are exact, everything else stays fp32 ("SwitchBack", Wortsman et al. 2023, arXiv
2304.13013, section 2.2, here with the weights' gradient in 8 bits too). The rounding shifts a
gradient by some percent, a small part of what the choice of a batch does;
``benchmarks/pretrain_step.py`` trains the same weights both ways and prints losses and speeds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from huggingtweets.nn import int8

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.nn.devices import ComputeDevice

_made: list[tuple[type, type]] = []


def should_use(machine: ComputeDevice, *, compiled: bool) -> bool:
    """Whether to compute so here.

    Args:
        machine: where the training runs.
        compiled: whether by ``torch.compile``, without which rounding takes what the products save.
    """
    plain = machine.device == "cpu" and machine.precision == "fp32"
    return plain and compiled and int8.has_fast_int8()


@contextmanager
def int8_matmuls(model: PreTrainedModel, *, wanted: bool = True) -> Iterator[None]:
    """Train a model's linear layers in 8 bits while inside; scoring and writing stay exact.

    Args:
        model: its layers' class is changed, and back at the end; weights are the same tensors.
        wanted: False changes nothing.
    """
    import torch

    head = model.get_output_embeddings()
    plain = (m for m in model.modules() if type(m) is torch.nn.Linear)
    changed = [m for m in plain if wanted and getattr(m, "bias", None) is None]
    linear, last = _layers()
    for layer in changed:
        layer.__class__ = last if layer is head else linear
    try:
        yield
    finally:
        for layer in changed:
            layer.__class__ = torch.nn.Linear


def _layers() -> tuple[type, type]:
    """The classes of a layer and of a model's head, made on first use."""
    if not _made:
        _made.append(_make())
    return _made[0]


def _rounded(numbers: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers from -127 to 127 and their scale, one for each line along ``axis``."""
    import torch

    scale = (numbers.abs().amax(axis, keepdim=True) * (1 / 127)).clamp_min(1e-12)
    return (numbers / scale).round().to(torch.int8), scale


def _make() -> tuple[type, type]:
    import torch

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        sums: torch.Tensor = torch._int_mm(a, b)  # noqa: SLF001 - torch's only one for the CPU
        return sums.float()

    def rounded_product(x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The product, then what it was made of: numbers and scales of both."""
        x8, x_scale = _rounded(x, 1)
        w8, w_scale = _rounded(weight, 1)
        return product(x8, w8.t()) * x_scale * w_scale.t(), x8, x_scale, w8, w_scale

    class Product(torch.autograd.Function):
        """``x @ weight.T`` of ``x``, (tokens, inputs), and ``weight``, (outputs, inputs)."""

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
            out, *parts = rounded_product(x, weight)
            ctx.save_for_backward(*parts)
            return out

        @staticmethod
        def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
            x8, x_scale, w8, w_scale = ctx.saved_tensors
            # the scale of what is summed over goes into the gradient before that is rounded, so
            # weights and activations are rounded once for both ways
            per_token, token_scale = _rounded(above * w_scale.t(), 1)
            per_output, output_scale = _rounded(above * x_scale, 0)
            to_x = product(per_token, w8) * token_scale
            return to_x, product(per_output.t(), x8) * output_scale.t()

    class HeadProduct(torch.autograd.Function):
        """The same forwards; backwards in fp32.

        Most of a softmax's gradient is in thousands of numbers that 8 bits would round to 0.
        """

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
            ctx.save_for_backward(x, weight)
            return rounded_product(x, weight)[0]

        @staticmethod
        def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
            x, weight = ctx.saved_tensors
            return above @ weight, above.t() @ x

    class Linear8(torch.nn.Linear):
        """A linear layer without bias that trains in 8 bits."""

        _function: Any = Product

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            """The layer's outputs, (..., outputs), of ``given``, (..., inputs)."""
            if not (self.training and torch.is_grad_enabled()):
                return super().forward(given)
            out = self._function.apply(given.flatten(0, -2), self.weight)
            return cast("torch.Tensor", out).view(*given.shape[:-1], -1)

    class Head8(Linear8):
        """A head that trains in 8 bits on the way forward."""

        _function = HeadProduct

    return Linear8, Head8
