"""Merge the weights of bots that were trained from one base, without training.

Theta are the weights of a model, theta_0 those of the base, tau_i = theta_i - theta_0 is the task
vector of bot i, and w_i its weight; all w_i sum to one. All sums are computed in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

Method = Literal["linear", "slerp", "task-arithmetic", "ties"]
METHODS: tuple[Method, ...] = ("linear", "slerp", "task-arithmetic", "ties")
WITH_BASE: frozenset[Method] = frozenset({"task-arithmetic", "ties"})
"""Methods that need the weights of the base."""

_PARALLEL = 1e-6
"""Sine of an angle below which an arc is computed as a line; it would be divided by zero."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to merge.

    Attributes:
        method: see the function of that name.
        weights: of the bots; they sum to one.
        scale: factor of the merged task vector, for ``task-arithmetic`` and ``ties``.
        density: share of each task vector's values that ``ties`` keeps, over 0 to 1.
    """

    method: Method
    weights: tuple[float, ...]
    scale: float
    density: float


def merge_into(
    target: torch.nn.Module,
    others: Sequence[torch.nn.Module],
    base: torch.nn.Module,
    settings: Settings,
) -> None:
    """Replace the weights of ``target``, the first bot, by the merged ones.

    Values that are equal in all bots and the base don't change, so frozen layers stay what they
    are, bit for bit.

    Args:
        target: the first bot.
        others: the other bots, with weights of the same names and shapes.
        base: the model that all were trained from.
        settings: how to merge.
    """
    bots = [target, *others]
    cuts = [0.0] * len(bots)
    if settings.method == "ties":
        cuts = [_cut(bot, base, settings.density) for bot in bots]
    named = [dict(model.named_parameters()) for model in (*bots, base)]
    with torch.no_grad():
        for name, weight in named[0].items():
            *own, origin = (weights[name].float() for weights in named)
            merged = _merge(own, origin, settings, cuts)
            same = torch.stack([values == origin for values in own]).all(dim=0)
            weight.copy_(torch.where(same, origin, merged))


def _merge(
    own: list[torch.Tensor], origin: torch.Tensor, settings: Settings, cuts: Sequence[float]
) -> torch.Tensor:
    weights = settings.weights
    if settings.method == "linear":
        return linear(own, weights)
    if settings.method == "slerp":
        return slerp(own[0], own[1], weights[1])
    vectors = [values - origin for values in own]
    if settings.method == "task-arithmetic":
        return origin + settings.scale * task_arithmetic(vectors, weights)
    trimmed = [trim(vector, cut) for vector, cut in zip(vectors, cuts, strict=True)]
    return origin + settings.scale * ties(trimmed, weights)


def linear(own: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The mean of weights, theta = sum_i w_i theta_i.

    Wortsman et al. 2022, "Model soups", arXiv 2203.05482, section 2; there with equal weights.
    """
    return torch.stack([w * values for w, values in zip(weights, own, strict=True)]).sum(dim=0)


def slerp(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """The point at ``share`` on the arc from one tensor to another.

    theta = sin((1 - t) phi) / sin(phi) theta_1 + sin(t phi) / sin(phi) theta_2, where t is the
    share of the second and phi the angle between both (Shoemake 1985, "Animating rotation with
    quaternion curves"). Tensors that point the same way are merged linearly.
    """
    lengths = one.norm() * other.norm()
    if lengths == 0:
        return linear([one, other], (1 - share, share))
    # fp64: near 1 the cosine of fp32 has only a few digits of the angle
    cosine = (one.flatten().double() @ other.flatten().double() / lengths.double()).clamp(-1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    if sine < _PARALLEL:
        return linear([one, other], (1 - share, share))
    return linear(
        [one, other],
        (
            float(torch.sin((1 - share) * angle) / sine),
            float(torch.sin(share * angle) / sine),
        ),
    )


def task_arithmetic(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The sum of task vectors, sum_i w_i tau_i; the base and a scale lambda are up to the caller.

    theta = theta_0 + lambda sum_i w_i tau_i (Ilharco et al. 2023, "Editing models with task
    arithmetic", arXiv 2212.04089, section 2). With lambda = 1 and weights that sum to one this is
    the linear mean; with lambda = the number of bots and equal weights it is their plain sum.
    """
    return linear(vectors, weights)


def ties(trimmed: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The merged task vector of TIES: elect a sign for each value, then the mean of those with it.

    gamma = sgn(sum_i w_i tau_i); tau = sum_{i in A} w_i tau_i / sum_{i in A} w_i over the bots A
    whose sgn(tau_i) = gamma (Yadav et al. 2023, "TIES-Merging", arXiv 2306.01708, section 4; there
    with equal weights).

    Args:
        trimmed: the task vectors, small values set to 0 by :func:`trim`.
        weights: of the bots.
    """
    sign = linear(trimmed, weights).sign()
    agrees = [((vector.sign() == sign) & (sign != 0)).float() for vector in trimmed]
    mass = linear(agrees, weights)
    total = linear([v * a for v, a in zip(trimmed, agrees, strict=True)], weights)
    return torch.where(mass > 0, total / mass.clamp(min=1e-12), 0.0)


def trim(vector: torch.Tensor, cut: float) -> torch.Tensor:
    """A task vector with the values below ``cut`` in magnitude set to 0."""
    return torch.where(vector.abs() >= cut, vector, 0.0)


def _cut(bot: torch.nn.Module, base: torch.nn.Module, density: float) -> float:
    """Magnitude that the ``density`` largest values of a bot's task vector reach.

    Only values that changed can be kept, so a vector with fewer of them is kept whole.
    """
    origin = dict(base.named_parameters())
    with torch.no_grad():
        sizes = torch.cat(
            [(w.float() - origin[n].float()).abs().flatten() for n, w in bot.named_parameters()]
        )
    kept = max(1, round(density * sizes.numel()))
    return float(sizes.kthvalue(sizes.numel() - kept + 1).values)
