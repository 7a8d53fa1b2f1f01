"""All errors meant for users.

.. code-block:: text

    HuggingTweetsError                exit code 1
    ├── InputError                    exit code 2: the input can't be used
    │   ├── SourceError               posts can't be read from a source
    │   │   ├── ColumnError           a table has no column known to hold its posts
    │   │   └── SpeakerError          a chat has several people, and nobody was chosen
    │   ├── OptedOutError             an author asked not to be imitated
    │   ├── InsufficientTextError     too few posts are left after curation
    │   ├── BaseModelError            the base doesn't exist or can't be trained
    │   ├── BotError                  the bot or run doesn't exist or is incomplete
    │   └── StorageError              can't write: disk full, read-only, in use
    ├── PublishError                  the Hub can't be reached or has an internal error
    ├── TrainingError                 training failed (loss is not a number, out of memory)
    └── Interrupted                   exit code 130: stopped by the user, can be resumed

A message is one or two sentences: what is wrong, where, and what to do. The command line prints it
without a traceback; ``--debug`` adds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class HuggingTweetsError(Exception):
    """Base class of all errors whose message is meant for users."""

    exit_code = 1


class InputError(HuggingTweetsError):
    """The input can't be used; nothing was written."""

    exit_code = 2


class SourceError(InputError):
    """A source's posts can't be read."""


class ColumnError(SourceError):
    """A table has no column that is known to hold its posts.

    Attributes:
        columns: the names of its columns; empty if the caller didn't collect the events of reading.
    """

    def __init__(self, message: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.columns = columns


class SpeakerError(SourceError):
    """An export of chats has messages of several people, and it isn't known whose to read.

    Attributes:
        people: number of messages of each, by the name or id that chooses them; empty if the
            caller didn't collect the events of reading.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.people: dict[str, int] = {}


class OptedOutError(InputError):
    """An author asked not to be imitated."""


class InsufficientTextError(InputError):
    """Too few posts are left after curation to train on.

    Attributes:
        posts: how many are left that a base can read instead.
    """

    def __init__(self, message: str, posts: int = 0) -> None:
        super().__init__(message)
        self.posts = posts


class BaseModelError(InputError):
    """A base model doesn't exist, can't be reached, or isn't a causal language model."""


class MissingBaseError(BaseModelError):
    """A small bot's base can't be loaded, or is another one than it was made from."""


class BotError(InputError):
    """A bot or run doesn't exist or is incomplete."""


class StorageError(InputError):
    """A file can't be written: the disk is full, or the folder is read-only or in use."""


class PublishError(HuggingTweetsError):
    """A bot wasn't published completely; the same call uploads the rest."""


class TrainingError(HuggingTweetsError):
    """Training failed; earlier checkpoints are kept."""


class Interrupted(HuggingTweetsError):  # noqa: N818 - not an error
    """The user stopped the command.

    Args:
        message: how far it got.
        run: the run folder to resume, or None if nothing was written.
    """

    exit_code = 130

    def __init__(self, message: str, run: Path | None = None) -> None:
        super().__init__(message)
        self.run = run
