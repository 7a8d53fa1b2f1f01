"""Telegram exports: the ``result.json`` of one chat or of a whole account.

A chat holds what several people wrote; only the messages of one are posts. In the export of an
account that is its owner; elsewhere it has to be said who, unless only one person wrote. Service
messages (who joined, what was pinned) and forwarded ones, which somebody else wrote, are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import id_of, is_set, made_id, name_of, text_of, time_of
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources._text import decoded, file_chunks, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CHATS = ("chats", "left_chats")
_ENTERED = {
    ("messages",),
    *((name,) for name in _CHATS),
    *((name, "list") for name in _CHATS),
    *((name, "list", ITEM) for name in _CHATS),
    *((name, "list", ITEM, "messages") for name in _CHATS),
}
_SHOWN_PEOPLE = 10
_Person = tuple[str, str]  # the id, which stays, and the name


@dataclass(frozen=True, slots=True)
class TelegramExport:
    """What one person wrote in the chats of an export, chat by chat.

    Attributes:
        path: the ``result.json``.
        speaker: the name (or the id such as ``user123``) of the one whose messages are posts.
        author: the name to use instead of the speaker's.
    """

    path: Path
    speaker: str | None = None
    author: str | None = None
    name: ClassVar[str] = "telegram"

    def posts(self) -> Iterator[Post]:
        """Yield every message the person wrote, also one without text, as with a picture."""
        chosen = self._choose()
        for number, (chat, message) in enumerate(self._messages()):
            if _person(message)[0] == chosen[0]:
                yield self._post(message, chat, number, self.author or chosen[1])

    def _choose(self) -> _Person:
        """Find the one whose messages are posts; the file is read once for it."""
        counts: Counter[_Person] = Counter()
        owner = ""
        for path, value in self._values():
            if path[-1] == ITEM and isinstance(value, dict) and _is_written(value):
                counts[_person(value)] += 1
            elif path == ("personal_information",) and isinstance(value, dict):
                owner = f"user{id_of(value.get('user_id'))}"
        if not counts:
            raise SourceError(f"{self.path} holds no messages.")
        return self._only(counts, owner)

    def _only(self, counts: Counter[_Person], owner: str) -> _Person:
        people = [person for person, _ in counts.most_common()]
        if self.speaker is not None:
            wanted = self.speaker.strip().removeprefix("@").casefold()
            people = [p for p in people if wanted in (p[0].casefold(), p[1].casefold())]
        elif any(person[0] == owner for person in people):
            people = [person for person in people if person[0] == owner]
        if len({person[0] for person in people}) == 1:
            return people[0]
        alike = Counter({person: counts[person] for person in people}) if people else counts
        raise SourceError(self._question(alike, found=bool(people)))

    def _question(self, counts: Counter[_Person], *, found: bool) -> str:
        most = counts.most_common(_SHOWN_PEOPLE + 1)
        by_id = found and self.speaker is not None  # several people of one name
        shown = [f"{listed([p[0 if by_id else 1]], 1)} ({count:,})" for p, count in most]
        people = ", ".join(shown[:_SHOWN_PEOPLE] + ["…"] * (len(shown) > _SHOWN_PEOPLE))
        if not found:
            wanted = listed([self.speaker or ""], 1)
            return f"{self.path} holds no message from {wanted!r}; those who wrote: {people}."
        return (
            f"{self.path} holds messages of several people; choose one by `--from NAME`: {people}."
        )

    def _values(self) -> Iterator[tuple[tuple[str, ...], object]]:
        where = str(self.path)
        chunks = file_chunks(self.path)
        try:
            yield from tree_values(decoded(chunks, where), where, lambda path, _: path in _ENTERED)
        finally:
            chunks.close()

    def _messages(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield each message with the id of its chat, which stands before its messages."""
        chat = ""
        for path, value in self._values():
            if path[-1] == "id":
                chat = id_of(value) or ""
            elif path[-1] == ITEM and isinstance(value, dict) and _is_written(value):
                yield chat, value

    def _post(self, message: Mapping[str, object], chat: str, position: int, author: str) -> Post:
        text = text_of(_text(message.get("text")), str(self.path))
        number = id_of(message.get("id"))
        return Post(
            author=author,
            id=f"{chat}/{number}" if number else made_id(position, text),
            text=text,
            created_at=time_of(message.get("date_unixtime")) or time_of(message.get("date")),
            kind="reply" if is_set(message.get("reply_to_message_id")) else "original",
            source=self.name,
        )


def _is_written(message: Mapping[str, object]) -> bool:
    """Tell a message that somebody wrote from a service message and from a forwarded one."""
    forwarded = any(is_set(message.get(name)) for name in ("forwarded_from", "forwarded_from_id"))
    return message.get("type") == "message" and not forwarded


def _person(message: Mapping[str, object]) -> _Person:
    """Return the id and the name of the one who wrote; a deleted account has no name."""
    name = name_of(message.get("from"))
    number = name_of(message.get("from_id"))
    return number or name or "unknown", name or number or "unknown"


def _text(value: object) -> object:
    """Join the pieces of a text, of which those with a link or in bold are objects."""
    if not isinstance(value, list):
        return value
    pieces = (piece.get("text") if isinstance(piece, dict) else piece for piece in value)
    return "".join(piece for piece in pieces if isinstance(piece, str))
