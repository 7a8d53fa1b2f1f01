"""What all exports of chats share.

Chats are private, and most of what they hold was written by others. So one person is chosen, only
that person's messages become posts, everything else is counted, and the names of the others are
masked in the posts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError, SpeakerError
from huggingtweets.events import Event
from huggingtweets.privacy.deleted_posts import JOINED
from huggingtweets.sources._fields import hashed_id
from huggingtweets.sources._text import MAX_POST_CHARS, list_names
from huggingtweets.sources.chats.names import NameMask, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from huggingtweets.data.posts import Kind
    from huggingtweets.sources.reading import ReadOptions

CHATS = frozenset(
    {"telegram", "whatsapp", "discord", "meta-messages", "signal", "imessage", "slack"}
)
"""The sources, as in ``Post.source``, whose posts are messages of chats."""

OF_OTHERS = "of other people"
SYSTEM = "system lines"
FORWARDED = "forwarded"
DELETED = "deleted"
MEDIA = "pictures, sounds and files"
OF_BOTS = "of bots"
JOINED_MESSAGES = "joined to the message before"

_JOIN_WITHIN = timedelta(minutes=2)
_MOST_JOINED = 10  # keeps the joined id short, and one monologue from becoming one post
_MAX_SHOWN = 10
_MAX_REPORTED = 200
_MAX_NAME = 100  # characters


@dataclass(frozen=True, slots=True)
class Person:
    """Who wrote a message.

    Attributes:
        id: permanent, or the name if the export has no ids.
        name: as the chat shows it.
        aliases: other names of the same person.
        is_owner: whether the export belongs to this person.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    is_owner: bool = False

    def is_called(self, name: str) -> bool:
        """Return whether a name, as of :func:`spoken`, is one of this person's."""
        return name in map(spoken, (self.id, self.name, *self.aliases))


