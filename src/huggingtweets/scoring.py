"""How well a model predicts posts: each alone, from separator to separator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from huggingtweets import dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.dataset import Batch, Row
    from huggingtweets.models import LanguageModel


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Summed over the batch's real tokens, in nats; a scalar that gradients flow through.

    The logits, (rows, time, vocabulary), are taken to fp32 first: in bfloat16 the sum over the
    vocabulary would lose the third digit.
    """
    import torch.nn.functional as F  # noqa: N812 - its usual name

    device = next(model.parameters()).device
    logits = model(input_ids=batch.inputs.to(device), use_cache=False).logits
    return F.cross_entropy(
        logits.float().flatten(0, 1),
        batch.labels.to(device).flatten(),
        ignore_index=dataset.IGNORED,
        reduction="sum",
    )


def summed_nats(model: PreTrainedModel, rows: Sequence[Row]) -> float:
    """Negative log-likelihood of all rows together, without gradients or dropout."""
    import torch

    model.eval()
    with torch.inference_mode():
        batches = dataset.evaluation_batches(rows)
        return sum(float(negative_log_likelihood(model, batch)) for batch in batches)


def bits_per_byte(lm: LanguageModel, posts: Sequence[str]) -> float:
    """Bits per byte of posts, each alone, over their UTF-8 bytes and one for the separator.

    Comparable between tokenizers (Gao et al. 2020, "The Pile", arXiv 2101.00027, section 3.1).

    Raises:
        ValueError: there are no posts.
    """
    rows = dataset.rows_of(lm.encode_all(posts), lm.separator, lm.context)
    return nats_to_bits_per_byte(summed_nats(lm.model, rows), posts)


def nats_to_bits_per_byte(nats: float, posts: Sequence[str]) -> float:
    """Bits per byte from a summed negative log-likelihood."""
    if not posts:
        raise ValueError("no posts to measure on")
    return nats / math.log(2) / sum(len(post.encode()) + 1 for post in posts)
