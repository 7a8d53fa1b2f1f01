"""Downloaded posts on disk, so that no page that was read is ever lost or asked for again.

.. code-block:: text

    $HUGGINGTWEETS_DOWNLOADS or ~/.cache/huggingtweets/downloads/
      NETWORK/ACCOUNT/posts.jsonl   a post a line, a page at a time; a later line of an id wins
      NETWORK/ACCOUNT/state.json    how far the download got, written after the page it tells of

A page is on disk before the state that names it, so whatever ends the process costs at most the
page that was being read. ``posts.jsonl`` is a source of posts like any other.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from filelock import FileLock, Timeout

from huggingtweets.data.posts import Post
from huggingtweets.errors import StorageError
from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts, newest first, and where the older ones begin.

    Attributes:
        posts: may be empty though older ones follow.
        cursor: for the next page; None on the last.
        total: of the account's posts, where the network tells.
    """

    posts: list[Post]
    cursor: str | None
    total: int | None = None


class Account(Protocol):
    """Somebody's posts on a network."""

    @property
    def name(self) -> str:
        """The network, as in ``Post.source``."""

    @property
    def handle(self) -> str:
        """The author, as in ``Post.author``."""

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages from the newest post on, or from a cursor of an earlier page.

        Raises:
            SourceError: there is no such account, or it can't be read.
        """


@dataclass
class State:
    """What ``state.json`` holds.

    The file has one run of posts without a gap (those of the first ``settled`` lines), which ends
    at ``cursor`` or, if ``complete``, at the account's first post. Newer posts are read down to
    that run; while that is going on there is a ``gap`` between the two.

    Attributes:
        cursor: where the posts older than all of these begin.
        complete: there are no older ones.
        settled: lines of the file without a gap between them.
        gap: where to go on reading newer posts, if that was cut.
        busy: a download is going on, or was cut.
        newest_id: the newest post known.
        newest_time: when it was written.
        oldest_time: of the last post before ``cursor``.
        top_read_at: when the newest page was last read, seconds since 1970.
        total: posts that the network said there were then.
        format: version of this file's shape.
    """

    cursor: str | None = None
    complete: bool = False
    settled: int = 0
    gap: str | None = None
    busy: bool = False
    newest_id: str | None = None
    newest_time: str | None = None
    oldest_time: str | None = None
    top_read_at: float = 0.0
    total: int | None = None
    format: int = FORMAT


def downloads_folder() -> Path:
    """Where all downloads are: ``$HUGGINGTWEETS_DOWNLOADS`` or a folder in the user's cache."""
    named = os.environ.get("HUGGINGTWEETS_DOWNLOADS")
    return Path(named) if named else Path.home() / ".cache" / "huggingtweets" / "downloads"


@dataclass
class Store:
    """The posts of one account on disk; use it in its :meth:`locked` block.

    Attributes:
        path: the account's folder.
        state: how far the download got.
    """

    path: Path
    state: State = field(default_factory=State)
    _known: dict[str, tuple[int, Post]] = field(default_factory=dict)  # by id, with the line
    _lines: int = 0

    @classmethod
    def of(cls, account: Account) -> Store:
        """Find the folder of an account; it need not exist yet."""
        name = quote(account.handle.lower(), safe="@.-_")[:200].lstrip(".")
        return cls(downloads_folder() / account.name / (name or "_"))

    @property
    def posts_file(self) -> Path:
        """``posts.jsonl``."""
        return self.path / "posts.jsonl"

    @property
    def state_file(self) -> Path:
        """``state.json``."""
        return self.path / "state.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Open the store for this process alone.

        Raises:
            StorageError: another process holds it, or it can't be written.
        """
        with files.wrap_os_errors(self.path):
            for folder in (self.path.parent.parent, self.path.parent, self.path):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", blocking=False)
            try:
                lock.acquire()
            except Timeout as error:
                raise StorageError(
                    f"{self.path} is being downloaded to by another process."
                ) from error
        try:
            self.load()
            yield
        finally:
            lock.release()

    def __len__(self) -> int:
        return len(self._known)

    def posts(self) -> list[Post]:
        """Return each post once, newest first; all bear the author's present name."""
        found = sorted(
            (post for _, post in self._known.values()),
            key=lambda post: post.created_at.timestamp() if post.created_at else float("-inf"),
            reverse=True,
        )
        return [replace(post, author=found[0].author) for post in found]

    def contiguous_ids(self) -> frozenset[str]:
        """Return the ids of the posts without a gap between them."""
        return frozenset(key for key, (at, _) in self._known.items() if at < self.state.settled)

    def mark_contiguous(self) -> None:
        """Note that there is no gap between any of the posts."""
        self.state.settled, self.state.gap = self._lines, None

    def add(self, posts: Iterable[Post]) -> None:
        """Put those on disk that are new or have a new text, and whose author doesn't mind."""
        new = [post for post in posts if self._is_news(post)]
        opt_out.check({post.author for post in new})
        forget = PostIds.of(deleted_posts.remembered())
        new = [post for post in new if not forget.has(post.author, post.id)]
        if not new:
            return
        text = "".join(_line(post) for post in new)
        with files.wrap_os_errors(self.posts_file), self.posts_file.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        for post in new:
            self._index_post(post)

    def save(self) -> None:
        """Write the state, after the posts it tells of."""
        files.write_json(self.state_file, asdict(self.state))

    # -- reading ---------------------------------------------------------------------------------

    def _is_news(self, post: Post) -> bool:
        known = self._known.get(post.id)
        return known is None or known[1].text != post.text

    def _index_post(self, post: Post) -> None:
        line = self._known[post.id][0] if post.id in self._known else self._lines
        self._known[post.id] = (line, post)
        self._lines += 1

    def load(self) -> None:
        """Read what is on disk; :meth:`locked` does, and whoever wants to know it meanwhile."""
        self._known, self._lines = {}, 0
        with files.wrap_os_errors(self.posts_file):
            self._cut_off_what_a_crash_left()
            with suppress(FileNotFoundError), self.posts_file.open("rb") as file:
                for line in file:
                    post = _post(line)
                    if post is None:
                        self._lines += 1
                    else:
                        self._index_post(post)
            self.state = self._read_state()

    def _cut_off_what_a_crash_left(self) -> None:
        """Drop a last line without its end; the page it belongs to is asked for again."""
        with suppress(FileNotFoundError), self.posts_file.open("rb+") as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            if end < len(content):
                file.truncate(end)

    def _read_state(self) -> State:
        """Read the state; without one that can be read the pages are read again from the newest."""
        with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
            values = json.loads(self.state_file.read_text(encoding="utf-8"))
            if values.get("format") == FORMAT:
                names = {one.name for one in fields(State)}
                return State(**{key: value for key, value in values.items() if key in names})
        return State()


def _line(post: Post) -> str:
    values = asdict(post)
    values["created_at"] = post.created_at.isoformat() if post.created_at else None
    return json.dumps(values, ensure_ascii=False) + "\n"


def _post(line: bytes) -> Post | None:
    """Read a line; None for what a crash left of one."""
    with suppress(ValueError, TypeError, AttributeError):
        values = json.loads(line)
        created = values.pop("created_at", None)
        return Post(**values, created_at=datetime.fromisoformat(created) if created else None)
    return None
