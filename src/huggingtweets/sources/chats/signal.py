"""Read Signal: the messages of sigtop (JSON) and the lines of signal-cli (``--output=json``).

sigtop writes a file a conversation: a list of the messages as Signal Desktop stores them, with
``type`` (outgoing or incoming), ``body`` and ``sent_at``. signal-cli writes one envelope a line, at
once or as JSON-RPC; the owner's messages from other devices are in ``syncMessage.sentMessage``.
Fields as in the sources of sigtop and signal-cli.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.sources._archive_reader import open_archive, read_text
from huggingtweets.sources._fields import (
    as_dict,
    is_set,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_rows import MAX_LINE_CHARS, parse_json_line
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import lines
from huggingtweets.sources.chats.export import DELETED, SYSTEM, ChatExport, Message, Person

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OWN = "me"


class SigtopExport(ChatExport):
    """The messages of one person in one conversation."""

    __slots__ = ()
    name: ClassVar[str] = "signal"

    def messages(self) -> Iterator[Message]:
        """Yield every message; those that are outgoing are the owner's."""
        with closing(open_archive(self.path)) as archive:
            where = str(self.path)
            texts = read_text(archive, self.path.name, where)
            for path, value in tree_values(texts, where, lambda _path, _bracket: False):
                if path == (ITEM,) and isinstance(value, dict):
                    yield self._message(value)

    def _message(self, message: Mapping[str, object]) -> Message:
        kind = message.get("type")
        is_deleted = is_set(message.get("deletedForEveryone")) or is_set(message.get("isErased"))
        reason = SYSTEM if kind not in ("outgoing", "incoming") else DELETED if is_deleted else ""
        if kind == "outgoing":
            person = Person(_OWN, _OWN, is_owner=True)
        else:
            name = _first_name(message, "sourceServiceId", "sourceUuid", "source")
            person = Person(name, name)
        return Message(
            person=None if reason == SYSTEM else person,
            text=parse_text(message.get("body"), str(self.path)),
            time=parse_time(message.get("sent_at")) or parse_time(message.get("timestamp")),
            chat=parse_id(message.get("conversationId")) or "",
            id=parse_id(message.get("id")),
            kind="reply" if is_set(message.get("quote")) else "original",
            left_out=reason,
        )


class SignalCliExport(ChatExport):
    """The messages of one person among the envelopes that signal-cli received."""

    __slots__ = ()
    name: ClassVar[str] = "signal"

    def messages(self) -> Iterator[Message]:
        """Yield a message for every envelope; receipts and the like are left out."""
        with closing(open_archive(self.path)) as archive:
            where = str(self.path)
            texts = read_text(archive, self.path.name, where)
            for number, line in lines(texts, where, MAX_LINE_CHARS):
                if line.strip():
                    yield self._message(parse_json_line(line, number, self.path))

    def _message(self, row: Mapping[str, object]) -> Message:
        row = as_dict(row.get("params")) or row
        envelope, account = as_dict(row.get("envelope")), parse_name(row.get("account")) or _OWN
        sent = as_dict(as_dict(envelope.get("syncMessage")).get("sentMessage"))
        message = sent or as_dict(envelope.get("dataMessage"))
        edited = as_dict(message.get("editMessage")) or as_dict(envelope.get("editMessage"))
        if sent:
            name = parse_name(envelope.get("sourceName")) or _OWN  # no number: cards show names
            person = Person(account, name, (_OWN,), is_owner=True)
        else:
            name = _first_name(envelope, "sourceName", "sourceNumber", "source", "sourceUuid")
            known = _first_name(envelope, "sourceUuid", "sourceNumber", "source", "sourceName")
            person = Person(known, name, is_owner=known == account)
        reason = SYSTEM
        if is_set(message.get("remoteDelete")):
            reason = DELETED
        elif message.get("message") is not None and not edited:
            reason = ""
        stamp = parse_id(message.get("timestamp")) or parse_id(envelope.get("timestamp"))
        group = parse_id(as_dict(message.get("groupInfo")).get("groupId"))
        other = group or (parse_id(message.get("destination")) if sent else person.id)
        return Message(
            person=None if reason == SYSTEM else person,
            text=parse_text(message.get("message"), str(self.path)),
            time=parse_time(stamp),
            chat=other or "",
            id=stamp,
            kind="reply" if is_set(message.get("quote")) else "original",
            left_out=reason,
        )


def _first_name(fields: Mapping[str, object], *names: str) -> str:
    return next(filter(None, (parse_name(fields.get(name)) for name in names)), "unknown")
