"""Pre-training: make a tokenizer and a small base model from many people's posts."""

from huggingtweets.pretraining.presets import ADAPT, PRESETS, Preset
from huggingtweets.pretraining.progress import Budget
from huggingtweets.pretraining.run import PretrainOptions, make_base

__all__ = ["ADAPT", "PRESETS", "Budget", "Preset", "PretrainOptions", "make_base"]
