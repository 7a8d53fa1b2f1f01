"""Interpolate weights that were trained further with the weights they started from.

The learning rate decayed to zero before both sets of weights, so both lie in the same minimum of
the loss, and the loss between them is lower than at either (Sanyal et al. 2023, arXiv:2306.03241,
average checkpoints of one pre-training; here they are the final weights of two sessions).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.pretraining.progress import Progress

_INTERPOLATION_WEIGHTS = (0.85, 0.7, 0.55, 0.4)
"""Weights of the new parameters, against the initial ones, in the order they are tried."""


def held_out_bits(
    lm: LanguageModel, posts: Mapping[str, list[str]], *, precision: str = "fp32"
) -> dict[str, float]:
    """Bits per byte of the held-out posts of each corpus and of ``all``; each post is separate.

    Args:
        lm: model in fp32, on the device used for measuring.
        posts: held-out posts of each corpus.
        precision: precision of matrix products, ``fp32`` or ``bf16``.
    """
    from huggingtweets.data import batching

    with torch.autocast(lm.device.type, torch.bfloat16, enabled=precision == "bf16"):
        nats = {
            name: likelihood.summed_nats(
                lm.model, batching.make_rows(lm.encode_all(texts), lm.separator, lm.context)
            )
            for name, texts in posts.items()
        }
    bits = {
        name: likelihood.nats_to_bits_per_byte(value, posts[name]) for name, value in nats.items()
    }
    all_posts = [post for texts in posts.values() for post in texts]
    return bits | {"all": likelihood.nats_to_bits_per_byte(sum(nats.values()), all_posts)}


def average_with(
    before: str | Path,
    lm: LanguageModel,
    held_out: Mapping[str, list[str]],
    progress: Progress,
    *,
    precision: str = "fp32",
) -> float | None:
    """Interpolate a model towards its initial weights to minimise held-out loss.

    Args:
        before: the initial weights: a folder, a built-in base or a Hub id.
        lm: the trained model; changed in place.
        held_out: held-out posts of each corpus.
        progress: progress of the finished training; interpolation adds a measurement to its curve.
        precision: precision of matrix products, as during training.

    Returns:
        The weight of the trained parameters, or None if they are best without interpolation.

    Raises:
        BotError: the initial weights can't be read.
    """
    initial_model = language_model.load(before).model
    initial = {name: param.detach().float() for name, param in initial_model.named_parameters()}
    trained = {name: param.detach().clone() for name, param in lm.model.named_parameters()}

    def set_interpolated(weight: float) -> None:
        with torch.no_grad():
            for name, param in lm.model.named_parameters():
                param.copy_(torch.lerp(initial[name].to(param.device), trained[name], weight))

    lowest, best_weight = progress.curve[-1]["held_out_bits_per_byte"], 1.0
    previous = math.inf
    for weight in _INTERPOLATION_WEIGHTS:
        set_interpolated(weight)
        measured = held_out_bits(lm, held_out, precision=precision)
        bits = {name: round(value, 4) for name, value in measured.items()}
        if bits["all"] < lowest["all"]:
            lowest, best_weight = bits, weight
        if bits["all"] > previous:
            break
        previous = bits["all"]
    set_interpolated(best_weight)
    if best_weight == 1.0:
        return None
    last = progress.curve[-1]
    progress.curve.append(last | {"train_loss": None, "held_out_bits_per_byte": lowest})
    return best_weight
