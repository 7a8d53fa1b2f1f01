"""Read iMessage: the ``.txt`` files of imessage-exporter.

A message is a line with its time, a line with its sender ("Me" for the owner), and its text up to
an empty line. Line forms as in imessage-exporter's ``exporters/txt.rs`` and its documentation.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import open_archive, read_text
from huggingtweets.sources._fields import hashed_id, parse_text
from huggingtweets.sources._text import MAX_POST_CHARS, lines
from huggingtweets.sources.chats.export import DELETED, MEDIA, SYSTEM, ChatExport, Message, Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STAMP = (
    rf"({'|'.join(_MONTHS)}) (\d{{2}}), (\d{{4}}) {{1,2}}(\d{{1,2}}):(\d{{2}}):(\d{{2}}) ([AP]M)"
)
_TIME = re.compile(rf"{_STAMP}(?: \((?:Read|Delivered) [^()]*\))?")
_ANNOUNCEMENT = re.compile(rf"{_STAMP} (?!\()\S.*")
_REPLY_TIME = re.compile(rf" {{4,}}{_STAMP}.*")
_RESPONDED = "This message responded to an earlier message."
_REMOVED = "This message was deleted from the conversation!"
_EFFECT = re.compile(r"Sent with [A-Z]\w+(?: \w+)?")
_UNSENT = re.compile(r".{1,80} unsent (?:this message part|a message)\b.*!")
_EDITED = re.compile(r"Edited .{1,60} later: (.*)", re.DOTALL)
_FILE = re.compile(
    r"(?:attachments|~?/[^\n]{0,200}/(?:Messages|Library|Attachments))/[^\n]{1,300}"
    r"|Attachment missing!?.*|Unable to locate attachment.*",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://\S+")
_OWNER = "Me"


class IMessageExport(ChatExport):
    """The messages of one person in one conversation."""

    __slots__ = ()
    name: ClassVar[str] = "imessage"

    def messages(self) -> Iterator[Message]:
        """Yield every message and announcement; replies shown again under a message are skipped."""
        people: dict[str, Person] = {}
        at: tuple[str, int] = ("", 0)
        with closing(open_archive(self.path)) as archive:
            where = str(self.path)
            numbered = lines(read_text(archive, self.path.name, where), where, MAX_POST_CHARS)
            for block in _blocks((line for _, line in numbered), where):
                at = (block[0], at[1] + 1 if block[0] == at[0] else 0)
                yield self._message(block, at[1], people)

    def _message(self, block: list[str], number: int, people: dict[str, Person]) -> Message:
        match = _TIME.fullmatch(block[0])
        time = _parse_time(match or _ANNOUNCEMENT.fullmatch(block[0]))
        if match is None or len(block) < 2:
            return Message(None, time=time, left_out=SYSTEM)
        name = block[1].strip()[:100] or "unknown"
        person = people.setdefault(name, Person(name, name, is_owner=name == _OWNER))
        body, is_reply, reason = _body(block[2:])
        return Message(
            person=person,
            text=parse_text(body, str(self.path)),
            time=time,
            id=hashed_id(number, f"{block[0][:27]}\n{body}"),
            kind="reply" if is_reply else "original",
            left_out=reason,
        )


def is_imessage(first_lines: list[str]) -> bool:
    """Return whether a text begins with a message or an announcement of imessage-exporter."""
    if not first_lines:
        return False
    first = first_lines[0]
    return bool(_ANNOUNCEMENT.fullmatch(first) or (_TIME.fullmatch(first) and first_lines[1:]))


def _blocks(texts: Iterable[str], where: str) -> Iterator[list[str]]:
    """Yield the lines of each message, its time first."""
    block: list[str] = []
    size, in_reply = 0, False
    for line in texts:
        if _TIME.fullmatch(line) or _ANNOUNCEMENT.fullmatch(line):
            if block:
                yield block
            block, size, in_reply = [line], 0, False
        elif _REPLY_TIME.fullmatch(line):
            in_reply = True
        elif block and not (in_reply and (not line or line.startswith("    "))):
            in_reply = False
            block.append(line)
            size += len(line) + 1
            if size > MAX_POST_CHARS:
                raise SourceError(
                    f"A message in {where} is over {MAX_POST_CHARS:,} characters long; remove it."
                )
    if block:
        yield block


def _body(texts: list[str]) -> tuple[str, bool, str]:
    """Return what the sender wrote, whether it is a reply, and why it is no post."""
    if "Tapbacks:" in texts:
        texts = texts[: texts.index("Tapbacks:")]
    is_reply = _RESPONDED in texts
    texts = [line for line in texts if line not in (_RESPONDED, "")] if is_reply else texts
    if _REMOVED in texts or any(map(_UNSENT.fullmatch, texts)):
        return "", is_reply, DELETED
    written = [line for line in texts if not _FILE.fullmatch(line)]
    while written and (not written[-1] or _EFFECT.fullmatch(written[-1])):
        written.pop()
    for at in reversed(range(len(written))):  # earlier versions come first
        if match := _EDITED.fullmatch(written[at]):
            written = [match[1], *written[at + 1 :]]
            break
    if written and _URL.fullmatch(written[0]):
        written = written[:1]  # the lines after it are the page's preview
    text = "\n".join(written).strip()
    return text, is_reply, MEDIA if not text and len(written) < len(texts) else ""


def _parse_time(match: re.Match[str] | None) -> datetime | None:
    if match is None:
        return None
    month, day, year, hour, minute, second, half = match.groups()[:7]
    number = _MONTHS.index(month) + 1
    clock = (int(hour) % 12 + (12 if half == "PM" else 0), int(minute), int(second))
    try:
        return datetime(int(year), number, int(day), *clock, tzinfo=UTC)
    except ValueError:
        return None
