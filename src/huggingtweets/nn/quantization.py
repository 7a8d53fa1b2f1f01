"""Smaller weights for generation with a larger bot on a CPU: fewer bytes to read for each token.

With VNNI, in int8: weights are quantized with one scale per output and activations with one scale
per token, as in LLM.int8() without its outliers (Dettmers et al. 2022, arXiv 2208.07339, section
2.2). Products are summed exactly, as integers. Before a bot is used in int8, its divergence from
fp32 is measured.

With AVX2 alone, in fp16: the weights are stored in 16 bits and everything is computed in fp32. A
bot's file has bfloat16 weights, which fp16 holds exactly from 6e-5 up to 65,504, and to 3e-8 below.
The products of a few rows are two to four times as fast as in fp32.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from huggingtweets.data import batching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedModel

    from huggingtweets.nn.language_model import LanguageModel

MIN_PARAMS = 50_000_000
"""Weights of a model whose speed is limited by reading them; a smaller one stays in the cache."""

MAX_KL = 0.01
"""Maximum mean divergence from the bot in fp32, nats a token."""

_LARGEST_FP16 = torch.finfo(torch.float16).max

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


def has_exact_int8() -> bool:
    """Whether sums of int8 products are exact. With AVX2 alone they saturate at 16 bits."""
    return has_fast_int8() or not torch.cpu.get_capabilities().get("avx2")


def has_fast_fp16_weights() -> bool:
    """Whether torch has products of fp32 numbers with fp16 weights for this processor."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def quantize_int8(lm: LanguageModel) -> LanguageModel:
    """Return a copy of a bot on the CPU with int8 matrix products, for generation only."""
    return _with_linears(lm, Int8Linear)


def with_fp16_weights(lm: LanguageModel) -> LanguageModel:
    """Return a copy of a bot on the CPU with fp16 weights in its matrix products, to generate with.

    It shares the other weights with the bot. A layer with a weight above fp16's range stays fp32.
    """
    return _with_linears(lm, Fp16Linear)


def _with_linears(
    lm: LanguageModel, make: Callable[[torch.Tensor, torch.Tensor | None], torch.nn.Module]
) -> LanguageModel:
    """Return a copy of a bot in fp32 with other linear layers, which shares all that stays."""
    from transformers.pytorch_utils import Conv1D

    model = _fp32_copy(lm.model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):  # GPT-2's, whose weights are transposed
            weight, bias = layer.weight.T, layer.bias
        elif type(layer) is torch.nn.Linear:
            weight, bias = layer.weight, layer.bias
        else:
            continue
        if weight.shape[1] >= _MIN_INPUTS and _fits_fp16(weight):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, make(weight.detach(), bias))
    return replace(lm, model=model.eval())


def _fits_fp16(weight: torch.Tensor) -> bool:
    lowest, highest = weight.detach().aminmax()
    return float(lowest) >= -_LARGEST_FP16 and float(highest) <= _LARGEST_FP16


def _fp32_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Copy a model; tensors that are in fp32 already are shared with it."""
    tensors = [*model.parameters(), *model.buffers()]
    shared = {id(tensor): tensor for tensor in tensors if tensor.dtype == torch.float32}
    copied: PreTrainedModel = copy.deepcopy(model, shared)
    copied.float()
    return copied


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


def for_generation(
    lm: LanguageModel, posts: Sequence[str] = (), *, exact: bool = False
) -> LanguageModel:
    """Return a bot as this machine generates with it fastest, if it predicts nearly the same.

    Args:
        lm: a bot. It is returned itself unless it is a larger one on the CPU in fp32.
        posts: its author's posts, to compare on.
        exact: don't use int8.
    """
    in_fp32 = next(lm.model.parameters()).dtype == torch.float32
    if lm.device.type != "cpu" or not in_fp32 or lm.parameters < MIN_PARAMS:
        return lm
    if has_fast_int8() and not exact:
        quantized = quantize_int8(lm)
        if difference(lm, quantized, posts).kl <= MAX_KL:
            return quantized
    return with_fp16_weights(lm) if has_fast_fp16_weights() else lm


def bytes_of_weights(model: torch.nn.Module) -> dict[int, int]:
    """Memory of all weights, in 8 and 16 bits too, by what holds them; shared ones occur once."""
    held = {weight.data_ptr(): weight.nbytes for weight in model.parameters()}
    for layer in model.modules():
        if isinstance(layer, Fp16Linear | Int8Linear):
            held[id(layer.packed)] = layer.nbytes
    return held


class Fp16Linear(torch.nn.Module):
    """A linear layer with fp16 weights, for inference; its products are computed in fp32.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,), or None.

    Attributes:
        shape: outputs and inputs.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.shape = (weight.shape[0], weight.shape[1])
        bias = None if bias is None else bias.detach().float()
        self.packed = torch.ops.quantized.linear_prepack_fp16(weight.float().contiguous(), bias)
        self._beginning = tuple(weight[0, :16].tolist())

    @property
    def nbytes(self) -> int:
        """Memory of the weights."""
        return 2 * self.shape[0] * self.shape[1]

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """A cheap key that is the same for equal layers and rarely the same for others."""
        return self.shape, self._beginning

    def share(self, other: Fp16Linear) -> None:
        """Use the weights of another layer, if they are equal, instead of own ones."""
        mine, theirs = (
            torch.ops.quantized.linear_unpack_fp16(layer.packed) for layer in (self, other)
        )
        equal = [torch.equal(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None]
        if all(equal):
            self.packed = other.packed

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs, (..., outputs), for inputs, (..., inputs)."""
        outputs: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(inputs, self.packed)
        return outputs


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

    @property
    def nbytes(self) -> int:
        """Memory of the weights."""
        return self.shape[0] * self.shape[1]

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
