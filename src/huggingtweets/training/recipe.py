"""Training hyper-parameters and the two named recipes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from huggingtweets.arguments import Epochs, LearningRate, Text, check_fields
from huggingtweets.errors import InputError

Count = Annotated[int, Meta(ge=0, description="a whole number from 0")]
Positive = Annotated[float, Meta(gt=0, le=1e9, description="a number over 0")]
NotNegative = Annotated[float, Meta(ge=0, le=1e9, description="a number from 0")]
Rows = Annotated[Literal["posts", "blocks"], Meta(description="posts or blocks")]
Precision = Annotated[Literal["bf16", "fp32"], Meta(description="bf16 or fp32")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
ShareUnderOne = Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to under 1")]
LayerChoice = int | str
"""0 for all layers, K for the top K, or ``bottom:K``, ``middle:K`` or one of LAYER_PARTS."""
LAYER_PARTS = ("embeddings", "attention", "mlp")
DEFAULT_RANK, MAX_RANK = 16, 256
"""Rank of LoRA: 16 makes 9.8 MB of SmolLM2's 30 layers. Over 256 a bot is hardly small."""
_LORA_RATE_FACTOR = 20.0
"""The best learning rate of LoRA relative to that of all weights (docs/research/adapters.md); see
"LoRA Without Regret", Schulman et al. 2025, who found 10 to 15."""
_LAYERS = "all, top:K, bottom:K, middle:K, embeddings, attention or mlp"
_LayerField = (
    Annotated[int, Meta(ge=0, description=f"a whole number from 0, or {_LAYERS}")]
    | Annotated[str, Meta(max_length=40)]
)
Augment = Annotated[
    Literal["none", "noise", "adversarial", "paraphrase"],
    Meta(description="none, noise, adversarial or paraphrase"),
]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters of a training, validated on construction.

    The field names are stored in run.json and used in sweeps and benchmarks.

    Attributes:
        name: ``fast`` or ``classic``.
        epochs: maximum passes over the posts; training stops early if the held-out loss rises.
        learning_rate: peak rate, for a base of width ``base_width``.
        warmup: share of the steps over which the learning rate rises from 0.
        batch_tokens: maximum positions in a batch, including padding; 0 means one block.
        rows: ``posts`` for one post per row, ``blocks`` for posts joined and cut into full blocks.
        weight_decay: AdamW weight decay, for matrices only.
        beta2: AdamW beta2.
        clip: maximum gradient norm.
        precision: ``bf16`` or ``fp32``; None chooses the machine's fastest.
        way_back: whether to interpolate the trained weights towards the base at the end, to
            minimise held-out loss.
        base_width: width of the base for which ``learning_rate`` was tuned; :meth:`for_base` scales
            the rate to other widths. 0 disables scaling.
        batch_width: the same for ``batch_tokens``.
        enough_steps: train only one epoch if it has at least this many steps; 0 disables this.
        layers: number of top layers to train, with the final norm; 0 trains all weights. Or a text
            that :func:`parse_layers` accepts. None lets a time budget choose, and trains all
            weights without one.
        augment: how each post is varied: ``noise`` or an ``adversarial`` step on its embeddings
            (:mod:`huggingtweets.training.perturbation`), or ``paraphrase``, which adds posts that
            the base rewrote (:mod:`huggingtweets.generation.rewriting`).
        adapter: what the bot is: ``none`` for a whole model, ``lora:RANK`` for low-rank pairs of
            all linear layers among ``layers``, at a higher rate than all weights get, or
            ``top:K`` for the whole weights of the top K layers.
        augment_strength: factor on the size of the noise or of the adversarial step.
    """

    name: Text
    epochs: Epochs
    learning_rate: LearningRate
    warmup: Share
    batch_tokens: Count
    rows: Rows
    weight_decay: NotNegative = 0.0
    beta2: ShareUnderOne = 0.999
    clip: Positive = 1.0
    precision: Precision | None = None
    way_back: bool = False
    base_width: Count = 0
    batch_width: Count = 0
    enough_steps: Count = 0
    layers: _LayerField | None = None
    augment: Augment = "none"
    augment_strength: Positive = 1.0
    adapter: Annotated[str, Meta(max_length=40)] = "none"

    def __post_init__(self) -> None:
        if isinstance(self.layers, str):
            object.__setattr__(self, "layers", parse_layers(self.layers))
        check_fields(self)
        if self.adapter != "none":
            self._check_adapter()

    def _check_adapter(self) -> None:
        object.__setattr__(self, "adapter", parse_adapter(self.adapter))
        kind, _, text = self.adapter.partition(":")
        number = int(text or 0)
        if kind == "top" and self.layers is None:
            object.__setattr__(self, "layers", number)
        if kind == "top" and self.layers != number:
            raise InputError(f"--adapter top:{number} trains those layers; leave --layers out.")
        if kind == "lora" and self.layers == "embeddings":
            raise InputError("--adapter lora trains no embeddings; choose other --layers.")

    @property
    def rank(self) -> int:
        """Rank of LoRA; 0 without."""
        kind, _, number = self.adapter.partition(":")
        return int(number) if kind == "lora" else 0

    def changed(self, **values: Any) -> Recipe:  # noqa: ANN401 - checked by the dataclass
        """Return a copy with the given values; None leaves a field unchanged.

        An explicit learning rate, batch size or number of epochs is not adjusted to the base or the
        number of posts later.

        Raises:
            InputError: there is no such field, or a value is invalid.
        """
        known = {f.name for f in fields(self)}
        given = {key: value for key, value in values.items() if value is not None}
        if unknown := sorted(given.keys() - known):
            raise InputError(f"A recipe has no {', '.join(unknown)}.")
        if "learning_rate" in given:
            given = {"base_width": 0} | given
        if "batch_tokens" in given:
            given = {"batch_width": 0} | given
        if "epochs" in given:
            given = {"enough_steps": 0} | given
        return replace(self, **given)

    def as_lora(self, rank: int) -> Recipe:
        """Return the same recipe for LoRA of a rank; the learning rate becomes LoRA's."""
        factor = 1.0 if self.rank or self.base_width else _LORA_RATE_FACTOR
        rate = self.learning_rate * factor
        return replace(self, adapter=f"lora:{min(rank, MAX_RANK)}", learning_rate=rate)

    def as_full(self) -> Recipe:
        """Return the same recipe for whole weights; the learning rate becomes theirs."""
        factor = _LORA_RATE_FACTOR if self.rank and not self.base_width else 1.0
        return replace(self, adapter="none", learning_rate=self.learning_rate / factor)

    def for_base(self, width: int) -> Recipe:
        """Scale learning rate and batch size to the width of a base.

        With AdamW the best learning rate of a matrix is inversely proportional to its number of
        inputs (Yang et al. 2022, arXiv 2203.03466, table 8). The rate of the embedded base, which
        has width 512, becomes 1.33e-4 for GPT-2 small; the published sweep found 1.37e-4. A wider
        base also takes more tokens per step, because the update costs the same however few they
        are: 384 for GPT-2 small.

        Args:
            width: width of the base's hidden states.
        """
        rate, tokens = self.learning_rate, self.batch_tokens
        if self.base_width:
            factor = _LORA_RATE_FACTOR if self.rank else 1.0
            rate = float(f"{rate * factor * self.base_width / width:.3g}")
        if self.batch_width:
            tokens = max(tokens, round(tokens * width / self.batch_width))
        return replace(self, learning_rate=rate, batch_tokens=tokens, base_width=0, batch_width=0)

    def for_steps(self, steps: int) -> Recipe:
        """Set the number of epochs for an epoch of ``steps`` steps.

        A well pre-trained base overfits a few thousand posts in a second epoch, but still improves
        on a few hundred (docs/lab/recipe.md).
        """
        if not self.enough_steps:
            return self
        epochs = 1 if steps >= self.enough_steps else self.epochs
        return replace(self, epochs=epochs, enough_steps=0)

    def attention(self, device: str) -> str | None:
        """Attention implementation for training on a device; None for transformers' default.

        On a CPU, plain matrix products are faster than the fused kernel for rows as short as posts:
        with rows of 30 tokens, the kernel's backward pass takes a quarter of a training step.
        """
        return "eager" if device == "cpu" and self.rows == "posts" else None

    def rate(self, step: int, steps: int) -> float:
        """Learning rate at a step, from 0 to ``steps``: linear warm-up, then cosine decay to 0."""
        warmup_steps = round(self.warmup * steps)
        if step < warmup_steps:
            return self.learning_rate * (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


CLASSIC = Recipe(
    name="classic",
    epochs=4,
    learning_rate=1.37e-4,
    warmup=0.0,
    batch_tokens=0,
    rows="blocks",
    precision="fp32",
)
"""The published recipe: 4 epochs, 1.37e-4, cosine, no warm-up, no gradient accumulation, one block
of the model's context per step (HuggingTweets report, Dayma 2020; found by 260 sweep runs on 15
handles)."""

FAST = Recipe(
    name="fast",
    epochs=2,
    learning_rate=2e-4,
    warmup=0.05,
    batch_tokens=256,
    rows="posts",
    weight_decay=0.2,
    beta2=0.99,
    way_back=True,
    base_width=512,
    batch_width=512,
    enough_steps=150,
)
"""The default recipe; docs/lab/recipe.md describes how it was found and its results."""

RECIPES = {"fast": FAST, "classic": CLASSIC}
"""The built-in recipes by name."""


def parse_layers(given: str) -> LayerChoice:
    """Parse the option ``--layers``.

    Args:
        given: ``all``; ``top:K``, ``bottom:K`` or ``middle:K`` for K layers; ``embeddings`` for the
            matrices outside the layers; ``attention`` or ``mlp`` for that part of every layer.

    Returns:
        0 for all layers, K for the top K, and the text itself for the others.

    Raises:
        InputError: the text is none of them.
    """
    if given == "all":
        return 0
    if given in LAYER_PARTS:
        return given
    kind, _, number = given.partition(":")
    known = kind in ("top", "bottom", "middle")
    if known and re.fullmatch("[0-9]{1,9}", number) and int(number) > 0:
        return int(number) if kind == "top" else f"{kind}:{int(number)}"
    raise InputError(f"--layers must be {_LAYERS}, with K from 1, not {given[:80]!r}.")


def parse_adapter(given: str) -> str:
    """Parse the option ``--adapter`` and return its full form.

    Args:
        given: ``none``, ``lora``, ``lora:RANK``, or ``top:K`` for the top K layers.

    Raises:
        InputError: the text is none of them.
    """
    kind, colon, number = given.partition(":")
    if given == "none":
        return given
    if given == "lora":
        return f"lora:{DEFAULT_RANK}"
    most = {"lora": MAX_RANK, "top": 10**9}.get(kind, 0)
    if colon and re.fullmatch("[0-9]{1,9}", number) and 0 < int(number) <= most:
        return f"{kind}:{int(number)}"
    raise InputError(
        f"--adapter must be none, lora, lora:RANK with a rank from 1 to {MAX_RANK}, or top:K with "
        f"K from 1, not {given[:80]!r}."
    )


def split_layers(choice: LayerChoice) -> tuple[str, int]:
    """Split a choice of layers into its kind and number: 3 is top and 3; a kind alone has 0."""
    if isinstance(choice, int):
        return ("top" if choice else "all"), choice
    kind, _, number = choice.partition(":")
    return kind, int(number or 0)


def describe_layers(choice: LayerChoice, depth: int | None = None) -> str:
    """Describe a choice of layers, such as "the top 3 of 6 layers"; ``depth`` is the base's."""
    kind, number = split_layers(choice)
    if number:
        of = f" of {depth}" if depth else ""
        return f"the {kind} {number}{of} layers"
    parts = {"embeddings": "the embeddings only", "attention": "the attention of all layers"}
    parts |= {"mlp": "the MLPs of all layers", "all": "all layers"}
    return parts[kind]
