"""Read Bluesky repositories from disk: the ``repo.car`` of a backup, or its unpacked records.

Bluesky hands out a CAR file (Settings, Account, Export my data); tools such as goat unpack it into
a folder for each collection with a JSON file for each record (``app.bsky.feed.post/3k....json``).
Likes, follows and reposts are counted and not read: a repost has no text.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.sources import _bluesky_repo
from huggingtweets.sources._bluesky_record import NETWORK, POST, asks_to_be_hidden
from huggingtweets.sources._fields import as_dict, author_from_filename
from huggingtweets.sources._json_reader import DECODER
from huggingtweets.sources._post_kind import NO_POST, in_brackets
from huggingtweets.sources._text import decode_utf8, file_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.data.posts import Post

_PROFILE = "app.bsky.actor.profile/self"
_COMMIT = "_commit.json"
_MAX_RECORD_BYTES = 2 * 1024**2
"""Twice the limit of the network."""


@dataclass(frozen=True, slots=True)
class BlueskyArchive:
    """The posts of one repository, newest first.

    Attributes:
        path: a ``.car`` file, a folder with the folders of collections, or the folder of the posts.
        author: the handle; None for the DID, since a repository doesn't hold the handle.
        i_am_the_author: read it even if the author asks to be hidden.
        left_out: number of records left out at the last reading, by reason.
    """

    path: Path
    author: str | None = None
    i_am_the_author: bool = False
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str] = NETWORK

    def posts(self) -> Iterator[Post]:
        """Yield all posts."""
        self.left_out.clear()
        did, records = self._unpacked() if self.path.is_dir() else self._car()
        profile = records.get(_PROFILE, {})
        if not self.i_am_the_author and asks_to_be_hidden(profile.get("labels")):
            raise SourceError(
                f"The author of {self.path} asks Bluesky to hide their posts from people without "
                "an account, so they are not read; if it is your account, use --i-am-the-author."
            )
        author = self.author or did or author_from_filename(self.path)
        found = _bluesky_repo.posts(records, did or author, author)
        if others := len(records) - len(found):
            self.left_out[NO_POST] = others
        if not found:
            raise SourceError(f"{self.path} holds no posts{in_brackets(self.left_out)}.")
        yield from found

    def _car(self) -> tuple[str | None, dict[str, dict[str, Any]]]:
        _bluesky_repo.check_extra()
        car = bytearray()
        for chunk in file_chunks(self.path):
            car += chunk
            if len(car) > _bluesky_repo.MAX_BYTES:
                raise SourceError(
                    f"{self.path} is over {_bluesky_repo.MAX_BYTES // 1024**2:,} MB, more than any "
                    "Bluesky repository."
                )
        damaged = (
            f"{self.path} is not a Bluesky repository, or a damaged one; export it again under "
            "Settings, Account, Export my data."
        )
        return _bluesky_repo.read_car(bytes(car), damaged)

    def _unpacked(self) -> tuple[str | None, dict[str, dict[str, Any]]]:
        folder = posts_folder(self.path)
        if folder is None:
            raise SourceError(f"{self.path} holds no folder {POST}.")
        root = folder.parent
        files = sorted(folder.glob("*.json"))
        profile = root / f"{_PROFILE}.json"
        records = {f"{POST}/{file.stem}": _read(file) for file in files}
        if profile.is_file():
            records[_PROFILE] = _read(profile)
        named = _read(root / _COMMIT).get("did") if (root / _COMMIT).is_file() else root.name
        return (named if isinstance(named, str) and named.startswith("did:") else None), records


def posts_folder(path: Path) -> Path | None:
    """Return the folder of posts of an unpacked repository; None for another folder."""
    try:
        if path.name == POST:
            return path
        return next((at for at in (path / POST, *path.glob(f"did:*/{POST}")) if at.is_dir()), None)
    except OSError:  # no permission to enter
        return None


def _read(file: Path) -> dict[str, Any]:
    if file.stat().st_size > _MAX_RECORD_BYTES:
        raise SourceError(f"{file} is too large to be a record of Bluesky.")
    text = "".join(decode_utf8(file_chunks(file), str(file)))
    try:
        return as_dict(DECODER.decode(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise SourceError(f"{file} is not JSON; unpack the repository again.") from error
