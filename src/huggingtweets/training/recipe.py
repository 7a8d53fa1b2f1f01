"""Hyper-parameters as plain, checked values, and the two named sets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from huggingtweets.errors import InputError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a bot is trained.

    All faults of a recipe are told at once when it is built.

    Attributes:
        name: ``fast``, ``classic``.
        epochs: passes over the posts at most; fewer when the held-out loss no longer falls.
        learning_rate: at its peak, of a base as wide as ``base_width``.
        warmup: share of the steps over which the learning rate rises from 0.
        batch_tokens: positions in a batch at most, padding included (0: one block).
        rows: ``posts``, one post a row, or ``blocks``, posts joined and cut into full blocks.
        weight_decay: of AdamW, for matrices only.
        beta2: of AdamW.
        clip: the gradient's norm at most.
        precision: None takes what the machine is fastest with.
        way_back: at the end, go back towards the base as far as held-out posts get likelier.
        base_width: the width that the learning rate is for, as :meth:`for_base` needs it; 0 where
            it is to be taken as it is.
        batch_width: the same for ``batch_tokens``.
        enough_steps: an epoch of so many steps is the only one; 0 for never.
        layers: number of layers at the top that are trained, with the final norm; 0 trains all
            weights. None leaves the choice to a time budget, and trains all without one.
    """

    name: str
    epochs: int
    learning_rate: float
    warmup: float
    batch_tokens: int
    rows: Literal["posts", "blocks"]
    weight_decay: float = 0.0
    beta2: float = 0.999
    clip: float = 1.0
    precision: Literal["bf16", "fp32"] | None = None
    way_back: bool = False
    base_width: int = 0
    batch_width: int = 0
    enough_steps: int = 0
    layers: int | None = None

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {wanted}, not {getattr(self, name)!r}"
            for name, wanted, fine in (
                ("epochs", "a whole number from 1 to 1,000", 1 <= self.epochs <= 1000),
                ("learning_rate", "over 0 and under 1", 0 < self.learning_rate < 1),
                ("warmup", "from 0 to 1", 0 <= self.warmup <= 1),
                ("batch_tokens", "0 or more", self.batch_tokens >= 0),
                ("weight_decay", "0 or more", self.weight_decay >= 0),
                ("beta2", "from 0 to under 1", 0 <= self.beta2 < 1),
                ("clip", "over 0", self.clip > 0),
                ("base_width", "0 or more", self.base_width >= 0),
                ("batch_width", "0 or more", self.batch_width >= 0),
                ("enough_steps", "0 or more", self.enough_steps >= 0),
                ("layers", "0 or more", (self.layers or 0) >= 0),
            )
            if not fine
        ]
        if faults:
            raise InputError("This recipe can't be used: " + "; ".join(faults) + ".")

    def changed(self, **values: Any) -> Recipe:  # noqa: ANN401 - checked by the dataclass
        """The recipe with the values that are not None put in."""
        known = {f.name for f in fields(self)}
        given = {key: value for key, value in values.items() if value is not None}
        if unknown := sorted(given.keys() - known):
            raise InputError(f"A recipe has no {', '.join(unknown)}.")
        if "learning_rate" in given:
            given = {"base_width": 0} | given  # who names a rate means it
        if "batch_tokens" in given:
            given = {"batch_width": 0} | given
        if "epochs" in given:
            given = {"enough_steps": 0} | given
        return replace(self, **given)

    def for_base(self, width: int) -> Recipe:
        """The recipe for a base of a width: the wider, the lower the rate, in proportion.

        Under AdamW the best rate of a matrix falls with its inputs (Yang et al. 2022, arXiv
        2203.03466, table 8). What suits the embedded base, 512 wide, becomes 1.33e-4 for GPT-2
        small; the published sweep found 1.37e-4 there. A wider base takes more tokens in a step as
        well, since a step costs what its weights are, however few: 384 for GPT-2 small.

        Args:
            width: of the base's hidden states.
        """
        rate, tokens = self.learning_rate, self.batch_tokens
        if self.base_width:
            rate = float(f"{rate * self.base_width / width:.3g}")
        if self.batch_width:
            tokens = max(tokens, round(tokens * width / self.batch_width))
        return replace(self, learning_rate=rate, batch_tokens=tokens, base_width=0, batch_width=0)

    def for_steps(self, steps: int) -> Recipe:
        """The recipe for posts that are so many steps in each epoch.

        A base that has read much learns a few thousand posts by heart when it reads them twice; of
        a few hundred it learns more the second time (docs/sweeps.md).
        """
        if not self.enough_steps:
            return self
        epochs = 1 if steps >= self.enough_steps else self.epochs
        return replace(self, epochs=epochs, enough_steps=0)

    def attention(self, device: str) -> str | None:
        """The implementation to train with on a device; None for transformers' default.

        Plain products beat the fused kernel on a CPU when rows are as short as posts: its backward
        pass takes a quarter of a training step with rows of 30 tokens.
        """
        return "eager" if device == "cpu" and self.rows == "posts" else None

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step (from 0) of ``steps``: a linear rise, then a cosine to zero."""
        rise = round(self.warmup * steps)
        if step < rise:
            return self.learning_rate * (step + 1) / (rise + 1)
        progress = (step - rise) / max(1, steps - rise)
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
"""The published recipe to the letter: 4 epochs, 1.37e-4, cosine, no warm-up, no accumulation, one
block of the model's context a step (HuggingTweets report, Dayma 2020; found by 260 sweep runs on 15
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
"""Ours; docs/sweeps.md tells how it was found and what it gives."""

RECIPES = {"fast": FAST, "classic": CLASSIC}
