"""Read a Slack export: the zip or its folder.

It holds ``users.json`` (``org_users.json`` in an Enterprise Grid), ``channels.json`` (also
``groups.json``, ``dms.json`` and ``mpims.json``), and a folder a channel with a file a day,
``general/2021-02-03.json``. Names of files and fields as in Slack's help page "How to read Slack
data exports"; subtypes as Slack's API calls them.
"""

from __future__ import annotations

import re
from contextlib import closing
from html import unescape
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import display_path, open_archive, read_text
from huggingtweets.sources._fields import (
    as_dict,
    is_set,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
)
from huggingtweets.sources._json_tree import ITEM, tree_values
from huggingtweets.sources.chats.export import DELETED, OF_BOTS, SYSTEM, ChatExport, Message, Person
from huggingtweets.sources.chats.folders import open_folder
from huggingtweets.sources.chats.names import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingtweets.sources._archive_reader import ArchiveReader

_DAY = re.compile(r"(?:(?:[^/]+/)?)([^/]+)/\d{4}-\d{2}-\d{2}\.json")
_USERS = re.compile(r"(?:[^/]+/)?(?:org_)?users\.json")
_MENTION = re.compile(r"<@[UWB][A-Z0-9]+(?:\|[^<>]*)?>")
_CHANNEL = re.compile(r"<#[CG][A-Z0-9]+(?:\|([^<>]*))?>")
_SPECIAL = re.compile(r"<!(?:here|channel|everyone|subteam\^[A-Z0-9]+)(?:\|[^<>]*)?>")
_DATE = re.compile(r"<!date\^[^<>|]*\|([^<>]*)>")
_LINK = re.compile(r"<((?:https?|mailto|tel):[^<>|\s]+)(?:\|([^<>]*))?>")
# Subtypes whose text a person wrote; every other is Slack's own (channel_join, channel_topic, ...).
_WRITTEN = frozenset({"", "thread_broadcast", "me_message", "file_share", "reply_broadcast"})


class SlackExport(ChatExport):
    """The messages of one person in all channels of an export."""

    __slots__ = ()
    name: ClassVar[str] = "slack"

    def messages(self) -> Iterator[Message]:
        """Yield every message, channel by channel and day by day."""
        with closing(self._open()) as archive:
            names = archive.names()
            days = sorted(name for name in names if _DAY.fullmatch(name))
            users = [name for name in names if _USERS.fullmatch(name)][:1]
            if not days:
                raise SourceError(f"{self.path} is a Slack export without messages.")
            archive.check([*days, *users])
            people = {person.id: person for user in users for person in self._users(archive, user)}
            for day in days:
                match = _DAY.fullmatch(day)
                chat = match[1] if match else ""
                for message in self._items(archive, day):
                    yield self._message(message, chat, people)

    def _open(self) -> ArchiveReader:
        return open_folder(self.path) if self.path.is_dir() else open_archive(self.path)

    def _items(self, archive: ArchiveReader, name: str) -> Iterator[dict[str, object]]:
        where = display_path(self.path, name)
        for path, value in tree_values(
            read_text(archive, name, where), where, lambda _path, _bracket: False
        ):
            if path == (ITEM,) and isinstance(value, dict):
                yield value

    def _users(self, archive: ArchiveReader, name: str) -> Iterator[Person]:
        for user in self._items(archive, name):
            user_id = parse_id(user.get("id"))
            if user_id is not None:
                yield _as_person(user_id, user, as_dict(user.get("profile")))

    def _message(
        self, message: Mapping[str, object], chat: str, people: Mapping[str, Person]
    ) -> Message:
        user_id = parse_id(message.get("user"))
        reason = _reason(message)
        person = None
        if user_id is not None and reason not in (SYSTEM, OF_BOTS):
            profile = as_dict(message.get("user_profile"))
            person = people.get(user_id) or _as_person(user_id, profile, profile)
        stamp, thread = parse_id(message.get("ts")), parse_id(message.get("thread_ts"))
        return Message(
            person=person,
            text=plain_text(parse_text(message.get("text"), str(self.path))),
            time=parse_time(stamp),
            chat=chat,
            id=stamp,
            kind="reply" if thread and thread != stamp else "original",
            left_out=reason or ("" if person else SYSTEM),
        )


def _reason(message: Mapping[str, object]) -> str:
    named = message.get("subtype")
    subtype = named if isinstance(named, str) else ""
    if subtype == "bot_message" or is_set(message.get("bot_id")):
        return OF_BOTS
    if subtype == "tombstone" or is_set(message.get("hidden")):
        return DELETED
    return "" if subtype in _WRITTEN and message.get("type", "message") == "message" else SYSTEM


def _as_person(user_id: str, user: Mapping[str, object], profile: Mapping[str, object]) -> Person:
    """Return a person, with the name that Slack shows first."""
    values = (
        *(profile.get("display_name"), profile.get("real_name"), user.get("real_name")),
        *(user.get("name"), profile.get("first_name")),
    )
    names = [name for name in map(parse_name, values) if name]
    return Person(user_id, names[0] if names else user_id, tuple(dict.fromkeys(names)))


def plain_text(text: str) -> str:
    """Return a text without Slack's markup: mentions, channels, links, and three entities."""
    if "<" in text:
        text = _SPECIAL.sub("", _DATE.sub(r"\1", _MENTION.sub(MASK, text)))
        text = _CHANNEL.sub(lambda match: f"#{match[1]}" if match[1] else "", text)
        text = _LINK.sub(_link, text)
    return unescape(text) if "&" in text else text


def _link(match: re.Match[str]) -> str:
    """Return the words of a link, or its address if it has none of its own."""
    address, words = match[1], match[2]
    is_web = address.startswith("http")
    if words and (not is_web or words not in address):
        return words
    return address if is_web else address.partition(":")[2]


def is_slack(names: list[str]) -> bool:
    """Return whether the files of an archive are those of a Slack export."""
    return any(_USERS.fullmatch(name) for name in names) and any(map(_DAY.fullmatch, names))
