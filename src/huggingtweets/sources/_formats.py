"""Choose the source for a file or folder by its extension, or by its content if ambiguous."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from huggingtweets.sources._archive_reader import open_archive
from huggingtweets.sources._json_rows import kind_of_json
from huggingtweets.sources.bluesky_archive import BlueskyArchive, posts_folder
from huggingtweets.sources.chats.formats import open_chats
from huggingtweets.sources.files import READERS, PostFile
from huggingtweets.sources.mastodon_archive import OUTBOX, MastodonArchive
from huggingtweets.sources.safe_tar import TAR_ENDINGS
from huggingtweets.sources.telegram import TelegramExport
from huggingtweets.sources.x_archive import XArchive, grailbird_author

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.sources._source import Source
    from huggingtweets.sources.reading import ReadOptions

SUPPORTED = (
    "an X archive (.zip, its folder or tweets.js), a Mastodon export (.zip, .tar.gz or "
    "outbox.json), a Bluesky repository (.car), an export of Instagram, Threads, Facebook, "
    f"WhatsApp, Telegram, Discord, Slack, Signal or iMessage, {', '.join(READERS)}, or "
    "hf:OWNER/NAME for a dataset on the Hugging Face Hub"
)
"""Supported formats, for error messages."""


def open_path(path: Path, reading: ReadOptions) -> Source | None:
    """Find the source for an existing file or folder; None if the format is not supported.

    Raises:
        SourceError: it is damaged at its beginning.
    """
    author = reading.author
    if path.suffix.lower() == ".car" or (path.is_dir() and posts_folder(path)):
        return BlueskyArchive(path, author, reading.i_am_the_author)
    return open_chats(path, reading) or (
        _open_folder(path, reading) if path.is_dir() else _open_file(path, reading)
    )


def _open_file(path: Path, reading: ReadOptions) -> Source | None:
    author = reading.author
    extension = path.suffix.lower()
    if path.name.lower().endswith(TAR_ENDINGS) or (extension == ".zip" and _has_outbox(path)):
        return MastodonArchive(path, author)
    if extension in (".zip", ".js"):
        return XArchive(path, author)
    if extension == ".json":
        return _open_json(path, reading)
    if path.name.lower() == "tweets.csv":  # of an X archive from before 2019
        author = author or grailbird_author(path.parent)
    file = PostFile(path, reading.text_column, author, None, reading.i_am_the_author)
    return file if extension in READERS else None


def _open_folder(path: Path, reading: ReadOptions) -> Source:
    if (path / "outbox.json").is_file():
        return MastodonArchive(path, reading.author)
    if (path / "result.json").is_file():
        return TelegramExport(path / "result.json", reading)
    return XArchive(path, reading.author)


def _open_json(path: Path, reading: ReadOptions) -> Source:
    kind = kind_of_json(path)
    if kind == "mastodon":
        return MastodonArchive(path, reading.author)
    if kind == "telegram":
        return TelegramExport(path, reading)
    return PostFile(path, reading.text_column, reading.author, None, reading.i_am_the_author)


def _has_outbox(path: Path) -> bool:
    with closing(open_archive(path)) as archive:
        return any(OUTBOX.fullmatch(name) for name in archive.names())
