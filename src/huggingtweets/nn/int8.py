"""Larger bots written with in 8 bits: a CPU reads a quarter of the weights for each token.

Weights get one scale an output, activations one a token (as LLM.int8() does without its outliers,
Dettmers et al. 2022, arXiv 2208.07339, section 2.2), products are whole numbers and sums exact.
Whether that leaves a model as it was is measured on the bot itself before it is used.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from huggingtweets.nn.language_model import LanguageModel

MIN_PARAMS = 50_000_000
"""Weights from which on reading them is what takes the time; fewer stay in the cache."""

MAX_KL = 0.01
"""Mean divergence from the bot in fp32 that is taken, nats a token."""

_ENOUGH_TOKENS = 128
_LEAST_INPUTS = 64
_SOME_TEXT = (
    "My dream is to see what nobody has seen before, and to tell everybody about it.",
    "Today we talked about the new budget: thank you all for coming! #community",
    "I don't know who needs to hear this, but the library is open until nine tonight.",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a bot in 8 bits is from itself in fp32.

    Attributes:
        kl: mean divergence of the next token's distribution, nats (Kullback and Leibler 1951).
        nats: mean loss of the bot in 8 bits.
        exact_nats: the same in fp32.
    """

    kl: float
    nats: float
    exact_nats: float


def has_fast_int8() -> bool:
    """Whether this machine multiplies 8-bit numbers faster than others."""
    import torch

    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def quantize_int8(lm: LanguageModel) -> LanguageModel:
    """A copy of a bot on the CPU whose matrix products run in 8 bits; for writing only."""
    import torch
    from transformers.pytorch_utils import Conv1D

    kind = _layer()
    model = copy.deepcopy(lm.model).float()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):  # GPT-2's, whose weights lie the other way
            weight, bias = layer.weight.T, layer.bias
        elif type(layer) is torch.nn.Linear:
            weight, bias = layer.weight, layer.bias
        else:
            continue
        if weight.shape[1] >= _LEAST_INPUTS:
            where, _, last = name.rpartition(".")
            setattr(model.get_submodule(where), last, kind(weight.detach(), bias))
    return replace(lm, model=model.eval())


def difference(exact: LanguageModel, quick: LanguageModel, posts: Sequence[str]) -> Difference:
    """Compare a bot with itself in 8 bits on posts, each from separator to separator.

    Args:
        exact: the bot.
        quick: what :func:`quantize_int8` made of it.
        posts: what is read; some text of ours where there is none.
    """
    import torch

    rows = batching.make_rows(exact.encode_all(posts or _SOME_TEXT), exact.separator, exact.context)
    enough, tokens = [], 0
    for row in rows:
        enough.append(row)
        tokens += len(row) - 1
        if tokens >= _ENOUGH_TOKENS:
            break
    kl = nats = exact_nats = 0.0
    with torch.inference_mode():
        for batch in batching.evaluation_batches(enough):
            one, other = (
                lm.model(input_ids=batch.inputs, use_cache=False).logits.float().log_softmax(-1)
                for lm in (exact, quick)
            )
            counts = batch.labels != batching.IGNORED
            kl += float(((one.exp() * (one - other)).sum(-1) * counts).sum())
            goals = batch.labels.clamp_min(0)[..., None]
            exact_nats -= float((one.gather(-1, goals)[..., 0] * counts).sum())
            nats -= float((other.gather(-1, goals)[..., 0] * counts).sum())
    return Difference(kl / tokens, nats / tokens, exact_nats / tokens)


def quantize_if_faster(lm: LanguageModel, posts: Sequence[str] = ()) -> LanguageModel:
    """The bot in 8 bits where that is quicker and as good as the same, else as it is.

    Args:
        lm: a bot on the CPU in fp32.
        posts: of its author, to compare on.
    """
    if lm.device.type != "cpu" or lm.parameters < MIN_PARAMS or not has_fast_int8():
        return lm
    quick = quantize_int8(lm)
    return quick if difference(lm, quick, posts).kl <= MAX_KL else lm


_made: list[Any] = []


def _layer() -> Any:  # noqa: ANN401 - a class that needs torch
    """The class of a layer in 8 bits, made on first use."""
    if _made:
        return _made[0]
    import torch

    class Linear8(torch.nn.Module):
        """A linear layer in 8 bits.

        Args:
            weight: (outputs, inputs).
            bias: (outputs,), or None.
        """

        def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
            super().__init__()
            self.scale = (weight.abs().amax(1) / 127).clamp_min(1e-12).float()
            whole = (weight / self.scale[:, None]).round().to(torch.int8).contiguous()
            self.packed = torch.ops.onednn.qlinear_prepack(whole, None)
            self.zeros = torch.zeros(len(weight), dtype=torch.int32)
            self.least = torch.tensor(1e-12)  # a scale, where all of a row is 0
            self.bias = None if bias is None else bias.detach()

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            """The layer's outputs, (..., outputs), of ``given``, (..., inputs)."""
            rows = given.flatten(0, -2)
            scale = torch.add(self.least, rows.abs().amax(1, keepdim=True), alpha=1 / 127)
            # oneDNN takes activations from 0 to 255, with what stands for zero told beside; the
            # half makes cutting off the fraction a rounding
            whole = (rows / scale).add_(128.5).to(torch.uint8)
            sums = torch.ops.onednn.qlinear_pointwise(
                whole, 1.0, 128, self.packed, self.scale, self.zeros,
                None, 1.0, 0, torch.float32, "none", [], "",
            )  # fmt: skip
            out: torch.Tensor = sums.mul_(scale).view(*given.shape[:-1], -1)
            return out if self.bias is None else out.add_(self.bias)

    _made.append(Linear8)
    return Linear8
