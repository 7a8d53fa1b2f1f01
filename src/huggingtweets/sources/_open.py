"""From what the user names to the source that reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from huggingtweets.data.posts import Post, posts_table
from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import name_of
from huggingtweets.sources._formats import SUPPORTED, open_path
from huggingtweets.sources._privacy_filter import apply_privacy_filter, unwrap
from huggingtweets.sources._together import merge_posts
from huggingtweets.sources.accounts import open_account
from huggingtweets.sources.huggingface import open_dataset
from huggingtweets.sources.reading import ReadOptions
from huggingtweets.sources.telegram import TelegramExport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_ACCOUNT = re.compile(r"@|(x|twitter|bluesky|bsky|mastodon|https?):", re.IGNORECASE)


class Source(Protocol):
    """Where posts come from.

    ``posts`` may be called again and then gives the same posts with the same ids. It streams; a
    fault is a :class:`~huggingtweets.errors.SourceError`, as is having no post at all.
    """

    @property
    def name(self) -> str:
        """What kind of source it is, as in ``Post.source``."""

    def posts(self) -> Iterator[Post]:
        """Yield all posts, reposts and empty ones included."""


def open_source(spec: str | Path, reading: ReadOptions | None = None) -> Source:
    """Find the source for a file, a folder, an account or a dataset.

    Args:
        spec: a path, an account such as ``bsky:name.bsky.social``, or a dataset on the Hugging Face
            Hub such as ``hf:owner/name``.
        reading: how to read it.

    Raises:
        SourceError: there is no such file, or none that can be read.
        OptedOutError: the author asked not to be imitated.
    """
    reading = reading or ReadOptions()
    reading = replace(reading, author=name_of(reading.author))
    return apply_privacy_filter(lambda own: _find(spec, own), reading)


def _find(spec: str | Path, reading: ReadOptions) -> Source:
    path = Path(spec)
    if not _is_there(path) and (account := open_account(str(spec), reading)):
        return account
    guess = isinstance(spec, str)  # a Path is always meant as one
    if not _is_there(path) and (dataset := open_dataset(str(spec), reading, guess=guess)):
        return dataset
    _check_there(path, str(spec))
    if reading.full:
        raise SourceError(f"--full is for accounts on Bluesky, which {path} is not.")
    source = open_path(path, reading)
    if source is None:
        raise SourceError(f"{path} is of no supported kind; give {SUPPORTED}.")
    return source


def read_posts(specs: Sequence[str | Path], reading: ReadOptions | None = None) -> pl.DataFrame:
    """Read all sources into one table of :data:`huggingtweets.data.posts.SCHEMA`.

    A post that is there twice is kept once, as when the same archive is given twice or two archives
    overlap. With ``reading.author`` all are posts of one person, else each source tells its own.

    Raises:
        SourceError: a source can't be read or has no post.
        OptedOutError: an author asked not to be imitated.
    """
    if not specs:
        raise SourceError(f"No source of posts was given; give {SUPPORTED}.")
    reading = reading or ReadOptions()
    sources = [open_source(spec, reading) for spec in specs]
    speaker = reading.speaker
    if speaker is not None and not any(isinstance(unwrap(s), TelegramExport) for s in sources):
        raise SourceError(
            f"--from {speaker[:80]} names a person in a Telegram export, and none was given."
        )
    return merge_posts([posts_table(source.posts()) for source in sources])


def _is_there(path: Path) -> bool:
    """Tell whether a file or folder has this name, which then is no account's."""
    try:
        return path.exists()
    except OSError:  # a name too long for a file
        return False


def _check_there(path: Path, spec: str) -> None:
    """Refuse a path that is neither folder nor file."""
    try:
        if path.is_dir() or path.is_file():
            return
        there = path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise SourceError(f"{spec[:200]} can't be read: {error.strerror or error}.") from error
    if there:
        raise SourceError(f"{path} is not an ordinary file; give {SUPPORTED}.")
    if _ACCOUNT.match(spec):
        raise SourceError(
            f"{spec[:200]} looks like an account; say on which network it is, bsky:NAME, "
            "mastodon:@NAME@SERVER or x:@NAME, or give the archive that the network offers for "
            "download."
        )
    raise SourceError(f"There is no file or folder {spec[:200]}; give {SUPPORTED}.")