@dataclass(frozen=True, slots=True)
class Message:
    """One record of an export.

    Attributes:
        person: who wrote it; None for what no person wrote.
        text: with entities and links.
        time: with a time zone; UTC if the export has none.
        chat: that it belongs to; part of the post's id unless empty.
        id: unique in its chat; None if the export has none.
        kind: original, reply or quote.
        left_out: why it is not a post, such as :data:`SYSTEM`; empty if it is one.
    """

    person: Person | None
    text: str = ""
    time: datetime | None = None
    chat: str = ""
    id: str | None = None
    kind: Kind = "original"
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class ChatExport(ABC):
    """The messages of one person in an export, in its order.

    Attributes:
        path: of the export.
        reading: whose messages are read, and how.
        left_out: number of records that were left out at the last reading, by reason.
    """

    path: Path
    reading: ReadOptions
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str]
    has_speakers: ClassVar[bool] = True

    @abstractmethod
    def messages(self) -> Iterator[Message]:
        """Yield every record of the export, in order and the same each time."""

    def posts(self) -> Iterator[Post]:
        """Yield every message of the person, including ones without text."""
        self.left_out.clear()
        people, counts = self._people()
        speaker = self._find_speaker(
            [people[person_id] for person_id, _ in counts.most_common()], counts
        )
        others = [person for person in people.values() if person.id != speaker.id]
        mask = None if self.reading.keep_names else NameMask.of(speaker, others)
        author = self.reading.author or spoken(speaker.name, fold=False) or speaker.id
        posts = self._own_posts(speaker, author)
        for post in self._joined(posts) if self.reading.join else (p for p, _ in posts):
            yield replace(post, text=mask(post.text)) if mask else post

    def _people(self) -> tuple[dict[str, Person], Counter[str]]:
        """Return everybody in the export and how many messages each wrote, in a first pass."""
        people: dict[str, Person] = {}
        counts: Counter[str] = Counter()
        for message in self.messages():
            if message.person is not None:
                people.setdefault(message.person.id, message.person)
                counts[message.person.id] += not message.left_out
        return people, +counts

    def _find_speaker(self, ranked: list[Person], counts: Counter[str]) -> Person:
        """Find the person whose messages are posts.

        Args:
            ranked: everybody who wrote, most messages first.
            counts: of messages by the people's ids.

        Raises:
            SourceError: nobody or several people match.
        """
        if not ranked:
            raise SourceError(f"{self.path} holds no messages.")
        chosen = ranked
        if self.reading.speaker is not None:
            name = spoken(self.reading.speaker)
            chosen = [person for person in ranked if person.is_called(name)]
        elif any(person.is_owner for person in ranked):
            chosen = [person for person in ranked if person.is_owner]
        if len(chosen) == 1:
            return chosen[0]
        self._report(ranked, counts)
        raise SpeakerError(self._selection_error(chosen or ranked, counts, found=bool(chosen)))

    def _report(self, ranked: list[Person], counts: Counter[str]) -> None:
        """Tell who may be chosen, by name, or by id where two share a name."""
        names = Counter(spoken(person.name) for person in ranked)
        people = {
            (p.name if names[spoken(p.name)] == 1 else p.id)[:_MAX_NAME]: counts[p.id]
            for p in ranked[:_MAX_REPORTED]
        }
        self.reading.listen(Event(stage="read", people=people))

    def _selection_error(self, people: list[Person], counts: Counter[str], *, found: bool) -> str:
        by_id = found and self.reading.speaker is not None  # several people share the name
        shown = [
            f"{list_names([p.id if by_id else p.name], 1)} ({counts[p.id]:,})"
            for p in people[:_MAX_SHOWN]
        ]
        names = ", ".join(shown + ["…"] * (len(people) > _MAX_SHOWN))
        if not found:
            name = list_names([self.reading.speaker or ""], 1)
            return f"{self.path} has no message from {name!r}; its people are: {names}."
        return (
            f"{self.path} has messages of several people; choose one with `--from NAME`: {names}."
        )

    def _own_posts(self, speaker: Person, author: str) -> Iterator[tuple[Post, bool]]:
        """Yield the posts, and whether nobody else wrote in the chat since the one before."""
        last_chat, follows = "", False
        for position, message in enumerate(self.messages()):
            if message.chat != last_chat:
                last_chat, follows = message.chat, False
            if message.person is not None and message.person.id != speaker.id:
                self.left_out[OF_OTHERS] += 1
                follows = False
            elif message.left_out or message.person is None:
                self.left_out[message.left_out or SYSTEM] += 1
            else:
                yield self._post(message, position, author), follows
                follows = True

    def _post(self, message: Message, position: int, author: str) -> Post:
        chat = f"{message.chat}/" if message.chat else ""
        return Post(
            author=author,
            id=f"{chat}{message.id}" if message.id else hashed_id(position, message.text),
            text=message.text,
            created_at=message.time,
            kind=message.kind,
            source=self.name,
        )

    def _joined(self, posts: Iterable[tuple[Post, bool]]) -> Iterator[Post]:
        """Join messages that follow each other within two minutes."""
        block: list[Post] = []
        for post, follows in posts:
            if block and follows and _continues(block, post):
                self.left_out[JOINED_MESSAGES] += 1
                block.append(post)
                continue
            if block:
                yield _as_one(block)
            block = [post]
        if block:
            yield _as_one(block)


def _continues(block: list[Post], post: Post) -> bool:
    last = block[-1].created_at
    if last is None or post.created_at is None or len(block) >= _MOST_JOINED:
        return False
    size = sum(len(part.text) + 1 for part in block) + len(post.text)
    return timedelta(0) <= post.created_at - last <= _JOIN_WITHIN and size <= MAX_POST_CHARS


def _as_one(block: list[Post]) -> Post:
    if len(block) == 1:
        return block[0]
    text = "\n".join(post.text for post in block if post.text)
    return replace(block[0], id=JOINED.join(post.id for post in block), text=text)
