"""Weights that were trained further, averaged with those they began as.

Both stand at the foot of the same valley, as the learning rate fell to nothing before each, and
between two such points the loss is lower than at either (Sanyal et al. 2023, arXiv:2306.03241,
average checkpoints of one pre-training; ours are the ends of two sittings).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from huggingtweets.nn import language_model, likelihood

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.pretraining.progress import Progress

_WAYS = (0.85, 0.7, 0.55, 0.4)
"""Shares of the way from the weights before to these that are tried, one after the other."""


def held_out_bits(
    lm: LanguageModel, posts: Mapping[str, list[str]], *, precision: str = "fp32"
) -> dict[str, float]:
    """Bits per byte of each corpus' held-out posts and of ``all``, each post alone.

    Args:
        lm: in fp32, on the device it is to be measured with.
        posts: of each corpus.
        precision: of products, ``fp32`` or ``bf16``.
    """
    import torch

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
    everything = [post for texts in posts.values() for post in texts]
    return bits | {"all": likelihood.nats_to_bits_per_byte(sum(nats.values()), everything)}


def average_with(
    before: str | Path,
    lm: LanguageModel,
    held_out: Mapping[str, list[str]],
    progress: Progress,
    *,
    precision: str = "fp32",
) -> float | None:
    """Move the model towards the weights it began as, as far as that lowers the held-out loss.

    Args:
        before: the weights that were trained further: a folder, a built-in base or a Hub id.
        lm: the model at the end; changed in place.
        held_out: posts of each corpus to measure by.
        progress: of the training that ended; its curve ends with the weights kept.
        precision: of products, as the training measured them.

    Returns:
        The share of the way that is kept, or None where the end of it is best.

    Raises:
        BotError: the weights before can't be read.
    """
    import torch

    begin = {n: w.detach().float() for n, w in language_model.load(before).model.named_parameters()}
    end = {name: weight.detach().clone() for name, weight in lm.model.named_parameters()}

    def go(share: float) -> None:
        with torch.no_grad():
            for name, weight in lm.model.named_parameters():
                weight.copy_(torch.lerp(begin[name].to(weight.device), end[name], share))

    lowest, kept, bits_before = progress.curve[-1]["held_out_bits_per_byte"], 1.0, math.inf
    for share in _WAYS:
        go(share)
        found = held_out_bits(lm, held_out, precision=precision)
        bits = {name: round(value, 4) for name, value in found.items()}
        if bits["all"] < lowest["all"]:
            lowest, kept = bits, share
        if bits["all"] > bits_before:
            break
        bits_before = bits["all"]
    go(kept)
    if kept == 1.0:
        return None
    last = progress.curve[-1]
    progress.curve.append(last | {"train_loss": None, "held_out_bits_per_byte": lowest})
    return kept
