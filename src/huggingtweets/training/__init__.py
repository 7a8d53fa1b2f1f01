"""Fine-tuning: recipes, the training loop and checkpoints."""

from huggingtweets.training.interrupt import Interrupt
from huggingtweets.training.layers import parse as parse_layers
from huggingtweets.training.loop import TrainingResult, TrainingTask, fit
from huggingtweets.training.recipe import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "Interrupt",
    "Recipe",
    "TrainingResult",
    "TrainingTask",
    "fit",
    "parse_layers",
]
