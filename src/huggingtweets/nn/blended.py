"""Mix the probabilities of several models with one tokenizer, token by token.

The mixture is a model itself, so whoever samples or measures with a model does so with a mixture.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch

from huggingtweets.errors import BotError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from huggingtweets.nn.language_model import LanguageModel


class BlendedCache:
    """The key-value caches of all models, whose layers one engine looks after.

    Args:
        caches: one for each model.

    Attributes:
        layers: of all caches, in order; what replaces one of them is used from then on.
    """

    def __init__(self, caches: Sequence[Any]) -> None:
        self._caches = caches
        self.layers: list[Any] = [layer for cache in caches for layer in cache.layers]

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order."""
        for layer in self.layers:
            layer.batch_select_indices(indices)

    def parts(self) -> Sequence[Any]:
        """Return the caches of the models, with the layers of today."""
        start = 0
        for cache in self._caches:
            end = start + len(cache.layers)
            cache.layers[:] = self.layers[start:end]
            start = end
        return self._caches


class BlendedModel(torch.nn.Module):
    """p(token) = sum_i w_i p_i(token): the mean of the models' probabilities.

    Args:
        models: with the same vocabulary.
        weights: of the models; they sum to one.
    """

    def __init__(self, models: Sequence[PreTrainedModel], weights: Sequence[float]) -> None:
        super().__init__()
        self.models = torch.nn.ModuleList(cast("Sequence[torch.nn.Module]", models))
        self._log_weights = [torch.tensor(weight).log() for weight in weights]
        self.config = models[0].config

    def get_output_embeddings(self) -> None:
        """No single head makes the logits."""

    def forward(  # noqa: PLR0917 - transformers' own
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: BlendedCache | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
    ) -> SimpleNamespace:
        """Return ``logits``, the logarithms of the mixed probabilities in fp32, and the caches.

        Shapes and arguments are those of transformers' causal language models.
        """
        caches = past_key_values.parts() if past_key_values else [None] * len(self.models)
        padded = (
            {}
            if attention_mask is None
            else {"attention_mask": attention_mask, "position_ids": position_ids}
        )
        outputs = [
            model(
                input_ids=input_ids,
                past_key_values=cache,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
                **padded,
            )
            for model, cache in zip(self.models, caches, strict=True)
        ]
        logits = torch.stack(
            [
                out.logits.float().log_softmax(-1) + weight.to(out.logits.device)
                for out, weight in zip(outputs, self._log_weights, strict=True)
            ]
        ).logsumexp(0)
        cache = BlendedCache([out.past_key_values for out in outputs]) if use_cache else None
        return SimpleNamespace(logits=logits, past_key_values=cache)


def blend(one: LanguageModel, other: LanguageModel, share: float) -> LanguageModel:
    """Return a model whose probabilities are ``share`` those of ``other`` and the rest of ``one``.

    Raises:
        BotError: their tokenizers differ.
    """
    check_one_tokenizer([one, other])
    model = BlendedModel([one.model, other.model], [1 - share, share]).eval()
    return replace(
        one, model=cast("PreTrainedModel", model), context=min(one.context, other.context)
    )


def check_one_tokenizer(models: Sequence[LanguageModel]) -> None:
    """Check that token ids mean the same to all models.

    Raises:
        BotError: they don't.
    """
    first, *others = models
    vocabulary = first.tokenizer.get_vocab()
    for other in others:
        if other.separator != first.separator or other.tokenizer.get_vocab() != vocabulary:
            raise BotError(
                f"The bots {_name(first)} and {_name(other)} have different tokenizers, so their "
                "tokens can't be mixed; choose bots of the same base."
            )


def _name(model: LanguageModel) -> str:
    """Return the run folder of a model, or what else it was loaded from."""
    return model.source.removesuffix("/bot")
