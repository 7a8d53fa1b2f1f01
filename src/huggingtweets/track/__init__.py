"""Tracking: a separate process logs a run folder to trackio or W&B."""

from huggingtweets.track.process import choose, following
from huggingtweets.track.removal import remove_from_trackio
from huggingtweets.track.sync import (
    PROJECT,
    checked,
    copies_elsewhere,
    discard_unsynced,
    folder,
    id_of,
    is_installed,
    note,
    send,
)

__all__ = [
    "PROJECT",
    "checked",
    "choose",
    "copies_elsewhere",
    "discard_unsynced",
    "folder",
    "following",
    "id_of",
    "is_installed",
    "note",
    "remove_from_trackio",
    "send",
]
