"""Tracking: a process beside the training tells trackio or W&B what is in a run folder."""

from huggingtweets.track.process import choose, following
from huggingtweets.track.sync import PROJECT, checked, discard_unsynced, is_installed, note, send

__all__ = [
    "PROJECT",
    "checked",
    "choose",
    "discard_unsynced",
    "following",
    "is_installed",
    "note",
    "send",
]
