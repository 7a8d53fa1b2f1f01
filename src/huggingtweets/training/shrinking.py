"""Make a small bot from a full one: the difference to its base as pairs of small matrices.

The product of rank r that is closest to a matrix, in the sum of squared differences, is its
singular value decomposition cut off after the r largest values (Eckart and Young 1936, "The
approximation of one matrix by another of lower rank"). Only linear layers get a pair. What the bot
changed in its embeddings and norms is left out: servers such as vLLM take neither, and what that
costs is measured in docs/research/adapters.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from huggingtweets.nn import adapters
from huggingtweets.nn.adapters import Adapter
from huggingtweets.training import lora
from huggingtweets.training.layers import Layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def shrink(bot: PreTrainedModel, base: PreTrainedModel, rank: int) -> Adapter:
    """Return the difference between two models as an adapter without a base's name.

    Layers that are the same in both get no pair. A layer with fewer inputs or outputs than the rank
    gets all of its difference, and zeros.

    Args:
        bot: a model with weights of the same names and shapes as the base's.
        base: the model that it was trained from.
        rank: of the pairs.

    Raises:
        InputError: the base has no linear layers.
    """
    lora.count(base, 0, rank)
    before = dict(base.named_parameters())
    after = dict(bot.named_parameters())
    layers = Layers(base, 0)
    pairs, transposed = {}, False
    for name, module in lora.linear_layers(layers).items():
        weight = f"{name}.weight"
        change = after[weight].detach().double() - before[weight].detach().double()
        if adapters.is_transposed(module):
            change, transposed = change.T, True
        if change.any():
            a, b = low_rank(change, rank)
            pairs[name] = a.to(lora.STORED_DTYPE), b.to(lora.STORED_DTYPE)
    return Adapter("", "", 1.0, pairs, transposed=transposed)


def low_rank(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A, (rank, inputs), and B, (outputs, rank), whose product is closest to a matrix.

    The singular vectors of the shorter side are the eigenvectors of its Gram matrix, which is four
    times as fast as a whole decomposition. In fp64 the largest values lose nothing by that.

    Args:
        matrix: (outputs, inputs), in fp64.
        rank: of the product.
    """
    outputs, inputs = matrix.shape
    if outputs < inputs:
        b, a = low_rank(matrix.T, rank)
        return a.T, b.T
    _, vectors = torch.linalg.eigh(matrix.T @ matrix)  # in ascending order of the values
    right = vectors[:, -min(rank, inputs) :]
    left = matrix @ right  # columns as long as the singular values
    root = left.norm(dim=0).clamp_min(1e-30).sqrt()
    a, b = right.T * root[:, None], left / root
    missing = rank - a.shape[0]
    return torch.nn.functional.pad(a, (0, 0, 0, missing)), torch.nn.functional.pad(b, (0, missing))
