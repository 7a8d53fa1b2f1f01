"""Find the source that reads what the user named: an account, a dataset, a file or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources._formats import SUPPORTED, open_path
from huggingtweets.sources.accounts import open_account
from huggingtweets.sources.huggingface import open_dataset

if TYPE_CHECKING:
    from huggingtweets.sources._source import Source
    from huggingtweets.sources.reading import ReadOptions

_ACCOUNT = re.compile(r"@|(x|twitter|bluesky|bsky|mastodon|https?):", re.IGNORECASE)


def resolve(spec: str | Path, reading: ReadOptions) -> Source:
    """Find the source for a spec; an existing path takes precedence over accounts and datasets.

    Raises:
        SourceError: nothing can be read there.
    """
    path = Path(spec)
    if not _exists(path):
        if account := open_account(str(spec), reading):
            return account
        is_str = isinstance(spec, str)  # a Path is never meant as owner/name
        if dataset := open_dataset(str(spec), reading, guess=is_str):
            return dataset
    _check_is_readable(path, str(spec))
    if reading.full:
        raise SourceError(f"--full is for accounts on Bluesky, which {path} is not.")
    source = open_path(path, reading)
    if source is None:
        raise SourceError(f"{path} has an unsupported format; give {SUPPORTED}.")
    return source


def is_account(spec: str | Path, reading: ReadOptions) -> bool:
    """Return whether a spec names an account of a network rather than a file or a dataset.

    Raises:
        SourceError: it names an invalid account.
    """
    return not _exists(Path(spec)) and open_account(str(spec), reading) is not None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a file name
        return False


def _check_is_readable(path: Path, spec: str) -> None:
    """Raise an error for anything but a folder or an ordinary file."""
    try:
        if path.is_dir() or path.is_file():
            return
        exists = path.exists()
    except OSError as error:  # a name too long, or a folder without permission to enter
        raise SourceError(f"{spec[:200]} can't be read: {error.strerror or error}.") from error
    if exists:
        raise SourceError(f"{path} is not an ordinary file; give {SUPPORTED}.")
    if _ACCOUNT.match(spec):
        raise SourceError(
            f"{spec[:200]} looks like an account. Name its network (bsky:NAME, "
            "mastodon:@NAME@SERVER or x:@NAME), or give the archive that the network offers for "
            "download."
        )
    raise SourceError(f"There is no file or folder {spec[:200]}; give {SUPPORTED}.")
