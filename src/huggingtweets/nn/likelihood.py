"""How well a model predicts posts, from separator to separator: alone or after other posts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from huggingtweets.data import batching
from huggingtweets.nn import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Batch, Row
    from huggingtweets.nn.language_model import LanguageModel


class ContextualScore(NamedTuple):
    """How well a model predicts posts after having read others."""

    bits_per_byte: float
    fitted: float
    """Posts read before each, on average."""


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Summed over the batch's real tokens, in nats; a scalar that gradients flow through.

    The logits, (rows, time, vocabulary), are taken to fp32 first: in bfloat16 the sum over the
    vocabulary would lose the third digit. Where the model's head allows they are computed a few
    at a time.
    """
    device = next(model.parameters()).device
    inputs, labels = batch.inputs.to(device), batch.labels.to(device)
    if cross_entropy.has_plain_head(model):
        return cross_entropy.summed_cross_entropy(model, inputs, labels)
    import torch.nn.functional as F  # noqa: N812 - its usual name

    logits = model(input_ids=inputs, use_cache=False).logits
    return F.cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=batching.IGNORED,
        reduction="sum",
    )


def summed_nats(
    model: PreTrainedModel, rows: Sequence[Row], read: Sequence[int] | None = None
) -> float:
    """Negative log-likelihood of all rows together, without gradients or dropout.

    ``read`` tells how many tokens at the beginning of each row are only read and don't count.
    """
    import torch

    model.eval()
    with torch.inference_mode():
        batches = batching.evaluation_batches(rows, read)
        return sum(float(negative_log_likelihood(model, batch)) for batch in batches)


def bits_per_byte(lm: LanguageModel, posts: Sequence[str]) -> float:
    """Bits per byte of posts, each alone, over their UTF-8 bytes and one for the separator.

    Comparable between tokenizers (Gao et al. 2020, "The Pile", arXiv 2101.00027, section 3.1).

    Raises:
        ValueError: there are no posts.
    """
    rows = batching.make_rows(lm.encode_all(posts), lm.separator, lm.context)
    return nats_to_bits_per_byte(summed_nats(lm.model, rows), posts)


def bits_per_byte_after(
    lm: LanguageModel, posts: Sequence[str], context: Sequence[str], most: int
) -> ContextualScore:
    """Bits per byte of posts, each alone after the newest of ``context``, which aren't counted.

    Args:
        lm: the model.
        posts: what is predicted; none of them is context for another.
        context: other posts, oldest first.
        most: so many of the newest, fewer where the model has no room for them in front of a post.

    Raises:
        ValueError: there are no posts.
    """
    newest = lm.encode_all(context[-most:] if most else [])
    rows: list[Row] = []
    read: list[int] = []
    fitted = 0
    for ids in lm.encode_all(posts):
        own = batching.make_rows([ids], lm.separator, lm.context)
        # of a row of n tokens the model reads n - 1; the last is only predicted
        room = lm.context + 1 - len(own[0]) if len(own) == 1 else 0
        fitting = batching.fit_recent_posts(newest, room)
        before = batching.concat_with_separators(fitting, lm.separator)
        rows += [before + own[0], *own[1:]]
        read += [len(before)] + [0] * (len(own) - 1)
        fitted += len(fitting)
    bits = nats_to_bits_per_byte(summed_nats(lm.model, rows, read), posts)
    return ContextualScore(bits, fitted / len(posts))


def nats_to_bits_per_byte(nats: float, posts: Sequence[str]) -> float:
    """Bits per byte from a summed negative log-likelihood."""
    if not posts:
        raise ValueError("no posts to measure on")
    return nats / math.log(2) / sum(len(post.encode()) + 1 for post in posts)
