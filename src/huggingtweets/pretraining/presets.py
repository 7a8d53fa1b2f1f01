"""Named shapes of a base and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from huggingtweets.nn.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Preset:
    """A Llama-shaped model and its recipe.

    Attributes:
        name: as the user calls it.
        vocabulary: tokens of the tokenizer.
        width: of the residual stream.
        layers: how many.
        heads: of attention, each ``width / heads`` wide.
        hidden: width of the gated feed-forward part.
        context: positions the model may ever be given.
        row: tokens of a training row.
        batch_tokens: tokens of an optimizer step, over all processes.
        learning_rate: at its peak, for Muon and AdamW alike.
        warmup: share of the budget over which it rises.
        flat_until: share of the budget after which it falls linearly to 0.
        weight_decay: of matrices.
        clip: the gradient's norm at most.
        author_context: posts of one author that follow each other in the stream.
        optimizer: ``muon`` for matrices and AdamW for the rest, or ``adamw`` for all.
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
            f"{name} must be {wanted}"
            for name, wanted, fine in (
                ("author context", "from 1 to 1,000", 1 <= self.author_context <= 1000),
                ("learning rate", "over 0 and under 1", 0 < self.learning_rate < 1),
                ("batch", "at least one row", self.batch_tokens >= self.row),
            )
            if not fine
        ]
        if faults:
            raise InputError("This preset can't be used: " + "; ".join(faults) + ".")

    def changed(self, **values: float | None) -> Preset:
        """The preset with the values that are not None put in."""
        given = {key: value for key, value in values.items() if value is not None}
        return replace(self, **given)  # type: ignore[arg-type]  # checked above

    def build(self, vocabulary: int, separator: int) -> LlamaForCausalLM:
        """A new model with random weights, in fp32.

        Args:
            vocabulary: tokens the tokenizer really has.
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
                # a padding token's embedding would get no gradient, and this one is the separator
                pad_token_id=None,
            )
        )

    def shaped_like(self, lm: LanguageModel) -> Preset:
        """The preset with the shape of finished weights.

        Args:
            lm: any causal model; rows get shorter where its context is.
        """
        shape = lm.model.config.get_text_config()
        hidden = getattr(shape, "intermediate_size", None) or 4 * lm.width
        return replace(
            self,
            vocabulary=len(lm.tokenizer),
            width=lm.width,
            layers=shape.num_hidden_layers,
            heads=shape.num_attention_heads,
            hidden=hidden,
            context=lm.context,
            row=min(self.row, lm.context),
        )

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the budget: a rise, a flat part, a linear fall to 0.

        The shape of Hägele et al. 2024, arXiv 2405.18392: unlike a cosine it can be prolonged.
        """
        if progress < self.warmup:
            return self.learning_rate * (progress + 1e-3) / (self.warmup + 1e-3)
        if progress < self.flat_until:
            return self.learning_rate
        return self.learning_rate * max(0.0, 1 - progress) / (1 - self.flat_until)


POCKET = Preset("pocket", vocabulary=8192, width=256, layers=6, heads=4, hidden=704)
"""6.9M parameters, for two CPU cores: at what those do in two hours a larger one learns less. The
embedded base was one before it was of ``pocket-gpu``."""

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
"""31M parameters, for a GPU: the embedded base is one, of two and a half minutes of an H200, 211
million tokens, three and a half passes over its mix. Twelve passes learnt that by heart: held-out
posts got less likely from the eighth on, the more the further the rate fell; docs/benchmarks.md."""

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
"""For ``--from``, where the shape is that of the finished weights. AdamW because those were made
with it, at a tenth of a usual pre-training rate: posts are to be added, nothing unlearnt."""

PRESETS = {preset.name: preset for preset in (POCKET, POCKET_GPU)}
"""Those that can be named; they begin with random weights."""


def flops_per_token(parameters: int, preset: Preset) -> float:
    """Of forward and backward pass: 6 a parameter and attention's products.

    Kaplan et al. 2020, arXiv 2001.08361, section 2.1; tied embeddings count once, as output.
    """
    return 6 * parameters + 12 * preset.layers * preset.width * preset.row
