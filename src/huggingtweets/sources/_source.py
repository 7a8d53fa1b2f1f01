"""The interface that every source of posts implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post


class Source(Protocol):
    """A file, archive, account or dataset that yields posts.

    ``posts`` streams. Calling it again yields the same posts with the same ids. It raises
    :class:`~huggingtweets.errors.SourceError` for a fault and for a source without any post.
    """

    @property
    def name(self) -> str:
        """The kind of source, as in ``Post.source``."""

    def posts(self) -> Iterator[Post]:
        """Yield all posts, including reposts and empty ones."""
