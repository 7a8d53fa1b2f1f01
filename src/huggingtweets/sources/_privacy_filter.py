"""The one door through which posts leave their sources: what an author doesn't want stays inside.

Two wishes are honoured: not to be imitated (:mod:`huggingtweets.privacy.opt_out`), and that a post
which was deleted is forgotten (:mod:`huggingtweets.privacy.deleted_posts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.events import Event
from huggingtweets.privacy import deleted_posts
from huggingtweets.privacy import opt_out as optout
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.sources.accounts import NetworkSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.data.posts import Post
    from huggingtweets.privacy.opt_out import OptOut
    from huggingtweets.sources._open import Source
    from huggingtweets.sources.reading import ReadOptions


@dataclass(frozen=True, slots=True)
class FilteredSource:
    """A source without what its authors don't want read.

    Attributes:
        source: opened without an alias, so that it tells whose posts they really are.
        reading: as the user wants it.
        opt_out: those who are refused.
        forget: posts that are left out.
    """

    source: Source
    reading: ReadOptions
    opt_out: OptOut
    forget: PostIds

    @property
    def name(self) -> str:
        """What kind of source it is."""
        return self.source.name

    def posts(self) -> Iterator[Post]:
        """Yield the posts that may be read.

        Raises:
            OptedOutError: their author asked not to be imitated.
            SourceError: all of them are to be forgotten.
        """
        alias, checked = self.reading.author, set()
        passed = left_out = 0
        for post in self.source.posts():
            if post.author not in checked:
                self.opt_out.check([post.author])
                checked.add(post.author)
            if self._is_forgotten(post):
                left_out += 1
                continue
            passed += 1
            yield replace(post, author=alias) if alias else post
        if left_out or self.reading.forget:
            self.reading.listen(Event(stage="forget", done=left_out))
        if not passed:
            raise SourceError(
                f"All {left_out:,} posts of this {self.name} source are to be forgotten, so there "
                "is none to read."
            )

    def _is_forgotten(self, post: Post) -> bool:
        alias = self.reading.author  # by which the post may have been met before
        return self.forget.has(post.author, post.id) or (
            alias is not None and self.forget.has(alias, post.id)
        )


def apply_privacy_filter(find: Callable[[ReadOptions], Source], reading: ReadOptions) -> Source:
    """Find a source as ``find`` does and keep inside it what its authors don't want read.

    Raises:
        OptedOutError: the account, or the alias, is of somebody who asked not to be imitated.
    """
    opt_out = optout.load() if reading.refuse_opted_out else optout.NOBODY
    forget = PostIds.of(reading.forget | deleted_posts.remembered())
    opt_out.check([reading.author] if reading.author else [])
    if not opt_out and not forget and not reading.forget:
        return find(reading)
    source = find(replace(reading, author=None))
    if isinstance(source, NetworkSource):  # before any request is made
        opt_out.check([source.account.handle])
    return FilteredSource(source, reading, opt_out, forget)


def unwrap(source: Source) -> Source:
    """The source itself, behind the wishes."""
    return source.source if isinstance(source, FilteredSource) else source
