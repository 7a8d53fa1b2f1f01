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

    A source that leaves out records of its file, such as private ones, has a ``left_out``: a
    ``Counter`` of the last reading by reason ("not public"). Posts and counts add up to the
    records; :func:`huggingtweets.sources.read_tables` reports them as an event.
    """

    @property
    def name(self) -> str:
        """The kind of source, as in ``Post.source``."""

    def posts(self) -> Iterator[Post]:
        """Yield all posts, including reposts and empty ones."""
