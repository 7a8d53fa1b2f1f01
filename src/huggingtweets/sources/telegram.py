"""Read Telegram exports: the ``result.json`` of one chat or of a whole account.

In the export of an account its owner is read unless another person is named. Service messages
(joins, pins), forwarded messages, those of inline bots and the chat with oneself (Saved Messages)
are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.sources._fields import is_set, parse_id, parse_name, parse_text, parse_time
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import decode_utf8, file_chunks
from huggingtweets.sources.chats.export import (
    FORWARDED,
    OF_BOTS,
    SYSTEM,
    ChatExport,
    Message,
    Person,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHATS = ("chats", "left_chats")
_ENTERED = {  # key paths whose values are streamed one by one
    ("messages",),
    *((name,) for name in _CHATS),
    *((name, "list") for name in _CHATS),
    *((name, "list", ITEM) for name in _CHATS),
    *((name, "list", ITEM, "messages") for name in _CHATS),
}
_FORWARDED = ("forwarded_from", "forwarded_from_id", "saved_from")
_TO_ONESELF = "notes to oneself"


class TelegramExport(ChatExport):
    """The messages of one person in the chats of a ``result.json``, chat by chat."""

    __slots__ = ()
    name: ClassVar[str] = "telegram"

    def messages(self) -> Iterator[Message]:
        """Yield every message with the id of its chat, which precedes the messages."""
        chat = owner = kind_of_chat = ""
        for path, value in self._values():
            if path == ("personal_information",) and isinstance(value, dict):
                owner = f"user{parse_id(value.get('user_id'))}"
            elif path[-1] == "id":
                chat = parse_id(value) or ""
            elif path[-1] == "type" and len(path) > 1:  # a chat that was exported alone is wanted
                kind_of_chat = str(value)
            elif path[-1] == ITEM and isinstance(value, dict) and "type" in value:
                message = self._message(value, chat, owner)
                is_note = kind_of_chat == "saved_messages" and not message.left_out
                yield replace(message, left_out=_TO_ONESELF) if is_note else message

    def _values(self) -> Iterator[tuple[tuple[str, ...], object]]:
        where = str(self.path)
        chunks = file_chunks(self.path)
        try:
            yield from tree_values(
                decode_utf8(chunks, where), where, lambda path, _: path in _ENTERED
            )
        finally:
            chunks.close()

    def _message(self, message: Mapping[str, object], chat: str, owner: str) -> Message:
        return Message(
            person=_person(message, owner) if message.get("type") == "message" else None,
            text=parse_text(_text(message.get("text")), str(self.path)),
            time=parse_time(message.get("date_unixtime")) or parse_time(message.get("date")),
            chat=chat,
            id=parse_id(message.get("id")),
            kind="reply" if is_set(message.get("reply_to_message_id")) else "original",
            left_out=_reason(message),
        )


def _reason(message: Mapping[str, object]) -> str:
    """Return why a message is not its sender's own; presence counts, a hidden sender is null."""
    if message.get("type") != "message":
        return SYSTEM
    if any(name in message for name in _FORWARDED):
        return FORWARDED
    return OF_BOTS if "via_bot" in message else ""


def _person(message: Mapping[str, object], owner: str) -> Person:
    """Return the sender; a deleted account has no name."""
    name = parse_name(message.get("from"))
    sender_id = parse_name(message.get("from_id"))
    known = sender_id or name or "unknown"
    return Person(known, name or known, is_owner=known == owner)


def _text(value: object) -> object:
    """Join the pieces of a text; pieces with a link or in bold are objects."""
    if not isinstance(value, list):
        return value
    pieces = (piece.get("text") if isinstance(piece, dict) else piece for piece in value)
    return "".join(piece for piece in pieces if isinstance(piece, str))
