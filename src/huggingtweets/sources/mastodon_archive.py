"""Read Mastodon exports: the zip or tar.gz, its unpacked folder, or the ``outbox.json`` alone.

Only ``outbox.json`` and, for the handle, ``actor.json`` are opened; likes and bookmarks are not. An
outbox holds everything its owner wrote, including direct messages: posts that are not public are
left out. A post with a content warning (a ``summary``) is kept; its text excludes the warning.
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
    open_archive,
    read_text,
)
from huggingtweets.sources._fields import (
    hashed_id,
    is_set,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._html import html_to_text
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from huggingtweets.data.posts import Kind

OUTBOX = re.compile(r"(?:\./)?(?:[^/\0-\x1f]+/)?outbox\.json")
"""The member with the posts, at the top level or in one folder."""

_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_QUOTES = ("quote", "quoteUrl", "quoteUri", "_misskey_quote")
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class MastodonArchive:
    """The public posts of one export, in chronological order.

    Attributes:
        path: a zip, a tar.gz, a folder, or the ``outbox.json``.
        author: the handle to use instead of ``user@instance``.
    """

    path: Path
    author: str | None = None
    name: ClassVar[str] = "mastodon-archive"

    def posts(self) -> Iterator[Post]:
        """Yield every public post and boost."""
        with closing(open_archive(self.path, ("actor.json",))) as archive:
            outbox, actor = self._find(archive.names())
            archive.check([outbox, *([actor] if actor else [])])
            author = self.author or (self._handle(archive, actor) if actor else None)
            where = display_path(self.path, outbox)
            found = False
            tree = tree_values(read_text(archive, outbox, where), where, _is_list_of_posts)
            for position, (path, item) in enumerate(tree):
                if path[-1] == ITEM and isinstance(item, dict) and _is_post(item):
                    found = True
                    yield _post(item, author or _author(item, self.path), position, where)
        if not found:
            raise SourceError(f"{self.path} holds no public posts.")

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
        return _with_instance(name, fields.get("id")) if name else None


def _is_list_of_posts(path: tuple[str, ...], bracket: str) -> bool:
    return path == ("orderedItems",) and bracket == "["


def _is_post(activity: Mapping[str, object]) -> bool:
    """Return whether an activity is a public post or boost."""
    if activity.get("type") == "Announce":
        return _is_public(activity)
    note = activity.get("object")
    if activity.get("type") != "Create" or not isinstance(note, dict):
        return False
    return _is_public(note if {"to", "cc"} & note.keys() else activity)


def _is_public(addressed: Mapping[str, object]) -> bool:
    for field in ("to", "cc"):
        value = addressed.get(field)
        names = value if isinstance(value, list) else [value]
        if any(isinstance(name, str) and name in _PUBLIC for name in names):
            return True
    return False


def _post(activity: Mapping[str, object], author: str, position: int, where: str) -> Post:
    note = activity.get("object")
    fields = note if isinstance(note, dict) else {}
    text = html_to_text(parse_text(fields.get("content"), where))
    if activity.get("type") == "Announce":
        text, url = "", activity.get("id")  # a boost holds only the address of the boosted post
    else:
        url = fields.get("id") or activity.get("id")
    return Post(
        author=author,
        id=_short_id(url) or hashed_id(position, text),
        text=text,
        created_at=parse_time(fields.get("published") or activity.get("published")),
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


def _short_id(value: object) -> str | None:
    """Shorten ``https://instance/users/ada/statuses/123`` to 123, the id in the instance's API."""
    url = parse_id(value)
    match = re.search(r"/(\d+)(?:/activity)?$", url) if url else None
    return match[1] if match else url


def _language(contents: object) -> str | None:
    """Return the language of a post, or None if it has several."""
    return (
        parse_name(next(iter(contents)))
        if isinstance(contents, dict) and len(contents) == 1
        else None
    )


def _author(activity: Mapping[str, object], path: Path) -> str:
    """Return the handle from the address of an activity's actor, or the file's name."""
    actor = parse_id(activity.get("actor"))
    match = re.search(r"/(?:users/|@)([^/]+)/?$", actor) if actor else None
    if match:
        return _with_instance(match[1], actor)
    return parse_name(path.name.split(".")[0]) or "unknown"


def _with_instance(name: str, url: object) -> str:
    """Append the instance of a URL to a name."""
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:  # an invalid URL
        host = None
    return f"{name}@{host}" if host else name
