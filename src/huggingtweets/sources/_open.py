"""From what the user names to the source that reads it."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from huggingtweets.errors import SourceError
from huggingtweets.posts import Post, posts_table
from huggingtweets.sources._fields import name_of
from huggingtweets.sources.files import READERS, PostFile
from huggingtweets.sources.x_archive import XArchive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_SUPPORTED = f"an X archive (.zip, its folder or tweets.js), {', '.join(READERS)}"
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


def open_source(
    spec: str | Path, *, text_column: str | None = None, author: str | None = None
) -> Source:
    """Find the source for a path by its ending.

    Args:
        spec: a file or folder.
        text_column: the column with the posts, for files that have columns.
        author: the handle to use instead of the one that the source tells.

    Raises:
        SourceError: there is no such file, or none that can be read.
    """
    path = Path(spec)
    name = name_of(author)
    if _is_folder(path, str(spec)) or path.suffix.lower() in (".zip", ".js"):
        return XArchive(path, name)
    if path.suffix.lower() in READERS:
        return PostFile(path, text_column, name)
    raise SourceError(f"{path} is of no supported kind; give {_SUPPORTED}.")


def read_posts(
    specs: Sequence[str | Path], *, text_column: str | None = None, author: str | None = None
) -> pl.DataFrame:
    """Read all sources into one table of :data:`huggingtweets.posts.SCHEMA`.

    A post that is there twice, by author and id, is kept once, as when the same archive is given
    twice or two archives overlap.

    Raises:
        SourceError: a source can't be read or has no post.
    """
    if not specs:
        raise SourceError(f"No source of posts was given; give {_SUPPORTED}.")
    sources = [open_source(spec, text_column=text_column, author=author) for spec in specs]
    table = posts_table(chain.from_iterable(source.posts() for source in sources))
    return table.unique(subset=["author", "id"], keep="first", maintain_order=True)


def _is_folder(path: Path, spec: str) -> bool:
    """Tell whether the path is a folder; a path that is neither folder nor file is an error."""
    try:
        if path.is_dir():
            return True
        if path.is_file():
            return False
        there = path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise SourceError(f"{spec[:200]} can't be read: {error.strerror or error}.") from error
    if there:
        raise SourceError(f"{path} is not an ordinary file; give {_SUPPORTED}.")
    if _ACCOUNT.match(spec):
        raise SourceError(
            f"{spec} looks like an account, and downloading posts is not available yet; "
            "give the archive that the network offers its users for download."
        )
    raise SourceError(f"There is no file or folder {spec[:200]}; give {_SUPPORTED}.")
