"""Tracking: a process beside the training tells trackio or W&B what is in a run folder."""

from huggingtweets.track.process import choose, following
from huggingtweets.track.sending import PROJECT, checked, is_installed, send

__all__ = ["PROJECT", "checked", "choose", "following", "is_installed", "send"]
