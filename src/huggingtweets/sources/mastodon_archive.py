"""Mastodon exports: the zip or tar.gz as downloaded, its folder, or the ``outbox.json`` alone.

Only ``outbox.json`` and, for the handle, ``actor.json`` are ever opened; likes and bookmarks stay
closed. An outbox holds everything its owner wrote, messages to single people included: what is not
addressed to everybody is left out. A post behind a content warning is one with a ``summary``; it is
kept with its text, the warning itself is not part of it.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import (
    ArchiveReader,
    display_path,
    open_members,
    read_text,
)
from huggingtweets.sources._fields import id_of, is_set, made_id, name_of, text_of, time_of
from huggingtweets.sources._html import text_of_html
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from huggingtweets.data.posts import Kind

OUTBOX = re.compile(r"(?:\./)?(?:[^/\0-\x1f]+/)?outbox\.json")
"""What the member with the posts is called, at the top or in one folder."""

_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_QUOTES = ("quote", "quoteUrl", "quoteUri", "_misskey_quote")
_SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class MastodonArchive:
    """The public posts of one export, in its order, which is the order of writing.

    Attributes:
        path: a zip, a tar.gz, a folder, or the ``outbox.json``.
        author: the handle, where it should not be ``user@instance``.
    """

    path: Path
    author: str | None = None
    name: ClassVar[str] = "mastodon-archive"

    def posts(self) -> Iterator[Post]:
        """Yield every public post and boost."""
        with closing(open_members(self.path, ("actor.json",))) as members:
            outbox, actor = self._find(members.names())
            members.check([outbox, *([actor] if actor else [])])
            author = self.author or (self._handle(members, actor) if actor else None)
            where = display_path(self.path, outbox)
            found = False
            tree = tree_values(read_text(members, outbox, where), where, _is_list_of_posts)
            for position, (path, item) in enumerate(tree):
                if path[-1] == ITEM and isinstance(item, dict) and _is_post(item):
                    found = True
                    yield _post(item, author or _author(item, self.path), position, where)
        if not found:
            raise SourceError(f"{self.path} holds no public posts.")

    def _find(self, names: list[str]) -> tuple[str, str | None]:
        """Find the outbox, whatever a file alone is called, and the actor beside it."""
        outbox = self.path.name if self.path.name in names else None
        outbox = outbox or next((name for name in names if OUTBOX.fullmatch(name)), None)
        if outbox is None:
            raise SourceError(
                f"{self.path} holds no outbox.json; is it a Mastodon export? "
                f"It holds: {listed(sorted(names), _SHOWN_NAMES)}."
            )
        folder, slash, _ = outbox.rpartition("/")
        actor = f"{folder}{slash}actor.json"
        return outbox, actor if actor in names else None

    def _handle(self, members: ArchiveReader, actor: str) -> str | None:
        where = display_path(self.path, actor)
        fields: dict[str, object] = {}
        for path, value in tree_values(read_text(members, actor, where), where, lambda *_: False):
            fields[path[0]] = value
        name = name_of(fields.get("preferredUsername"))
        return _at(name, fields.get("id")) if name else None


def _is_list_of_posts(path: tuple[str, ...], bracket: str) -> bool:
    return path == ("orderedItems",) and bracket == "["


def _is_post(activity: Mapping[str, object]) -> bool:
    """Tell whether it was written, or boosted, for everybody; the rest of an outbox is not read."""
    if activity.get("type") == "Announce":
        return _is_public(activity)
    written = activity.get("object")
    if activity.get("type") != "Create" or not isinstance(written, dict):
        return False
    return _is_public(written if {"to", "cc"} & written.keys() else activity)


def _is_public(addressed: Mapping[str, object]) -> bool:
    for field in ("to", "cc"):
        value = addressed.get(field)
        names = value if isinstance(value, list) else [value]
        if any(isinstance(name, str) and name in _PUBLIC for name in names):
            return True
    return False


def _post(activity: Mapping[str, object], author: str, position: int, where: str) -> Post:
    written = activity.get("object")
    fields = written if isinstance(written, dict) else {}
    text = text_of_html(text_of(fields.get("content"), where))
    if activity.get("type") == "Announce":
        text, name = "", activity.get("id")  # whose text it is, is only told by an address
    else:
        name = fields.get("id") or activity.get("id")
    return Post(
        author=author,
        id=_number(name) or made_id(position, text),
        text=text,
        created_at=time_of(fields.get("published") or activity.get("published")),
        kind=_kind(activity, fields),
        lang=_language(fields.get("contentMap")),
        source=MastodonArchive.name,
    )


def _kind(activity: Mapping[str, object], fields: Mapping[str, object]) -> Kind:
    if activity.get("type") == "Announce":
        return "repost"
    if is_set(fields.get("inReplyTo")):
        return "reply"
    return "quote" if any(is_set(fields.get(name)) for name in _QUOTES) else "original"


def _number(value: object) -> str | None:
    """Shorten ``https://instance/users/ada/statuses/123`` to 123, the id in the instance's API."""
    name = id_of(value)
    match = re.search(r"/(\d+)(?:/activity)?$", name) if name else None
    return match[1] if match else name


def _language(contents: object) -> str | None:
    """Return the language of a post; one in several has none."""
    return (
        name_of(next(iter(contents))) if isinstance(contents, dict) and len(contents) == 1 else None
    )


def _author(activity: Mapping[str, object], path: Path) -> str:
    """Return the handle that the address of an activity's actor tells."""
    actor = id_of(activity.get("actor"))
    match = re.search(r"/(?:users/|@)([^/]+)/?$", actor) if actor else None
    return _at(match[1], actor) if match else name_of(path.name.split(".")[0]) or "unknown"


def _at(name: str, address: object) -> str:
    """Put the instance of an address after a name."""
    try:
        host = urlsplit(address).hostname if isinstance(address, str) else None
    except ValueError:  # no address
        host = None
    return f"{name}@{host}" if host else name
