"""Where lies what the user has decided for all runs: the opt-out list and what is forgotten."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator


def config_folder() -> Path:
    """``$HUGGINGTWEETS_CONFIG``, or a folder in the user's configuration; it need not exist."""
    if named := os.environ.get("HUGGINGTWEETS_CONFIG"):
        return Path(named)
    shared = os.environ.get("XDG_CONFIG_HOME")
    return (Path(shared) if shared else Path.home() / ".config") / "huggingtweets"


@contextmanager
def locked_config_dir() -> Iterator[None]:
    """Make the folder and hold it, so that two processes don't undo each other's lines.

    Raises:
        StorageError: it can't be written, or another process is writing.
    """
    folder = config_folder()
    with files.wrap_os_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may name people
    with files.locked(folder):
        yield
