"""Muon for a model's matrices; AdamW trains the rest.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) makes each update of a matrix
orthogonal by Newton-Schulz iterations. Scaled to the size of AdamW's updates, the two share one
learning rate (Liu et al. 2025, arXiv 2502.16982, section 2.2). ``torch.optim.Muon`` updates one
matrix at a time and always in bfloat16. On a CPU that only emulates bfloat16, this took as long as
the rest of the step. Here matrices of the same shape are updated together, in the precision that is
fastest on the machine.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steepest at 0, near 1 after five iterations
_ITERATIONS = 5
_ADAMW_RMS = 0.2  # root mean square of AdamW's updates, Liu et al.


class Muon:
    """Muon with Nesterov momentum and decoupled weight decay, for matrices only.

    Args:
        weights: 2-dimensional tensors by name; updated in place from their ``grad``.
        dtype: precision of the Newton-Schulz iterations.
        momentum: decay of the gradients' running mean.
        weight_decay: share of a weight that a step removes at a learning rate of 1.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        dtype: torch.dtype,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
    ) -> None:
        self.dtype, self.momentum, self.weight_decay = dtype, momentum, weight_decay
        self._groups = _by_shape(weights)
        self._weights = dict(weights)
        self.moments = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def step(self, learning_rate: float) -> None:
        """Update all weights, those of one shape together."""
        with torch.no_grad():
            for names in self._groups:
                gradients = torch.stack([self._nesterov_gradient(name) for name in names])
                updates = orthogonal(gradients.to(self.dtype))
                scale = _ADAMW_RMS * max(updates.shape[-2:]) ** 0.5
                for name, update in zip(names, updates, strict=True):
                    weight = self._weights[name]
                    weight.mul_(1 - learning_rate * self.weight_decay)
                    weight.add_(update, alpha=-learning_rate * scale)

    def _nesterov_gradient(self, name: str) -> torch.Tensor:
        """Update the running mean with a gradient; return the gradient with Nesterov momentum."""
        gradient, mean = self._weights[name].grad, self.moments[name]
        if gradient is None:
            raise ValueError(f"{name} has no gradient")
        return gradient.lerp(mean.lerp_(gradient, 1 - self.momentum), self.momentum)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Approximate the nearest orthogonal matrices: all singular values between 0.7 and 1.2.

    Args:
        matrices: (count, rows, columns).

    Returns:
        The same shape.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    result: torch.Tensor = x.mT if tall else x
    return result


def _by_shape(weights: Mapping[str, torch.Tensor]) -> Iterable[list[str]]:
    groups: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, weight in weights.items():
        groups[tuple(weight.shape)].append(name)
    return list(groups.values())
