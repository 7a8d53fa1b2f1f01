"""Read Mastodon exports: the zip or tar.gz, its unpacked folder, or the ``outbox.json`` alone.

Only ``outbox.json`` and, for the handle, ``actor.json`` are opened; likes and bookmarks are not. An
outbox holds everything its owner wrote, including direct messages: posts that are not public are
left out. A post with a content warning (a ``summary``) is kept; its text excludes the warning.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Name, Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._activity import (
    is_public_activity,
    note_of,
    row_of_activity,
    with_instance,
)
from huggingtweets.sources._archive_reader import (
    ArchiveReader,
    display_path,
    open_archive,
    read_text,
)
from huggingtweets.sources._fields import hashed_id, parse_id, parse_name, parse_time
from huggingtweets.sources._json_tree import ITEM, LISTS, PAGES, tree_values
from huggingtweets.sources._post_kind import NO_POST, NOT_PUBLIC, in_brackets, parse_kind
from huggingtweets.sources._text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTBOX = re.compile(r"(?:\./)?(?:[^/\0-\x1f]+/)?outbox\.json")
"""The member with the posts, at the top level or in one folder."""

_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class MastodonArchive:
    """The public posts of one export, in chronological order.

    Attributes:
        path: a zip, a tar.gz, a folder, or the ``outbox.json``.
        author: the handle to use instead of ``user@instance``.
        left_out: number of records left out at the last reading, by reason.
    """

    path: Path
    author: str | None = None
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str] = "mastodon-archive"

    def posts(self) -> Iterator[Post]:
        """Yield every public post and boost."""
        self.left_out.clear()
        with closing(open_archive(self.path, ("actor.json",))) as archive:
            outbox, actor = self._find(archive.names())
            archive.check([outbox, *([actor] if actor else [])])
            author = self.author or (self._handle(archive, actor) if actor else None)
            where = display_path(self.path, outbox)
            found = False
            tree = tree_values(read_text(archive, outbox, where), where, _enter)
            for position, (path, item) in enumerate(tree):
                if path[-1] != ITEM:
                    continue
                if post := self._post(item, author, position, where):
                    found = True
                    yield post
        if not found:
            raise SourceError(f"{self.path} holds no public posts{in_brackets(self.left_out)}.")

    def _post(self, item: object, author: str | None, position: int, where: str) -> Post | None:
        """Convert an activity; None, and counted, if it isn't a public post."""
        if not isinstance(item, dict) or note_of(item) is None:
            self.left_out[NO_POST] += 1
            return None
        if not is_public_activity(item):
            self.left_out[NOT_PUBLIC] += 1
            return None
        row = row_of_activity(item, where)
        text = str(row["text"])
        file_name = parse_name(self.path.name.split(".")[0])
        return Post(
            author=author or parse_name(row["author"]) or Name(file_name or "unknown"),
            id=parse_id(row["id"]) or hashed_id(position, text),
            text=text,
            created_at=parse_time(row["created_at"]),
            kind=parse_kind(text, row),
            lang=parse_name(row["lang"]),
            source=self.name,
        )

    def _find(self, names: list[str]) -> tuple[str, str | None]:
        """Find the outbox (a single file may have any name) and the actor file next to it."""
        outbox = self.path.name if self.path.name in names else None
        outbox = outbox or next((name for name in names if OUTBOX.fullmatch(name)), None)
        if outbox is None:
            raise SourceError(
                f"{self.path} holds no outbox.json; is it a Mastodon export? "
                f"It holds: {list_names(sorted(names), _MAX_SHOWN)}."
            )
        folder, slash, _ = outbox.rpartition("/")
        actor = f"{folder}{slash}actor.json"
        return outbox, actor if actor in names else None

    def _handle(self, archive: ArchiveReader, actor: str) -> str | None:
        where = display_path(self.path, actor)
        fields: dict[str, object] = {}
        for path, value in tree_values(read_text(archive, actor, where), where, lambda *_: False):
            fields[path[0]] = value
        name = parse_name(fields.get("preferredUsername"))
        return with_instance(name, fields.get("id")) if name else None


def _enter(path: tuple[str, ...], bracket: str) -> bool:
    """Return whether to look inside: the outbox may have its first page within."""
    *outer, name = path
    if bracket == "{":
        return not outer and name in PAGES
    return name in LISTS and (not outer or (len(outer) == 1 and outer[0] in PAGES))
