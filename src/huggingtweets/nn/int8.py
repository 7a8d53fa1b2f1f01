"""Int8 inference for larger bots on a CPU: a quarter of the bytes to read for each token.

Weights are quantized with one scale per output and activations with one scale per token, as in
LLM.int8() without its outliers (Dettmers et al. 2022, arXiv 2208.07339, section 2.2). Products are
summed exactly, as integers. Before a bot is used in int8, its divergence from fp32 is measured.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.nn.language_model import LanguageModel

MIN_PARAMS = 50_000_000
"""Weights of a model whose speed is limited by reading them; a smaller one stays in the cache."""

MAX_KL = 0.01
"""Maximum mean divergence from the bot in fp32, nats a token."""

_TOKENS_TO_COMPARE = 128
_MIN_INPUTS = 64
_SAMPLE_TEXT = (
    "My dream is to see what nobody has seen before, and to tell everybody about it.",
    "Today we talked about the new budget: thank you all for coming! #community",
    "I don't know who needs to hear this, but the library is open until nine tonight.",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a bot in int8 is from itself in fp32.

    Attributes:
        kl: mean divergence of the next token's distribution, nats (Kullback and Leibler 1951).
        nats: mean loss of the bot in int8.
        exact_nats: mean loss of the bot in fp32.
    """

    kl: float
    nats: float
    exact_nats: float


def has_fast_int8() -> bool:
    """Whether this processor multiplies 8-bit integers faster than other numbers."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def quantize_int8(lm: LanguageModel) -> LanguageModel:
    """Return a copy of a bot on the CPU with int8 matrix products, for generation only."""
    from transformers.pytorch_utils import Conv1D

    model = copy.deepcopy(lm.model).float()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):  # GPT-2's, whose weights are transposed
            weight, bias = layer.weight.T, layer.bias
        elif type(layer) is torch.nn.Linear:
            weight, bias = layer.weight, layer.bias
        else:
            continue
        if weight.shape[1] >= _MIN_INPUTS:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, Int8Linear(weight.detach(), bias))
    return replace(lm, model=model.eval())


def difference(exact: LanguageModel, quantized: LanguageModel, posts: Sequence[str]) -> Difference:
    """Compare a bot with its int8 copy on posts, each from separator to separator.

    Args:
        exact: the bot.
        quantized: its copy by :func:`quantize_int8`.
        posts: the text to compare on; without any, a built-in sample text.
    """
    all_rows = batching.make_rows(
        exact.encode_all(posts or _SAMPLE_TEXT), exact.separator, exact.context
    )
    rows, tokens = [], 0
    for row in all_rows:
        rows.append(row)
        tokens += len(row) - 1
        if tokens >= _TOKENS_TO_COMPARE:
            break
    kl = nats = exact_nats = 0.0
    with torch.inference_mode():
        for batch in batching.evaluation_batches(rows):
            log_p, log_q = (
                lm.model(input_ids=batch.inputs, use_cache=False).logits.float().log_softmax(-1)
                for lm in (exact, quantized)
            )
            mask = batch.labels != batching.IGNORED
            kl += float(((log_p.exp() * (log_p - log_q)).sum(-1) * mask).sum())
            targets = batch.labels.clamp_min(0)[..., None]
            exact_nats -= float((log_p.gather(-1, targets)[..., 0] * mask).sum())
            nats -= float((log_q.gather(-1, targets)[..., 0] * mask).sum())
    return Difference(kl / tokens, nats / tokens, exact_nats / tokens)


def quantize_if_faster(lm: LanguageModel, posts: Sequence[str] = ()) -> LanguageModel:
    """Return the bot in int8 where that is faster and predicts nearly the same, else ``lm``.

    Args:
        lm: a bot on the CPU in fp32.
        posts: its author's posts, to compare on.
    """
    if lm.device.type != "cpu" or lm.parameters < MIN_PARAMS or not has_fast_int8():
        return lm
    quantized = quantize_int8(lm)
    return quantized if difference(lm, quantized, posts).kl <= MAX_KL else lm


class Int8Linear(torch.nn.Module):
    """A linear layer in int8, for inference.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,), or None.

    Attributes:
        shape: outputs and inputs.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.shape = (weight.shape[0], weight.shape[1])
        self.scale = (weight.abs().amax(1) / 127).clamp_min(1e-12).float()
        quantized = (weight / self.scale[:, None]).round().to(torch.int8).contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(quantized, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.min_scale = torch.tensor(1e-12)  # for rows of zeros
        self.bias = None if bias is None else bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs, (..., outputs), for inputs, (..., inputs)."""
        rows = inputs.flatten(0, -2)
        scale = torch.add(self.min_scale, rows.abs().amax(1, keepdim=True), alpha=1 / 127)
        # oneDNN takes unsigned activations and a zero point, here 128; the half makes truncation
        # round to nearest
        quantized = (rows / scale).add_(128.5).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            quantized, 1.0, 128, self.packed, self.scale, self.zeros,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        outputs: torch.Tensor = sums.mul_(scale).view(*inputs.shape[:-1], -1)
        return outputs if self.bias is None else outputs.add_(self.bias)
