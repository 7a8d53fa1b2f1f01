"""Cross entropy over a large vocabulary without holding all logits in memory.

For a batch of 1,024 tokens, GPT-2's logits take 200 MB; their softmax and gradients take as much
again each. Here head, loss and gradient are computed for one chunk of positions at a time, so only
that chunk's logits are in memory ("Cut Your Losses", Wijmans et al. 2024, arXiv 2411.09009,
section 3, with plain matrix products).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOGITS_AT_ONCE = 1 << 23
"""Maximum number of logits in a chunk: 32 MB in fp32."""

_BF16_CHUNKS = 4
"""Chunks of logits whose bfloat16 gradients are collected before the head's gradient is computed.
Summing the head's gradient in fp32 over single chunks took a sixth of a step of GPT-2 small."""

_PLAIN_HEADS = frozenset(
    {"gpt2", "gpt_neox", "llama", "mistral", "olmo2", "qwen2", "qwen3", "smollm3"}
)
"""Model types whose logits are just the last hidden state times the head. Others scale or cap their
logits, so their own code computes them."""


def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether a model's logits are its last hidden state times one matrix."""
    head = model.get_output_embeddings()
    plain = getattr(model.config, "model_type", None) in _PLAIN_HEADS
    return plain and type(head) is torch.nn.Linear and head.bias is None


def summed_cross_entropy(
    model: PreTrainedModel, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Cross entropy summed over all labelled positions, in nats; an fp32 scalar.

    Args:
        model: one for which :func:`has_plain_head` is true.
        inputs: token ids, (rows, time), on the model's device.
        labels: the next token of each position, (rows, time); negative labels are ignored.
    """
    hidden = model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
    weight = model.get_output_embeddings().weight
    with_grad = torch.is_grad_enabled()
    total: torch.Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.flatten(0, 1), weight, labels.flatten(), with_grad
    )
    return total


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradients in the forward pass, where each chunk's logits exist."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context
        hidden: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        with_grad: bool,
    ) -> torch.Tensor:
        logits_size, chunk_size = _chunk_sizes(weight)
        grad_hidden = torch.empty_like(hidden) if with_grad else None
        dtype = weight.dtype if chunk_size >= len(hidden) else torch.float32
        head_trains = with_grad and ctx.needs_input_grad[1]
        grad_weight = torch.empty_like(weight, dtype=dtype) if head_trains else None
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(hidden), chunk_size):
            chunk = hidden[start : start + chunk_size]
            loss, grad_logits = _loss_and_grad_chunk(
                chunk,
                weight,
                labels[start : start + chunk_size],
                logits_size,
                with_grad=with_grad,
            )
            total += loss
            if grad_hidden is not None and grad_logits is not None:
                torch.mm(grad_logits, weight, out=grad_hidden[start : start + chunk_size])
                if grad_weight is not None:
                    _add_product(grad_weight, grad_logits.T, chunk, first=start == 0)
        if grad_weight is not None:
            grad_weight = grad_weight.to(weight.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> Any:  # noqa: ANN401 - torch's context
        grad_hidden, grad_weight = ctx.saved_tensors
        # in place: a copy of the head's gradient takes 154 MB with GPT-2 small
        grad_weight = None if grad_weight is None else grad_weight.mul_(grad_output)
        return grad_hidden.mul_(grad_output), grad_weight, None, None


def positions_at_once(weight: torch.Tensor) -> int:
    """Return how many positions have logits in memory at once in fp32.

    Args:
        weight: the head, (vocabulary, width).
    """
    return max(1, LOGITS_AT_ONCE // len(weight))


def _chunk_sizes(weight: torch.Tensor) -> tuple[int, int]:
    """Return how many positions have logits in memory at once in fp32, and how many gradients.

    Args:
        weight: the head, (vocabulary, width).
    """
    logits_size = positions_at_once(weight)
    return logits_size, logits_size * (_BF16_CHUNKS if weight.element_size() == 2 else 1)


def _loss_and_grad_chunk(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    logits_size: int,
    *,
    with_grad: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a chunk's summed loss and its gradient by the logits, in ``hidden``'s precision.

    Args:
        hidden: last hidden states, (positions, width).
        weight: the head, (vocabulary, width).
        labels: (positions,).
        logits_size: positions whose logits are computed at once.
        with_grad: False returns None for the gradient.
    """
    total = hidden.new_zeros(()).float()
    several = len(hidden) > logits_size
    gradient = hidden.new_empty(len(hidden), len(weight)) if with_grad and several else None
    for start in range(0, len(hidden), logits_size):
        part = slice(start, start + logits_size)
        # in bfloat16 the sum over the vocabulary would lose the third digit
        logits = (hidden[part] @ weight.T).float()
        total += _loss_and_gradient(logits, labels[part], with_grad=with_grad)
        if gradient is not None:
            gradient[part] = logits
        elif with_grad:
            gradient = logits.to(hidden.dtype)
    return total, gradient


def _add_product(total: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, first: bool) -> None:
    """Add ``a @ b`` to ``total``, or assign it if ``first``, with no extra pass over ``total``."""
    if total.dtype == a.dtype:
        total.addmm_(a, b, beta=0 if first else 1)
    elif first:
        total.copy_(a @ b)
    else:
        total += a @ b


def _loss_and_gradient(
    logits: torch.Tensor, labels: torch.Tensor, *, with_grad: bool
) -> torch.Tensor:
    """Return the summed loss of logits; ``with_grad`` overwrites them with their gradient."""
    mask = labels >= 0
    targets = labels.clamp_min(0)[:, None]
    # one pass over the logits, where logsumexp takes several
    log_probs = logits.log_softmax(-1)
    loss = -(log_probs.gather(1, targets)[:, 0] * mask).sum()
    if with_grad:
        torch.exp(log_probs, out=logits)
        logits.scatter_add_(1, targets, logits.new_full(targets.shape, -1.0))
        logits.mul_(mask[:, None])
    return loss
