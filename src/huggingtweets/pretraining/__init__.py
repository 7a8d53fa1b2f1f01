"""Make a base: a tokenizer and a small model from scratch, on many people's posts."""

from huggingtweets.pretraining.make import PretrainOptions, make_base
from huggingtweets.pretraining.presets import ADAPT, PRESETS, Preset
from huggingtweets.pretraining.progress import Budget

__all__ = ["ADAPT", "PRESETS", "Budget", "Preset", "PretrainOptions", "make_base"]
