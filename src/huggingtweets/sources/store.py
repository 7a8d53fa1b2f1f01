"""Store downloaded posts on disk, so that no page is lost or requested twice.

.. code-block:: text

    $HUGGINGTWEETS_DOWNLOADS or ~/.cache/huggingtweets/downloads/
      NETWORK/ACCOUNT/posts.jsonl   one post per line; the last line with an id wins
      NETWORK/ACCOUNT/state.json    progress of the download, written after each page

A page is written before the state that refers to it, so a crash loses at most the page being read.
``posts.jsonl`` is itself a valid source of posts.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from filelock import Timeout

from huggingtweets.data.posts import Post
from huggingtweets.errors import StorageError
from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.storage import files
from huggingtweets.storage.user_dirs import downloads_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Page:
    """A page of posts, newest first.

    Attributes:
        posts: may be empty even if older ones follow.
        cursor: of the next page; None on the last.
        total: number of the account's posts, if the network reports it.
    """

    posts: list[Post]
    cursor: str | None
    total: int | None = None


class Account(Protocol):
    """An account on a network."""

    @property
    def name(self) -> str:
        """The network, as in ``Post.source``."""

    @property
    def handle(self) -> str:
        """The author, as in ``Post.author``."""

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Yield pages from the newest post on, or from the cursor of an earlier page.

        Raises:
            SourceError: the account doesn't exist or can't be read.
        """


@dataclass
class State:
    """The content of ``state.json``.

    The first ``settled`` lines of ``posts.jsonl`` hold a contiguous run of posts, which ends at
    ``cursor`` or, if ``complete``, at the account's first post. Newer posts are read down to that
    run; until they reach it, there is a ``gap`` between the two.

    Attributes:
        cursor: where the posts older than the contiguous run begin.
        complete: whether there are no older ones.
        settled: number of lines in the contiguous run.
        gap: cursor at which to continue reading newer posts after an interruption.
        busy: whether a download is running or was interrupted.
        newest_id: id of the newest known post.
        newest_time: when it was written.
        oldest_time: time of the last post before ``cursor``.
        top_read_at: when the newest page was last read, in seconds since 1970.
        total: number of posts that the network reported then.
        format: version of the file format.
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


@dataclass
class Store:
    """The posts of one account on disk; use it in its :meth:`locked` block.

    Attributes:
        path: the account's folder.
        state: progress of the download.
    """

    path: Path
    state: State = field(default_factory=State)
    _by_id: dict[str, tuple[int, Post]] = field(default_factory=dict)  # with the line's index
    _line_count: int = 0

    @classmethod
    def of(cls, account: Account) -> Store:
        """Return the store of an account; its folder need not exist yet."""
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
        """Lock the store for this process and load it.

        Raises:
            StorageError: another process holds the lock, or the folder can't be written.
        """
        with files.wrap_os_errors(self.path):
            files.make_folder(self.path)
            files.make_private(self.path)
            lock = files.file_lock(self.path)
            try:
                lock.acquire()
            except Timeout as error:
                raise StorageError(
                    f"{self.path} is in use by another download; wait until it has finished."
                ) from error
        try:
            files.remove_abandoned(self.path)
            self.load()
            yield
        finally:
            lock.release()

    def __len__(self) -> int:
        return len(self._by_id)

    def posts(self) -> list[Post]:
        """Return each post once, newest first, all with the author's current name."""
        found = sorted(
            (post for _, post in self._by_id.values()),
            key=lambda post: post.created_at.timestamp() if post.created_at else float("-inf"),
            reverse=True,
        )
        return [replace(post, author=found[0].author) for post in found]

    def contiguous_ids(self) -> frozenset[str]:
        """Return the ids of the posts in the contiguous run."""
        settled = self.state.settled
        return frozenset(post_id for post_id, (line, _) in self._by_id.items() if line < settled)

    def mark_contiguous(self) -> None:
        """Record that all posts on disk are contiguous."""
        self.state.settled, self.state.gap = self._line_count, None

    def add(self, posts: Iterable[Post]) -> None:
        """Append posts that are new or edited, leaving out deleted ones.

        Raises:
            OptedOutError: their author opted out.
            StorageError: the file can't be written.
        """
        new = [post for post in posts if self._is_new(post)]
        opt_out.check({post.author for post in new})
        deleted = PostIds.parse(deleted_posts.remembered())
        new = [post for post in new if not deleted.has(post.author, post.id)]
        if not new:
            return
        text = "".join(_to_line(post) for post in new)
        with (
            files.wrap_os_errors(self.posts_file),
            open(self.posts_file, "ab", opener=files.private_opener) as file,
        ):
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        for post in new:
            self._index_post(post)

    def save(self) -> None:
        """Write the state; call it after :meth:`add`."""
        files.write_json(self.state_file, asdict(self.state))

    # -- reading ---------------------------------------------------------------------------------

    def _is_new(self, post: Post) -> bool:
        entry = self._by_id.get(post.id)
        return entry is None or entry[1].text != post.text

    def _index_post(self, post: Post) -> None:
        line = self._by_id[post.id][0] if post.id in self._by_id else self._line_count
        self._by_id[post.id] = (line, post)
        self._line_count += 1

    def load(self) -> None:
        """Read posts and state from disk; :meth:`locked` calls it."""
        self._by_id, self._line_count = {}, 0
        with files.wrap_os_errors(self.posts_file):
            self._truncate_partial_line()
            with suppress(FileNotFoundError), self.posts_file.open("rb") as file:
                for line in file:
                    post = _from_line(line)
                    if post is None:
                        self._line_count += 1
                    else:
                        self._index_post(post)
            self.state = self._read_state()

    def _truncate_partial_line(self) -> None:
        """Remove an unfinished last line after a crash; its page will be requested again."""
        with suppress(FileNotFoundError), self.posts_file.open("rb+") as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            if end < len(content):
                file.truncate(end)

    def _read_state(self) -> State:
        """Read the state; if missing or invalid, reading starts again from the newest page."""
        with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
            values = json.loads(self.state_file.read_text(encoding="utf-8"))
            if values.get("format") == FORMAT:
                names = {state_field.name for state_field in fields(State)}
                return State(**{key: value for key, value in values.items() if key in names})
        return State()


def _to_line(post: Post) -> str:
    values = asdict(post)
    values["created_at"] = post.created_at.isoformat() if post.created_at else None
    return json.dumps(values, ensure_ascii=False) + "\n"


def _from_line(line: bytes) -> Post | None:
    """Parse a line; None if a crash damaged it."""
    with suppress(ValueError, TypeError, AttributeError):
        values = json.loads(line)
        created = values.pop("created_at", None)
        return Post(**values, created_at=datetime.fromisoformat(created) if created else None)
    return None
