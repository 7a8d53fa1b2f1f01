"""Read Telegram exports: the ``result.json`` of one chat or of a whole account.

A chat has messages of several people; only those of one speaker become posts. In the export of an
account that is its owner; otherwise the user names the speaker, unless only one person wrote.
Service messages (joins, pins) and forwarded messages are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import (
    hashed_id,
    is_set,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import decode_utf8, file_chunks, list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CHATS = ("chats", "left_chats")
_ENTERED = {  # key paths whose values are streamed one by one
    ("messages",),
    *((name,) for name in _CHATS),
    *((name, "list") for name in _CHATS),
    *((name, "list", ITEM) for name in _CHATS),
    *((name, "list", ITEM, "messages") for name in _CHATS),
}
_MAX_SHOWN = 10
_Person = tuple[str, str]  # the permanent id, and the name


@dataclass(frozen=True, slots=True)
class TelegramExport:
    """The messages of one person in the chats of an export, chat by chat.

    Attributes:
        path: the ``result.json``.
        speaker: the person's name, or id such as ``user123``.
        author: the name to use instead of the speaker's.
    """

    path: Path
    speaker: str | None = None
    author: str | None = None
    name: ClassVar[str] = "telegram"

    def posts(self) -> Iterator[Post]:
        """Yield every message of the person, including ones without text, such as pictures."""
        speaker_id, speaker_name = self._find_speaker()
        for position, (chat, message) in enumerate(self._messages()):
            if _person(message)[0] == speaker_id:
                yield self._post(message, chat, position, self.author or speaker_name)

    def _find_speaker(self) -> _Person:
        """Find the person whose messages are posts, in a first pass over the file."""
        counts: Counter[_Person] = Counter()
        owner = ""
        for path, value in self._values():
            if path[-1] == ITEM and isinstance(value, dict) and _is_written(value):
                counts[_person(value)] += 1
            elif path == ("personal_information",) and isinstance(value, dict):
                owner = f"user{parse_id(value.get('user_id'))}"
        if not counts:
            raise SourceError(f"{self.path} holds no messages.")
        return self._select(counts, owner)

    def _select(self, counts: Counter[_Person], owner: str) -> _Person:
        """Select the named speaker, the owner, or the only person.

        Raises:
            SourceError: nobody or several people match.
        """
        people = [person for person, _ in counts.most_common()]
        if self.speaker is not None:
            name = self.speaker.strip().removeprefix("@").casefold()
            people = [p for p in people if name in (p[0].casefold(), p[1].casefold())]
        elif any(person[0] == owner for person in people):
            people = [person for person in people if person[0] == owner]
        if len({person[0] for person in people}) == 1:
            return people[0]
        matches = Counter({person: counts[person] for person in people}) if people else counts
        raise SourceError(self._selection_error(matches, found=bool(people)))

    def _selection_error(self, counts: Counter[_Person], *, found: bool) -> str:
        top = counts.most_common(_MAX_SHOWN + 1)
        by_id = found and self.speaker is not None  # several people share the name
        shown = [f"{list_names([p[0 if by_id else 1]], 1)} ({count:,})" for p, count in top]
        people = ", ".join(shown[:_MAX_SHOWN] + ["…"] * (len(shown) > _MAX_SHOWN))
        if not found:
            name = list_names([self.speaker or ""], 1)
            return f"{self.path} has no message from {name!r}; its people are: {people}."
        return (
            f"{self.path} has messages of several people; choose one with `--from NAME`: {people}."
        )

    def _values(self) -> Iterator[tuple[tuple[str, ...], object]]:
        where = str(self.path)
        chunks = file_chunks(self.path)
        try:
            yield from tree_values(
                decode_utf8(chunks, where), where, lambda path, _: path in _ENTERED
            )
        finally:
            chunks.close()

    def _messages(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield each message with the id of its chat, which precedes the messages."""
        chat = ""
        for path, value in self._values():
            if path[-1] == "id":
                chat = parse_id(value) or ""
            elif path[-1] == ITEM and isinstance(value, dict) and _is_written(value):
                yield chat, value

    def _post(self, message: Mapping[str, object], chat: str, position: int, author: str) -> Post:
        text = parse_text(_text(message.get("text")), str(self.path))
        message_id = parse_id(message.get("id"))
        return Post(
            author=author,
            id=f"{chat}/{message_id}" if message_id else hashed_id(position, text),
            text=text,
            created_at=parse_time(message.get("date_unixtime")) or parse_time(message.get("date")),
            kind="reply" if is_set(message.get("reply_to_message_id")) else "original",
            source=self.name,
        )


def _is_written(message: Mapping[str, object]) -> bool:
    """Return whether a person wrote the message: it is neither a service message nor forwarded."""
    is_forward = any(is_set(message.get(name)) for name in ("forwarded_from", "forwarded_from_id"))
    return message.get("type") == "message" and not is_forward


def _person(message: Mapping[str, object]) -> _Person:
    """Return the id and the name of the sender; a deleted account has no name."""
    name = parse_name(message.get("from"))
    sender_id = parse_name(message.get("from_id"))
    return sender_id or name or "unknown", name or sender_id or "unknown"


def _text(value: object) -> object:
    """Join the pieces of a text; pieces with a link or in bold are objects."""
    if not isinstance(value, list):
        return value
    pieces = (piece.get("text") if isinstance(piece, dict) else piece for piece in value)
    return "".join(piece for piece in pieces if isinstance(piece, str))
