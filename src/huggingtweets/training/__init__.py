"""Fine-tuning: a recipe, the loop, and a checkpoint to go on from."""

from huggingtweets.training.interrupt import Interrupt
from huggingtweets.training.layers import parse as parse_layers
from huggingtweets.training.loop import Fit, Trained, fit
from huggingtweets.training.recipe import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "Fit",
    "Interrupt",
    "Recipe",
    "Trained",
    "check_layers",
    "fit",
    "parse_layers",
]
