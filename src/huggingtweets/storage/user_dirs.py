"""The user's folders: configuration (opt-outs, deleted posts) and cache (weights, downloads).

An environment variable of this program comes first, then ``$XDG_CONFIG_HOME`` or
``$XDG_CACHE_HOME``, then the platform's convention.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator

_APP = "huggingtweets"


def config_folder() -> Path:
    """Return ``$HUGGINGTWEETS_CONFIG`` or the user's configuration folder; it may not exist."""
    from platformdirs import user_config_path

    if named := os.environ.get("HUGGINGTWEETS_CONFIG"):
        return Path(named)
    return _or_earlier(user_config_path(_APP, appauthor=False), ".config", "XDG_CONFIG_HOME")


def cache_folder() -> Path:
    """Return the user's cache folder; it may not exist."""
    from platformdirs import user_cache_path

    return _or_earlier(user_cache_path(_APP, appauthor=False), ".cache", "XDG_CACHE_HOME")


def downloads_folder() -> Path:
    """Return ``$HUGGINGTWEETS_DOWNLOADS`` or the downloads in the user's cache folder.

    Earlier versions ignored ``$XDG_CACHE_HOME`` here: downloads in ``~/.cache`` stay in use, so
    that deleting posts finds them.
    """
    if named := os.environ.get("HUGGINGTWEETS_DOWNLOADS"):
        return Path(named)
    earlier = Path.home() / ".cache" / _APP / "downloads"
    return earlier if earlier.is_dir() else cache_folder() / "downloads"


def _or_earlier(folder: Path, parent: str, variable: str) -> Path:
    """Return the dot folder that earlier versions used on every platform, where it exists."""
    earlier = Path.home() / parent / _APP
    return earlier if not os.environ.get(variable) and earlier.is_dir() else folder


@contextmanager
def locked_config_dir() -> Iterator[None]:
    """Create and lock the configuration folder while a list in it is rewritten.

    Raises:
        StorageError: the folder can't be written, or another process is writing to it.
    """
    folder = config_folder()
    with files.wrap_os_errors(folder):
        files.make_folder(folder)  # it may name people
    with files.locked(folder):
        yield
