"""Fine-tuning: recipes, the training loop and checkpoints.

The training loop is loaded on first use, because it loads torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.training.interrupt import Interrupt
from huggingtweets.training.recipe import RECIPES, Recipe, parse_layers

if TYPE_CHECKING:
    from huggingtweets.training.loop import TrainingResult, TrainingTask, fit

__all__ = [
    "RECIPES",
    "Interrupt",
    "Recipe",
    "TrainingResult",
    "TrainingTask",
    "fit",
    "parse_layers",
]


def __getattr__(name: str) -> object:
    """Import a name of the training loop."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from huggingtweets.training import loop

    return getattr(loop, name)
