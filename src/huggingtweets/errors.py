"""Every error a user can meet.

.. code-block:: text

    HuggingTweetsError            exit code 1
    ├── InputError                exit code 2, what was given can't be used
    │   ├── SourceError           posts can't be read from there
    │   ├── OptedOutError         an author who asked not to be imitated
    │   ├── TooLittleText         read well, but not enough to learn from
    │   ├── BaseModelError        no such base model, or not one we can train
    │   ├── BotError              no such bot or run, or not a whole one
    │   └── StorageError          can't write there: full, read-only, in use
    ├── PublishError              the Hub can't be reached, or has a fault of its own
    ├── TrainingError             the run itself failed (loss is not a number, out of memory)
    └── Interrupted               exit code 130, stopped by the user, can be resumed

A message is one sentence or two: what is wrong, where, and what to do. The command line prints it
without a traceback (``--debug`` shows one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class HuggingTweetsError(Exception):
    """Root of all errors raised on purpose. Its text is meant for the user."""

    exit_code = 1


class InputError(HuggingTweetsError):
    """What the user gave can't be used; nothing was written."""

    exit_code = 2


class SourceError(InputError):
    """Posts can't be read from a source."""


class OptedOutError(InputError):
    """An author asked not to be imitated."""


class InsufficientTextError(InputError):
    """The posts that are left after curation are too few to learn from."""


class BaseModelError(InputError):
    """A base model doesn't exist, can't be reached, or isn't a causal language model."""


class BotError(InputError):
    """A bot or run doesn't exist or lacks a part that is needed."""


class StorageError(InputError):
    """A place can't be written: the disk is full, the folder read-only or in use."""


class PublishError(HuggingTweetsError):
    """A bot didn't get to the Hub; the same call goes on with what is still missing."""


class TrainingError(HuggingTweetsError):
    """Training itself failed; what was saved before is still there."""


class Interrupted(HuggingTweetsError):  # noqa: N818 - not a fault
    """The user stopped.

    Args:
        message: how far it got.
        run: the run folder that can be resumed, or None where nothing was written.
    """

    exit_code = 130

    def __init__(self, message: str, run: Path | None = None) -> None:
        super().__init__(message)
        self.run = run
