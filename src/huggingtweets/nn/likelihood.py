"""How well a model predicts posts, each from separator to separator, alone or after others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from huggingtweets.data import batching
from huggingtweets.nn import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from huggingtweets.data.batching import Batch, Row
    from huggingtweets.nn.language_model import LanguageModel


class ContextualScore(NamedTuple):
    """How well a model predicts posts that follow other posts."""

    bits_per_byte: float
    fitted: float
    """Mean number of posts read before each post."""


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Summed over the batch's labelled tokens, in nats; a differentiable scalar.

    The logits, (rows, time, vocabulary), are converted to fp32 first: in bfloat16 the sum over the
    vocabulary would lose the third digit. For models with a plain head they are computed in chunks.
    """
    device = next(model.parameters()).device
    inputs, labels = batch.inputs.to(device), batch.labels.to(device)
    if cross_entropy.has_plain_head(model):
        return cross_entropy.summed_cross_entropy(model, inputs, labels)
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
    """Sum the negative log-likelihood of all rows, without gradients or dropout.

    ``read`` is the number of tokens at the start of each row that are context and don't count.
    """
    model.eval()
    positions = batching.positions_to_read(next(model.parameters()).device.type)
    with torch.inference_mode():
        batches = batching.evaluation_batches(rows, read, positions)
        return sum(float(negative_log_likelihood(model, batch)) for batch in batches)


def token_nats(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Negative log-likelihood of each labelled token, in nats, row after row, in fp32.

    Computed without gradients, and with few logits in memory where the model's head is plain.
    """
    device = next(model.parameters()).device
    inputs, labels = batch.inputs.to(device), batch.labels.to(device)
    labelled = labels != batching.IGNORED
    goals = labels[labelled]
    model.eval()
    with torch.inference_mode():
        if not cross_entropy.has_plain_head(model):
            logits = model(input_ids=inputs, use_cache=False).logits[labelled]
            return F.cross_entropy(logits.float(), goals, reduction="none")
        states = model.base_model(input_ids=inputs, use_cache=False).last_hidden_state[labelled]
        head = model.get_output_embeddings()
        size = cross_entropy.positions_at_once(head.weight)
        nats = torch.empty(len(goals), device=device)
        for start in range(0, len(goals), size):
            part = slice(start, start + size)
            logits = head(states[part]).float()
            nats[part] = F.cross_entropy(logits, goals[part], reduction="none")
        return nats


def bits_per_byte(lm: LanguageModel, posts: Sequence[str]) -> float:
    """Bits per byte of posts, each alone, over its UTF-8 bytes plus one for the separator.

    Comparable across tokenizers (Gao et al. 2020, "The Pile", arXiv 2101.00027, section 3.1).

    Raises:
        ValueError: there are no posts.
    """
    rows = batching.make_rows(lm.encode_all(posts), lm.separator, lm.context)
    return nats_to_bits_per_byte(summed_nats(lm.model, rows), posts)


def bits_per_byte_after(
    lm: LanguageModel, posts: Sequence[str], context: Sequence[str], most: int
) -> ContextualScore:
    """Bits per byte of posts, each after the newest posts of ``context``, which don't count.

    Args:
        lm: the model.
        posts: the posts to predict; none of them is context for another.
        context: other posts, oldest first.
        most: maximum number of context posts; fewer where they don't fit into the model's context.

    Raises:
        ValueError: there are no posts.
    """
    newest = lm.encode_all(context[-most:] if most else [])
    rows: list[Row] = []
    read: list[int] = []
    fitted = 0
    for ids in lm.encode_all(posts):
        post_rows = batching.make_rows([ids], lm.separator, lm.context)
        # the last token of a row is predicted but not read
        room = lm.context + 1 - len(post_rows[0]) if len(post_rows) == 1 else 0
        fitting = batching.fit_recent_posts(newest, room)
        prefix = batching.concat_with_separators(fitting, lm.separator)
        rows += [prefix + post_rows[0], *post_rows[1:]]
        read += [len(prefix)] + [0] * (len(post_rows) - 1)
        fitted += len(fitting)
    bits = nats_to_bits_per_byte(summed_nats(lm.model, rows, read), posts)
    return ContextualScore(bits, fitted / len(posts))


def nats_to_bits_per_byte(nats: float, posts: Sequence[str]) -> float:
    """Convert a summed negative log-likelihood to bits per byte."""
    if not posts:
        raise ValueError("no posts to measure on")
    return nats / math.log(2) / sum(len(post.encode()) + 1 for post in posts)
