"""Tracking: a process beside the training tells trackio or W&B what is in a run folder."""

from huggingtweets.track.process import choose, following
from huggingtweets.track.sync import PROJECT, checked, drop_unsent, is_installed, note, send

__all__ = [
    "PROJECT",
    "checked",
    "choose",
    "drop_unsent",
    "following",
    "is_installed",
    "note",
    "send",
]
