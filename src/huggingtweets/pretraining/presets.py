"""Named architectures of a base and their training recipes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from huggingtweets.nn.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Preset:
    """A Llama architecture and its training recipe; the field names are stored in pretrain.json.

    Attributes:
        name: name on the command line.
        vocabulary: vocabulary size of the tokenizer.
        width: width of the residual stream.
        layers: number of layers.
        heads: number of attention heads, each of width ``width / heads``.
        hidden: width of the gated feed-forward part.
        context: maximum number of positions.
        row: tokens of a training row.
        batch_tokens: tokens of an optimizer step, over all processes.
        learning_rate: peak rate of both Muon and AdamW.
        warmup: share of the budget over which the rate rises.
        flat_until: share of the budget at which the linear decay to 0 starts.
        weight_decay: weight decay of matrices.
        clip: maximum gradient norm.
        author_context: maximum consecutive posts of one author in the stream.
        optimizer: ``muon`` for matrices with AdamW for the rest, or ``adamw`` for all weights.
    """

    name: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int = 256
    row: int = 256
    batch_tokens: int = 4096
    learning_rate: float = 3e-3
    warmup: float = 0.02
    flat_until: float = 0.5
    weight_decay: float = 0.05
    clip: float = 1.0
    author_context: int = 8
    optimizer: Literal["muon", "adamw"] = "muon"

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {expected}"
            for name, expected, valid in (
                ("author context", "from 1 to 1,000", 1 <= self.author_context <= 1000),
                ("learning rate", "over 0 and under 1", 0 < self.learning_rate < 1),
                ("batch", "at least one row", self.batch_tokens >= self.row),
            )
            if not valid
        ]
        if faults:
            raise InputError("These settings are invalid: " + "; ".join(faults) + ".")

    def changed(self, **values: float | None) -> Preset:
        """Return a copy with the given values; None leaves a field unchanged."""
        given = {key: value for key, value in values.items() if value is not None}
        return replace(self, **given)  # type: ignore[arg-type]  # checked above

    def build(self, vocabulary: int, separator: int) -> LlamaForCausalLM:
        """Create a model with random weights, in fp32.

        Args:
            vocabulary: actual vocabulary size of the tokenizer.
            separator: id of the token between posts.
        """
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=self.width,
                intermediate_size=self.hidden,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                num_key_value_heads=self.heads,
                max_position_embeddings=self.context,
                tie_word_embeddings=True,
                bos_token_id=separator,
                eos_token_id=separator,
                # padding would give the separator's embedding no gradient
                pad_token_id=None,
            )
        )

    def shaped_like(self, lm: LanguageModel) -> Preset:
        """Return a copy with the architecture of an existing model.

        Args:
            lm: any causal model; its context limits the row length.
        """
        config = lm.model.config.get_text_config()
        hidden = getattr(config, "intermediate_size", None) or 4 * lm.width
        return replace(
            self,
            vocabulary=len(lm.tokenizer),
            width=lm.width,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            hidden=hidden,
            context=lm.context,
            row=min(self.row, lm.context),
        )

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the budget: linear warm-up, constant, linear decay to 0.

        Unlike a cosine, this schedule can be extended (Hägele et al. 2024, arXiv 2405.18392).
        """
        if progress < self.warmup:
            return self.learning_rate * (progress + 1e-3) / (self.warmup + 1e-3)
        if progress < self.flat_until:
            return self.learning_rate
        return self.learning_rate * max(0.0, 1 - progress) / (1 - self.flat_until)


POCKET = Preset("pocket", vocabulary=8192, width=256, layers=6, heads=4, hidden=704)
"""6.9M parameters, for two CPU cores; in two hours of training, a larger model learns less there.
The embedded base was made with this preset before ``pocket-gpu``."""

POCKET_GPU = Preset(
    "pocket-gpu",
    vocabulary=16384,
    width=512,
    layers=7,
    heads=8,
    hidden=1408,
    row=512,
    context=512,
    batch_tokens=98_304,
    weight_decay=0.2,
)
"""31M parameters, for a GPU. The embedded base is made with it: two and a half minutes on an H200,
211 million tokens, three and a half passes over its mix. Twelve passes overfit: held-out loss rose
from the eighth pass on, and faster as the learning rate decayed (docs/lab/base.md)."""

ADAPT = Preset(
    "adapt",
    vocabulary=0,
    width=0,
    layers=0,
    heads=0,
    hidden=0,
    learning_rate=2e-4,
    flat_until=0.3,
    weight_decay=0.1,
    optimizer="adamw",
)
"""For ``--from``, where the existing model determines the architecture. It uses AdamW, as the usual
pre-training of such models does, at a tenth of the usual learning rate to avoid forgetting."""

PRESETS = {preset.name: preset for preset in (POCKET, POCKET_GPU)}
"""Presets for the command line; training starts from random weights."""


def flops_per_token(parameters: int, preset: Preset) -> float:
    """Operations of forward and backward pass: 6 per parameter, and the attention products.

    Kaplan et al. 2020, arXiv 2001.08361, section 2.1; tied embeddings count once, as output.
    """
    return 6 * parameters + 12 * preset.layers * preset.width * preset.row
