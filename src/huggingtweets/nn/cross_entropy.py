"""Cross entropy over a large vocabulary without ever holding all logits.

GPT-2's logits of a batch of 1,024 tokens are 200 MB, and its softmax and their gradients as much
again each. Here some positions at a time go through head, loss and gradient, so that only their
share is ever in memory ("Cut Your Losses", Wijmans et al. 2024, arXiv 2411.09009, section 3, in
plain products).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LOGITS_AT_ONCE = 1 << 23
"""Logits in a chunk at most: 32 MB in fp32."""

_HALVED = 4
"""Chunks whose gradients are gathered in bfloat16 before the head's is computed: that would have to
be summed up in fp32 over chunks, which took a sixth of a step of GPT-2 small."""

_PLAIN_HEADS = frozenset(
    {"gpt2", "gpt_neox", "llama", "mistral", "olmo2", "qwen2", "qwen3", "smollm3"}
)
"""Kinds of models whose logits are the last hidden state times the head and nothing more. Others
scale or cap theirs, so their own code computes them."""


def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether a model's logits are its last hidden state times one matrix."""
    import torch

    head = model.get_output_embeddings()
    plain = getattr(model.config, "model_type", None) in _PLAIN_HEADS
    return plain and type(head) is torch.nn.Linear and head.bias is None


def summed_cross_entropy(
    model: PreTrainedModel, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Cross entropy summed over all positions whose label counts, in nats; a scalar in fp32.

    Args:
        model: one that :func:`has_plain_head`.
        inputs: token ids, (rows, time), on the model's device.
        labels: of the same shape, one position ahead; those under 0 don't count.
    """
    import torch

    hidden = model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
    weight = model.get_output_embeddings().weight
    wanted = torch.is_grad_enabled()
    total: torch.Tensor = _function().apply(hidden.flatten(0, 1), weight, labels.flatten(), wanted)
    return total


_made: list[Any] = []


def _function() -> Any:  # noqa: ANN401 - an autograd function
    """The function, made once torch is there."""
    if not _made:
        _made.append(_make())
    return _made[0]


def _make() -> Any:  # noqa: ANN401 - an autograd function
    import torch

    class Chunked(torch.autograd.Function):
        """The gradients are computed on the way forward, while a chunk's logits are at hand."""

        @staticmethod
        def forward(
            ctx: Any,  # noqa: ANN401 - torch's context
            hidden: torch.Tensor,
            weight: torch.Tensor,
            labels: torch.Tensor,
            wanted: bool,
        ) -> torch.Tensor:
            size, together = _positions_at_once(weight)
            to_hidden = torch.empty_like(hidden) if wanted else None
            sums = weight.dtype if together >= len(hidden) else torch.float32
            of_weight = wanted and ctx.needs_input_grad[1]  # not where the head is frozen
            to_weight = torch.empty_like(weight, dtype=sums) if of_weight else None
            total = hidden.new_zeros((), dtype=torch.float32)
            for start in range(0, len(hidden), together):
                some, goals = hidden[start : start + together], labels[start : start + together]
                loss, gradient = _loss_and_grad_chunk(some, weight, goals, size, wanted=wanted)
                total += loss
                if to_hidden is not None and gradient is not None:
                    torch.mm(gradient, weight, out=to_hidden[start : start + together])
                    if to_weight is not None:
                        _add_product(to_weight, gradient.T, some, first=start == 0)
            if to_weight is not None:
                to_weight = to_weight.to(weight.dtype)
            ctx.save_for_backward(to_hidden, to_weight)
            return total

        @staticmethod
        def backward(ctx: Any, above: torch.Tensor) -> Any:  # noqa: ANN401 - torch's context
            to_hidden, to_weight = ctx.saved_tensors
            # in place: a copy of the head's gradient takes 154 MB with GPT-2 small
            to_weight = None if to_weight is None else to_weight.mul_(above)
            return to_hidden.mul_(above), to_weight, None, None

    return Chunked


def _positions_at_once(weight: torch.Tensor) -> tuple[int, int]:
    """How many positions' logits are in memory at once, in fp32, and how many's gradients are.

    Args:
        weight: the head, (vocabulary, width).
    """
    size = max(1, LOGITS_AT_ONCE // len(weight))
    return size, size * (_HALVED if weight.element_size() == 2 else 1)


def _loss_and_grad_chunk(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, size: int, *, wanted: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Summed loss and, where ``wanted``, its gradient by the logits in ``hidden``'s precision.

    Args:
        hidden: last hidden states, (positions, width).
        weight: the head, (vocabulary, width).
        labels: (positions,).
        size: positions whose logits are computed at once.
        wanted: whether there is to be a gradient.
    """
    total = hidden.new_zeros(()).float()
    several = len(hidden) > size
    gradient = hidden.new_empty(len(hidden), len(weight)) if wanted and several else None
    for start in range(0, len(hidden), size):
        here = slice(start, start + size)
        # in bfloat16 the sum over the vocabulary would lose the third digit
        logits = (hidden[here] @ weight.T).float()
        total += _loss_and_gradient(logits, labels[here], wanted=wanted)
        if gradient is not None:
            gradient[here] = logits
        elif wanted:
            gradient = logits.to(hidden.dtype)
    return total, gradient


def _add_product(total: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, first: bool) -> None:
    """Add ``a @ b`` to ``total``, or put it there, without a pass more over so large a matrix."""
    if total.dtype == a.dtype:
        total.addmm_(a, b, beta=0 if first else 1)
    elif first:
        total.copy_(a @ b)
    else:
        total += a @ b


def _loss_and_gradient(logits: torch.Tensor, labels: torch.Tensor, *, wanted: bool) -> torch.Tensor:
    """Summed loss of a chunk; where ``wanted``, ``logits`` become their own gradient."""
    import torch

    counts = labels >= 0
    goals = labels.clamp_min(0)[:, None]
    # one pass in place of logsumexp's several, each over all that memory
    log_chances = logits.log_softmax(-1)
    loss = -(log_chances.gather(1, goals)[:, 0] * counts).sum()
    if wanted:
        torch.exp(log_chances, out=logits)
        logits.scatter_add_(1, goals, logits.new_full(goals.shape, -1.0))
        logits.mul_(counts[:, None])
    return loss
