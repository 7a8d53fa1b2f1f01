"""Read Discord: the data package (zip or folder), and a channel by DiscordChatExporter.

A data package holds only its owner's messages, a folder a channel: ``messages/c123/messages.json``
with the fields ``ID``, ``Timestamp``, ``Contents`` and ``Attachments``, or ``messages.csv`` with
these columns in older packages. Fields as public programs read them; Discord's help page "Your
Discord Data Package" names the folders only.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import display_path, open_archive, read_text
from huggingtweets.sources._csv_rows import csv_rows_from_text
from huggingtweets.sources._fields import (
    as_dict,
    author_from_filename,
    is_set,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources.chats.export import (
    FORWARDED,
    OF_BOTS,
    SYSTEM,
    ChatExport,
    Message,
    Person,
)
from huggingtweets.sources.chats.folders import open_folder
from huggingtweets.sources.chats.names import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingtweets.sources._archive_reader import ArchiveReader

# The folder of the messages has the name of the account's language.
PACKAGE_MEMBER = re.compile(r"(?:[^/]+/){1,2}c?(\d{15,20})/messages\.(json|csv)", re.IGNORECASE)
_USER = re.compile(r"(?:[^/]+/){1,2}user\.json", re.IGNORECASE)
_MENTION = re.compile(r"<@!?\d+>")
_ROLE_OR_CHANNEL = re.compile(r"<(?:@&|#)\d+>")
_EMOJI = re.compile(r"<a?(:\w+:)\d+>")
_TIMESTAMP = re.compile(r"<t:-?\d+(?::[a-zA-Z])?>")
_QUOTE = re.compile(r"^(?:>>> (?s:.*)|> .*\n?)", re.MULTILINE)
"""What is quoted of others: a line, or all that follows."""

AS_JSON = "export it again with the format JSON"
_COMMAND = re.compile(r"<(/[\w \-]+):\d+>")
_WRITTEN = frozenset({"Default", "Reply", "0", "19"})


class DiscordPackage(ChatExport):
    """The messages of a data package, channel by channel."""

    __slots__ = ()
    name: ClassVar[str] = "discord"

    def messages(self) -> Iterator[Message]:
        """Yield every message; all are the owner's."""
        with closing(self._open()) as archive:
            names = archive.names()
            parts = sorted(name for name in names if PACKAGE_MEMBER.fullmatch(name))
            users = [name for name in names if _USER.fullmatch(name)][:1]
            archive.check([*parts, *users])
            owner = self._owner(archive, users)
            for part in parts:
                match = PACKAGE_MEMBER.fullmatch(part)
                chat = match[1] if match else ""
                for row in self._rows(archive, part):
                    yield Message(
                        person=owner,
                        text=plain_text(parse_text(row.get("text"), str(self.path))),
                        time=parse_time(row.get("created_at")),
                        chat=chat,
                        id=parse_id(row.get("id")),
                    )

    def _open(self) -> ArchiveReader:
        return open_folder(self.path) if self.path.is_dir() else open_archive(self.path)

    def _owner(self, archive: ArchiveReader, users: list[str]) -> Person:
        values: dict[str, object] = {}
        for user in users:
            where = display_path(self.path, user)
            for path, value in tree_values(read_text(archive, user, where), where, _no_value):
                values[path[0]] = value
        name = parse_name(values.get("username")) or author_from_filename(self.path)
        aliases = filter(None, [parse_name(values.get("global_name"))])
        return Person(parse_id(values.get("id")) or name, name, tuple(aliases), is_owner=True)

    def _rows(self, archive: ArchiveReader, part: str) -> Iterator[Mapping[str, object]]:
        where = display_path(self.path, part)
        texts = read_text(archive, part, where)
        if part.lower().endswith(".csv"):
            yield from (row for _, row in csv_rows_from_text(texts, where, "Contents"))
            return
        for path, value in tree_values(texts, where, _no_value):
            if path == (ITEM,) and isinstance(value, dict):
                lower = {str(name).lower(): field for name, field in value.items()}
                yield {
                    "id": lower.get("id"),
                    "created_at": lower.get("timestamp"),
                    "text": lower.get("contents"),
                }


class DiscordChannel(ChatExport):
    """The messages of one person in one channel, as DiscordChatExporter writes it."""

    __slots__ = ()
    name: ClassVar[str] = "discord"

    def messages(self) -> Iterator[Message]:
        """Yield every message of the channel."""
        chat = ""
        with closing(open_archive(self.path)) as archive:
            where = str(self.path)
            texts = read_text(archive, self.path.name, where)
            for path, value in tree_values(texts, where, _is_messages):
                if path == ("channel",):
                    chat = parse_id(as_dict(value).get("id")) or ""
                elif path == ("messages", ITEM) and isinstance(value, dict):
                    yield self._message(value, chat)

    def _message(self, message: Mapping[str, object], chat: str) -> Message:
        author = as_dict(message.get("author"))
        name = parse_name(author.get("nickname")) or parse_name(author.get("name")) or "unknown"
        person = Person(
            parse_id(author.get("id")) or name,
            name,
            tuple(filter(None, [parse_name(author.get("name"))])),
        )
        kind = str(message.get("type", "Default"))
        reference = as_dict(message.get("reference"))
        reason = "" if kind in _WRITTEN else SYSTEM
        if is_set(author.get("isBot")):
            reason = OF_BOTS
        elif str(reference.get("type")) in ("1", "Forward") or is_set(
            message.get("forwardedMessage")
        ):
            reason = FORWARDED
        return Message(
            person=None if reason in (SYSTEM, OF_BOTS) else person,
            text=plain_text(parse_text(message.get("content"), str(self.path))),
            time=parse_time(message.get("timestamp")),
            chat=chat,
            id=parse_id(message.get("id")),
            kind="reply" if is_set(reference.get("messageId")) and not reason else "original",
            left_out=reason,
        )


def plain_text(text: str) -> str:
    """Return a text without quoted words and Discord's markup for mentions, emoji and times."""
    text = _QUOTE.sub("", text).strip() if ">" in text else text
    if "<" not in text:
        return text
    text = _ROLE_OR_CHANNEL.sub("", _TIMESTAMP.sub("", _MENTION.sub(MASK, text)))
    return _COMMAND.sub(r"\1", _EMOJI.sub(r"\1", text))


def _no_value(_path: tuple[str, ...], _bracket: str) -> bool:
    return False


def _is_messages(path: tuple[str, ...], bracket: str) -> bool:
    return path == ("messages",) and bracket == "["


def check_is_package(names: list[str], path: str) -> bool:
    """Return whether the files of an archive are those of a data package.

    Raises:
        SourceError: it is one without messages.
    """
    if any(PACKAGE_MEMBER.fullmatch(name) for name in names):
        return True
    if any(name.lower().endswith("messages/index.json") for name in names):
        raise SourceError(
            f"{path} is a Discord data package without messages; ask Discord for one with messages."
        )
    return False
