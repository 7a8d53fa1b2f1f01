"""Recognise exports of chats, and those of Meta, by their files and their first lines or fields."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from huggingtweets.errors import SourceError
from huggingtweets.sources import meta
from huggingtweets.sources._archive_reader import open_archive
from huggingtweets.sources._compressed import format_of
from huggingtweets.sources._json_reader import JsonReader
from huggingtweets.sources._json_rows import MAX_LINE_CHARS
from huggingtweets.sources._text import MAX_POST_CHARS, decode_utf8, file_chunks, lines
from huggingtweets.sources.chats.discord import (
    AS_JSON,
    DiscordChannel,
    DiscordPackage,
    check_is_package,
)
from huggingtweets.sources.chats.folders import open_folder
from huggingtweets.sources.chats.imessage import IMessageExport, is_imessage
from huggingtweets.sources.chats.signal import SignalCliExport, SigtopExport
from huggingtweets.sources.chats.slack import SlackExport, is_slack
from huggingtweets.sources.chats.whatsapp import WhatsAppExport, is_chat_name, is_whatsapp

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.sources._source import Source
    from huggingtweets.sources.reading import ReadOptions

_HEAD_LINES = 5
_HEAD_FIELDS = 20
_OTHERS = ("outbox.json", "result.json", "data", "tweets.js", "tweet.js", "tweets.csv")
_SIGTOP = frozenset({"conversationId", "type", "sent_at"})


def open_chats(path: Path, reading: ReadOptions) -> Source | None:
    """Find the source for an export of chats or of Meta; None for any other file or folder.

    Raises:
        SourceError: it is damaged at its beginning.
    """
    extension = format_of(path)
    if path.is_dir():
        if any((path / name).exists() for name in _OTHERS):
            return None
        if texts := [text for text in sorted(path.glob("*.txt")) if is_chat_name(text.name)]:
            return _open_text(texts[0], reading)
        return _open_files(open_folder(path).names(), path, reading)
    if extension == ".zip":
        with closing(open_archive(path)) as archive:
            return _open_files(archive.names(), path, reading)
    return open_chat_file(path, reading)


def open_chat_file(path: Path, reading: ReadOptions) -> Source | None:
    """Find the source for a single file, as :func:`open_chats` does."""
    extension = format_of(path)
    by_content = {".txt": _open_text, ".json": _open_json, ".jsonl": _open_lines}
    open_one = by_content.get(".jsonl" if extension == ".ndjson" else extension)
    return open_one(path, reading) if open_one else None


def _open_files(names: list[str], path: Path, reading: ReadOptions) -> Source | None:
    if any(map(is_chat_name, names)) and not path.is_dir():
        return WhatsAppExport(path, reading)
    if is_slack(names):
        return SlackExport(path, reading)
    if meta.is_meta(names, path):
        return meta.MetaExport(path, reading)
    if check_is_package(names, str(path)):
        return DiscordPackage(path, reading)
    return None


def _open_text(path: Path, reading: ReadOptions) -> Source | None:
    head = _first_lines(path, MAX_POST_CHARS)
    if is_whatsapp(head):
        return WhatsAppExport(path, reading)
    if is_imessage(head):
        return IMessageExport(path, reading)
    if len(head) > 1 and set(head[0]) == {"="} and head[1].startswith("Guild: "):
        raise SourceError(f"{path} is a channel of Discord as text; {AS_JSON}.")
    if is_chat_name(path.name):  # as plain text, other people's words would be learnt
        raise SourceError(
            f"{path} is named like a WhatsApp chat, but begins like none that is known; rename it "
            "if it has one post a line."
        )
    return None


def _open_json(path: Path, reading: ReadOptions) -> Source | None:
    names, item = _head(path)
    if {"guild", "channel"} <= names:
        return DiscordChannel(path, reading)
    if "envelope" in names or ("params" in names and "jsonrpc" in names):
        return SignalCliExport(path, reading)
    if not names and item.keys() >= _SIGTOP:
        return SigtopExport(path, reading)
    if "participants" in names and "messages" in names:
        return meta.MetaMessages(path, reading)
    return meta.MetaExport(path, reading) if meta.is_item(names, item) else None


def _open_lines(path: Path, reading: ReadOptions) -> Source | None:
    is_signal = any('"envelope"' in line for line in _first_lines(path, MAX_LINE_CHARS))
    return SignalCliExport(path, reading) if is_signal else None


def _first_lines(path: Path, max_chars: int) -> list[str]:
    head: list[str] = []
    with closing(file_chunks(path)) as chunks:
        for number, line in lines(decode_utf8(chunks, str(path)), str(path), max_chars):
            head.append(line)
            if number >= _HEAD_LINES:
                break
    return head


def _head(path: Path) -> tuple[set[str], dict[str, object]]:
    """Return the names of a document's first fields, and the first object of its list.

    It is read up to that object. What can't be read is left to the source to report.
    """
    names: set[str] = set()
    try:
        with closing(file_chunks(path)) as chunks:
            reader = JsonReader(decode_utf8(chunks, str(path)), str(path))
            mark = reader.peek()
            if mark == "[":
                return names, _first_item(reader)
            reader.skip()
            more = mark == "{" and reader.peek() != "}"
            while more and len(names) < _HEAD_FIELDS:
                name = reader.key()
                names.add(name)
                if reader.peek() == "[" and name not in ("participants", "@context"):
                    return names, _first_item(reader)
                reader.value()
                more = reader.next_item("}")
    except SourceError:
        pass
    return names, {}


def _first_item(reader: JsonReader) -> dict[str, object]:
    reader.skip()
    item = reader.value() if reader.peek() == "{" else None
    return item if isinstance(item, dict) else {}
