"""The privacy filter that every source passes through.

It refuses authors who opted out (:mod:`huggingtweets.privacy.opt_out`) and leaves out posts that
were deleted (:mod:`huggingtweets.privacy.deleted_posts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.events import Event
from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.sources.accounts import NetworkSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.posts import Post
    from huggingtweets.privacy.opt_out import OptOut
    from huggingtweets.sources._source import Source
    from huggingtweets.sources.reading import ReadOptions


@dataclass(frozen=True, slots=True)
class PrivacyFilter:
    """The opt-out list and the deleted posts, ready to be applied to a source.

    Attributes:
        reading: the user's options.
        opted_out: authors to refuse.
        deleted: posts to leave out.
    """

    reading: ReadOptions
    opted_out: OptOut
    deleted: PostIds

    @classmethod
    def load(cls, reading: ReadOptions) -> PrivacyFilter:
        """Read the opt-out list and the deleted posts, and check the alias.

        Raises:
            OptedOutError: the alias is the handle of an author who opted out.
        """
        opted_out = opt_out.load() if reading.refuse_opted_out else opt_out.NOBODY
        opted_out.check([reading.author] if reading.author else [])
        return cls(reading, opted_out, PostIds.parse(reading.forget | deleted_posts.remembered()))

    @property
    def source_options(self) -> ReadOptions:
        """Options for opening the source: no alias if posts must name their real author."""
        return replace(self.reading, author=None) if self._is_needed else self.reading

    def apply(self, source: Source) -> Source:
        """Put the filter in front of a source.

        Raises:
            OptedOutError: the account belongs to an author who opted out.
        """
        if not self._is_needed:
            return source
        if isinstance(source, NetworkSource):  # before any request is made
            self.opted_out.check([source.account.handle])
        return FilteredSource(source, self)

    @property
    def _is_needed(self) -> bool:
        return bool(self.opted_out or self.deleted or self.reading.forget)


@dataclass(frozen=True, slots=True)
class FilteredSource:
    """A source behind the privacy filter.

    Attributes:
        source: opened without an alias.
        privacy: the filter.
    """

    source: Source
    privacy: PrivacyFilter

    @property
    def name(self) -> str:
        """The kind of source."""
        return self.source.name

    def posts(self) -> Iterator[Post]:
        """Yield the posts that may be used.

        Raises:
            OptedOutError: their author opted out.
            SourceError: all of them were deleted.
        """
        reading, checked = self.privacy.reading, set()
        kept = left_out = 0
        for post in self.source.posts():
            if post.author not in checked:
                self.privacy.opted_out.check([post.author])
                checked.add(post.author)
            if self._is_deleted(post):
                left_out += 1
                continue
            kept += 1
            yield replace(post, author=reading.author) if reading.author else post
        if left_out or reading.forget:
            reading.listen(Event(stage="forget", done=left_out))
        if not kept:
            raise SourceError(
                f"All {left_out:,} posts of this {self.name} source are deleted posts, so none is "
                "left to read."
            )

    def _is_deleted(self, post: Post) -> bool:
        alias = self.privacy.reading.author  # an earlier run may have read the post under it
        deleted = self.privacy.deleted
        return deleted.has(post.author, post.id) or (
            alias is not None and deleted.has(alias, post.id)
        )


def unwrap(source: Source) -> Source:
    """Return the source behind the privacy filter."""
    return source.source if isinstance(source, FilteredSource) else source
