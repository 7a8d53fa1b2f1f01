"""Small bots without training: adapters of random numbers that change what a tiny base writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.nn.adapters import Adapter, is_transposed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

ATTENTION, ALL = ("q_proj", "v_proj"), ()


def random_adapter(
    lm: LanguageModel, seed: int, rank: int = 4, only: Sequence[str] = ALL, size: float = 0.3
) -> Adapter:
    """Return an adapter of a base's linear layers, or of those whose names end so."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * size

    pairs = {}
    for name, module in lm.model.named_modules():
        is_linear = isinstance(module, torch.nn.Linear) or is_transposed(module)
        if not is_linear or module is lm.model.get_output_embeddings():
            continue
        if only and not name.endswith(tuple(only)):
            continue
        shape = module.get_parameter("weight").shape
        outputs, inputs = reversed(shape) if is_transposed(module) else shape
        pairs[name] = numbers(rank, inputs), numbers(outputs, rank)
    transposed = any(map(is_transposed, lm.model.modules()))
    return Adapter(lm.source, lm.digest(), 0.5, pairs, transposed=transposed)
