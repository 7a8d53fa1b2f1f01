"""Tracking: a separate process logs a run folder to trackio or W&B."""

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
