"""Choose the source for a file or folder by its extension, or by its content if ambiguous."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from huggingtweets.errors import SourceError
from huggingtweets.sources._compressed import format_of
from huggingtweets.sources._json_rows import kind_of_json
from huggingtweets.sources._signatures import what_ends_in, what_it_is
from huggingtweets.sources._text import list_names
from huggingtweets.sources._zip_member import Member
from huggingtweets.sources.bluesky_archive import BlueskyArchive, posts_folder
from huggingtweets.sources.chats.formats import open_chat_file, open_chats
from huggingtweets.sources.feeds import FEEDS, Feed
from huggingtweets.sources.files import READERS, PostFile
from huggingtweets.sources.mastodon_archive import OUTBOX, MastodonArchive
from huggingtweets.sources.safe_tar import TAR_ENDINGS
from huggingtweets.sources.safe_zip import SafeZip
from huggingtweets.sources.table_exports import files_below, open_tables
from huggingtweets.sources.telegram import TelegramExport
from huggingtweets.sources.tumblr import names_below, open_tumblr
from huggingtweets.sources.x_archive import XArchive, grailbird_author, has_tweets

if TYPE_CHECKING:
    from huggingtweets.sources._source import Source
    from huggingtweets.sources.reading import ReadOptions

SUPPORTED = (
    "an X archive (.zip, its folder or tweets.js), a Mastodon export (.zip, .tar.gz or "
    "outbox.json), a Bluesky repository (.car), an export of Instagram, Threads, Facebook, "
    f"WhatsApp, Telegram, Discord, Slack, Signal, iMessage, Reddit, LinkedIn, YouTube or Tumblr, a "
    f"feed or WordPress export (.xml), {', '.join(READERS)}, or "
    "hf:OWNER/NAME for a dataset on the Hugging Face Hub"
)
"""Supported formats, for error messages."""

_TELEGRAM = re.compile(r"(?:[^/\0-\x1f]+/)?result\.json")
_TELEGRAM_PAGE = re.compile(r"(?:[^/\0-\x1f]+/)?messages\d*\.html")
_HIDDEN = re.compile(r"(?:^|/)(?:\.|__MACOSX/)")  # what macOS adds
_MAX_SHOWN = 5
_OFFICE = (("xl/workbook.xml", ".xlsx"), ("word/document.xml", ".docx"), ("content.xml", ".ods"))
_HEAD = 4_096  # bytes


def open_path(path: Path, reading: ReadOptions) -> Source | None:
    """Find the source for an existing file or folder; None if the format is not supported.

    Raises:
        SourceError: it is damaged at its beginning, or of a kind that can't be read.
    """
    author = reading.author
    if path.suffix.lower() == ".car" or (path.is_dir() and posts_folder(path)):
        return BlueskyArchive(path, author, reading.i_am_the_author)
    return open_chats(path, reading) or (
        _open_folder(path, reading) if path.is_dir() else _open_by_extension(path, reading)
    )


def _open_by_extension(path: Path, reading: ReadOptions) -> Source | None:
    if path.name.lower().endswith(TAR_ENDINGS):
        return MastodonArchive(path, reading.author)
    if path.suffix.lower() == ".zip":
        return _open_zip(path, reading)
    extension = format_of(path)
    if extension == ".js":
        return XArchive(path, reading.author)
    if extension in FEEDS:
        return Feed(path, reading.author, reading.listen)
    if extension in READERS:
        return _open_file(path, extension, reading)
    if what := what_ends_in(path.suffix) or _what_it_begins_like(path):
        raise SourceError(f"{path} is {what}.")
    return None


def _open_folder(path: Path, reading: ReadOptions) -> Source:
    if (path / "outbox.json").is_file():
        return MastodonArchive(path, reading.author)
    if (path / "result.json").is_file():
        return TelegramExport(path / "result.json", reading)
    _check_is_no_web_page(path, [page.name for page in path.glob("messages*.html")])
    return (
        open_tables(path, files_below(path), reading)
        or open_tumblr(path, names_below(path), reading)
        or XArchive(path, reading.author)
    )


def _open_file(path: Path | Member, extension: str, reading: ReadOptions) -> Source:
    author = reading.author
    kind = kind_of_json(path) if extension == ".json" else "posts"
    if kind == "telegram":
        return _telegram(path, reading)
    if isinstance(path, Member):
        if kind == "mastodon" or open_chat_file(cast("Path", path), reading):
            raise SourceError(f"{path} is an export of its own; unpack the zip and give that file.")
    elif kind == "mastodon":
        return MastodonArchive(path, author)
    elif path.name.lower() == "tweets.csv":  # of an X archive from before 2019
        author = author or grailbird_author(path.parent)
    return PostFile(
        path,
        reading.text_column,
        author,
        i_am_the_author=reading.i_am_the_author,
        listen=reading.listen,
    )


def _open_member(member: Member, reading: ReadOptions) -> Source:
    extension = format_of(member)
    if extension in FEEDS:
        return Feed(member, reading.author, reading.listen)
    return _open_file(member, extension, reading)


def _telegram(path: Path | Member, reading: ReadOptions) -> Source:
    # It uses of a path only what files of a zip have as well; other chats use more.
    return TelegramExport(cast("Path", path), reading)


def _open_zip(path: Path, reading: ReadOptions) -> Source:
    """Find what a zip holds: a known export, or one file with posts.

    Raises:
        SourceError: it holds neither.
    """
    with closing(SafeZip(path)) as archive:
        names = archive.names()
    if any(OUTBOX.fullmatch(name) for name in names):
        return MastodonArchive(path, reading.author)
    if has_tweets(names):
        return XArchive(path, reading.author)
    if chats := [name for name in names if _TELEGRAM.fullmatch(name)]:
        return _telegram(Member(path, chats[0]), reading)
    if what := next((what_ends_in(end) for part, end in _OFFICE if part in names), None):
        raise SourceError(f"{path} is {what}.")
    files = [name for name in names if not _HIDDEN.search(name)]
    if export := open_tables(path, files, reading) or open_tumblr(path, files, reading):
        return export
    tables = [name for name in files if format_of(PurePosixPath(name)) in (*READERS, *FEEDS)]
    if len(tables) == 1:
        return _open_member(Member(path, tables[0]), reading)
    if tables:
        raise SourceError(
            f"{path} holds {len(tables):,} files that may have posts "
            f"({list_names(sorted(tables), _MAX_SHOWN)}); unpack it and give the one with posts."
        )
    if zips := [name for name in files if name.lower().endswith((".zip", *TAR_ENDINGS))]:
        raise SourceError(
            f"{path} holds another archive ({list_names(sorted(zips), _MAX_SHOWN)}); unpack it and "
            "give that one."
        )
    _check_is_no_web_page(path, files)
    return XArchive(path, reading.author)  # says what is missing


def _check_is_no_web_page(path: Path, names: list[str]) -> None:
    """Refuse an export of Telegram's as web pages.

    Raises:
        SourceError: it is one.
    """
    if any(_TELEGRAM_PAGE.fullmatch(name) for name in names):
        raise SourceError(
            f"{path} is a Telegram export as web pages; export it again with the format JSON."
        )


def _what_it_begins_like(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return what_it_is(stream.read(_HEAD))
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}.") from error
