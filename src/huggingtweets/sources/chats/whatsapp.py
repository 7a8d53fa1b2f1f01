"""Read WhatsApp exports: ``_chat.txt`` (iOS), ``WhatsApp Chat with X.txt`` (Android), or the zip.

An export has no fixed format: dates, times and the lines that WhatsApp writes itself follow the
language and the settings of the phone. So a date's order is found out from all dates of the file,
and the lines of WhatsApp are told by the marks around them where there are any: iOS puts a
left-to-right mark before each, Android writes ``<Media omitted>`` in its language.

WhatsApp documents none of this. English, German, Portuguese and Finnish forms were seen in what
public parsers of exports document; those of other languages are from knowledge of the phones and
were not checked against an export.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.errors import SourceError
from huggingtweets.sources._archive_reader import display_path, open_archive
from huggingtweets.sources._fields import hashed_id, parse_text
from huggingtweets.sources._text import MAX_POST_CHARS, decode_utf8, lines
from huggingtweets.sources.chats.export import (
    DELETED,
    MEDIA,
    SYSTEM,
    ChatExport,
    Message,
    Person,
)
from huggingtweets.sources.chats.names import INVISIBLE, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LRM = "\u200e"
_MARKS = ("\u200e", "\u200f")
_FILE_AT_END = re.compile("[\u200e\u200f][^\u200e\u200f\n]{3,100}$")
"""What iOS writes for a file after its caption, in any language."""

_DOCUMENT = re.compile(r"\.\w{1,5} • [^\n]+$")
_SPACE = "[ \u00a0\u202f]"
# Arabic and Hebrew phones write a mark of direction before each slash.
_DATE = (
    r"(?P<a>\d{1,4})[\u200e\u200f]?(?P<sep>[./\-]|\. )"
    r"(?P<b>\d{1,2})[\u200e\u200f]?(?:[./\-]|\. )(?P<c>\d{1,4})\.?"
)
_HALF = r"(?P<half>[^\W\d_]{1,2}\.?(?:" + _SPACE + r"?[^\W\d_]{1,2}\.?)?)"  # AM, p. m., 下午, م
_TIME = (
    rf"(?:(?P<before>[^\W\d_]{{1,4}}){_SPACE}?)?"
    rf"(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}}))?(?:{_SPACE}?{_HALF})?"
)
_STAMP = rf"{_DATE}(?:[,،]?{_SPACE}+|,){_TIME}"
# "à 23:59" and "klo 23.59" are read by `before`.
_IOS = re.compile(rf"\[{_STAMP}\]{_SPACE}?(?P<rest>.*)")
_ANDROID = re.compile(rf"{_STAMP}{_SPACE}[-–]{_SPACE}(?P<rest>.*)")
_MAY_BEGIN = re.compile("[\u200e\u200f\u202a-\u202e\ufeff]*\\[?\\d")
_DIRECTION = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff"
_SENDER = re.compile(r"([^:\"“”„«]{1,80}?):(?: |$)")  # a system line quotes names that have a colon
_PM = frozenset({"pm", "p", "μμ", "下午", "오후", "午後", "م", "晚上", "中午", "du", "nm", "ch"})
_AM = frozenset({"am", "a", "πμ", "上午", "오전", "午前", "ص", "凌晨", "早上", "de", "fm", "sa"})

# Android writes "<Media omitted>" in its language, or the name of the file and "(file attached)". A
# caption follows on the next lines.
_OMITTED = re.compile(r"<[^<>\n]{3,60}>(?:\n|$)")
_ATTACHED = re.compile(
    r"[^\n]{1,200}\.(?:jpe?g|png|webp|gif|mp4|3gp|mov|opus|m4a|mp3|aac|amr|ogg|pdf|vcf|docx?|xlsx?"
    r"|pptx?|zip|apk|txt|heic|thumb) \([^()\n]{3,40}\)(?:\n|$)",
    re.IGNORECASE,
)
# iOS writes "image omitted" after a left-to-right mark; some phones leave the mark out.
_IOS_OMITTED = re.compile(
    "(?:image|video|audio|GIF|sticker|document|Contact card|video note) omitted"
    "|(?:Bild|Video|Audio|GIF|Sticker|Dokument|Kontaktkarte) weggelassen"
    "|(?:imagen|Video|audio|GIF|sticker|documento|Tarjeta de contacto) omitid[oa]"
    "|(?:image|vidéo|audio|GIF|sticker|document|Fiche contact) absente?|(?:image|vidéo) omise"
    "|(?:immagine|video|audio|GIF|sticker|documento|scheda contatto) omess[oa]"
    "|(?:imagem|vídeo|áudio|GIF|figurinha|documento) (?:ocultad|omitid)[oa]"
    "|(?:afbeelding|video|audio|GIF|sticker|document|contactkaart) weggelaten",
    re.IGNORECASE,
)
_IS_PLACE = re.compile(r"[^\n:]{3,40}: https://maps\.google\.com/\?q=\S+")
_IS_DELETED = re.compile(
    r"(?:This message was deleted|You deleted this message|This message was deleted by admin .*"
    "|Diese Nachricht wurde gelöscht|Du hast diese Nachricht gelöscht"
    "|Se eliminó este mensaje|Eliminaste este mensaje|Este mensaje fue eliminado"
    "|Este mensaje se eliminó|Mensagem apagada|Você apagou esta mensagem"
    "|Esta mensagem foi apagada|Apagou esta mensagem|Ce message a été supprimé"
    "|Vous avez supprimé ce message|Questo messaggio è stato eliminato"
    "|Hai eliminato questo messaggio|Dit bericht (?:is|werd) verwijderd"
    "|Je hebt dit bericht verwijderd|U hebt dit bericht verwijderd"
    "|Данное сообщение удалено|Вы удалили данное сообщение|Bu mesaj silindi|Bu mesajı sildiniz"
    r"|Wiadomość usunięta|Usunięto tę wiadomość)\.?",
    re.IGNORECASE,
)
_IS_SYSTEM = re.compile(
    r"(?:null|Missed (?:voice|video) call.*|Verpasster (?:Sprach|Video)anruf.*"
    r"|Live location shared|Waiting for this message.*|You missed a call.*"
    r"|(?:POLL|UMFRAGE|ENCUESTA|ENQUETE|SONDAGE|SONDAGGIO|PEILING|ОПРОС|ANKET|ANKIETA)\s?:\n.*)",
    re.IGNORECASE | re.DOTALL,
)
# After the text: "<This message was edited>", and on iOS the attached file.
_TAIL = re.compile(r"(?:\s*\u200e<[^<>\n]{3,100}>)+\s*$")
_EDITED = re.compile(
    r"\s*<(?:This message was edited|Diese Nachricht wurde bearbeitet|Se editó este mensaje"
    r"|Mensagem editada|Esta mensagem foi editada|Ce message a été modifié"
    r"|Questo messaggio è stato modificato|Dit bericht is bewerkt|Данное сообщение изменено"
    r"|Bu mesaj düzenlendi)\.?>\s*$",
    re.IGNORECASE,
)
_LONGEST_LINE = 500
"""Characters of what WhatsApp writes itself, a file's name included."""
_ORDERS = ("dmy", "mdy", "ymd")
_MOST_NAMES = 20_000


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A date and time as written; the order of ``numbers`` depends on the phone."""

    numbers: tuple[int, int, int]
    clock: tuple[int, int, int]
    has_half: bool
    separator: str
    is_marked: bool = field(default=False, compare=False)
    """Whether iOS put a mark of direction before the line, as it does where a file was sent."""


_Line = tuple[_Stamp, str]
"""The stamp of a message, and its text with all lines."""


class WhatsAppExport(ChatExport):
    """The messages of one person in one chat."""

    __slots__ = ()
    name: ClassVar[str] = "whatsapp"

    def messages(self) -> Iterator[Message]:
        """Yield every message and every line of WhatsApp."""
        order = _date_order(_stamps(self._lines()))
        people: dict[str, Person] = {}
        at: tuple[object, int] = (None, 0)
        for stamp, text in _joined(self._lines(), str(self.path)):
            time = _time(stamp, order)
            sender = _SENDER.match(text)
            person = self._person(sender[1], people) if sender else None
            body, reason = _body(text[sender.end() :], stamp.is_marked) if sender else ("", SYSTEM)
            at = (stamp, at[1] + 1 if at[0] == stamp else 0)
            yield Message(
                person=None if reason == SYSTEM else person,
                text=parse_text(body, str(self.path)),
                time=time,
                # The same in a later export of the chat, which may begin elsewhere.
                id=hashed_id(at[1], f"{stamp.numbers}{stamp.clock[:2]}{body}"),
                left_out=reason,
            )

    def _person(self, written: str, people: dict[str, Person]) -> Person:
        name = spoken(written, fold=False)
        person = people.get(name)
        if person is None:
            if len(people) > _MOST_NAMES:
                raise SourceError(
                    f"{self.path} has messages of over {_MOST_NAMES:,} people, more than any chat."
                )
            person = people[name] = Person(name, name)
        return person

    def _lines(self) -> Iterator[str]:
        with closing(open_archive(self.path)) as archive:
            name = chat_member(archive.names(), self.path)
            archive.check([name])
            where = display_path(self.path, name)
            with closing(archive.chunks(name)) as chunks:
                numbered = lines(decode_utf8(chunks, where), where, MAX_POST_CHARS)
                yield from (line for _, line in numbered)


def is_whatsapp(first_lines: Iterable[str]) -> bool:
    """Return whether a text begins with a line of an export."""
    first = next((line for line in first_lines if line.strip()), "")
    return _match(first) is not None


def chat_member(names: list[str], path: Path) -> str:
    """Return the name of the chat among the files of an export, or of a single file.

    Raises:
        SourceError: there are none or several.
    """
    texts = [name for name in names if is_chat_name(name)] or (
        [path.name] if path.name in names else []
    )
    if len(texts) != 1:
        raise SourceError(f"{path} holds {len(texts)} chats of WhatsApp; give the zip of one chat.")
    return texts[0]


def is_chat_name(name: str) -> bool:
    """Return whether a file of a zip is named as WhatsApp names the text of a chat."""
    last = name.rpartition("/")[2].lower()
    return last.endswith(".txt") and (last == "_chat.txt" or "whatsapp" in last)


def _match(line: str) -> re.Match[str] | None:
    plain = line.lstrip(_DIRECTION)
    return (_IOS if plain.startswith("[") else _ANDROID).fullmatch(plain)


def _stamps(texts: Iterable[str]) -> Iterator[_Stamp]:
    return (_stamp(match) for line in texts if _MAY_BEGIN.match(line) and (match := _match(line)))


def _joined(texts: Iterable[str], where: str) -> Iterator[_Line]:
    stamp: _Stamp | None = None
    parts: list[str] = []
    size = 0
    for line in texts:
        match = _match(line) if _MAY_BEGIN.match(line) else None
        if match is None:
            parts.append(line)
            size += len(line) + 1
            if size > MAX_POST_CHARS:
                raise SourceError(
                    f"A message in {where} is over {MAX_POST_CHARS:,} characters long; remove it."
                )
            continue
        if stamp is not None:
            yield stamp, "\n".join(parts)
        stamp, parts = _stamp(match, is_marked=line[:1] in _MARKS), [match["rest"]]
        size = len(parts[0])
    if stamp is not None:
        yield stamp, "\n".join(parts)


def _stamp(match: re.Match[str], *, is_marked: bool = False) -> _Stamp:
    hour = int(match["hour"])
    half = match["half"] or match["before"] or ""
    written = re.sub(r"[\s.\u00a0\u202f]", "", half).casefold()
    is_half = written in _PM or written in _AM
    if is_half:
        hour = hour % 12 + (12 if written in _PM else 0)
    return _Stamp(
        (int(match["a"]), int(match["b"]), int(match["c"])),
        (hour, int(match["minute"]), int(match["second"] or 0)),
        is_half,
        match["sep"],
        is_marked,
    )


def _date_order(stamps: Iterable[_Stamp]) -> str:
    """Find the order of day, month and year that fits all dates.

    If several fit, messages being in the order of time decides, and then what phones write: a
    12-hour clock with ``/`` is American.
    """
    seen: set[tuple[int, int, int]] = set()
    misfits, backward = Counter[str](), Counter[str]()
    last: dict[str, tuple[int, int, int]] = {}
    is_american = is_korean = False
    for stamp in stamps:
        is_american = stamp.has_half and stamp.separator == "/"
        is_korean = stamp.separator == ". "
        if stamp.numbers in seen:
            continue
        seen.add(stamp.numbers)
        for order in _ORDERS:
            date = _date(stamp.numbers, order)
            if date is None:
                misfits[order] += 1
            else:
                backward[order] += last.get(order, date) > date
                last[order] = date
    preferred = ("mdy", "dmy", "ymd") if is_american else _ORDERS
    preferred = ("ymd", "dmy", "mdy") if is_korean else preferred  # or Hungarian
    return min(preferred, key=lambda order: (misfits[order], backward[order]))


def _date(numbers: tuple[int, int, int], order: str) -> tuple[int, int, int] | None:
    """Return year, month and day; None if the order doesn't fit."""
    by_letter = dict(zip(order, numbers, strict=True))
    year, month, day = by_letter["y"], by_letter["m"], by_letter["d"]
    if year < 100:
        year += 2000
    # WhatsApp began in 2009; a phone's clock may be a year ahead.
    is_date = 2009 <= year <= datetime.now(UTC).year + 1 and 1 <= month <= 12 and 1 <= day <= 31
    return (year, month, day) if is_date else None


def _time(stamp: _Stamp, order: str) -> datetime | None:
    date = _date(stamp.numbers, order)
    try:
        return datetime(*date, *stamp.clock, tzinfo=UTC) if date else None
    except ValueError:  # 31 February
        return None


def _body(text: str, is_marked: bool = False) -> tuple[str, str]:
    """Return what the sender wrote, and why it is no post of theirs."""
    is_whatsapps = text.startswith(_MARKS if is_marked else _LRM)
    if is_marked and not is_whatsapps and (file := _FILE_AT_END.search(text)):
        text = text[: file.start()].rstrip()  # the caption, or the name of a document
        return ("", MEDIA) if _DOCUMENT.search(text) else (text, "")
    text = text.strip().lstrip("".join(_MARKS))
    if text.endswith(">") and not is_whatsapps:
        text = _EDITED.sub("", _TAIL.sub("", text)).strip()
    plain = INVISIBLE.sub("", text[:_LONGEST_LINE]).strip()
    for pattern, reason in _WRITTEN_BY_WHATSAPP:
        if pattern.fullmatch(plain):
            return "", reason
    if is_whatsapps:  # a file, a document's name and pages, or a line of the chat's history
        is_media = plain.startswith("<") or " • " in plain or _IOS_OMITTED.search(plain)
        return "", MEDIA if is_media else SYSTEM
    if _OMITTED.match(plain) or _ATTACHED.match(plain):
        caption = text.partition("\n")[2].strip()
        return caption, "" if caption else MEDIA
    return text, ""


_WRITTEN_BY_WHATSAPP = (
    (_IS_DELETED, DELETED),
    (_IOS_OMITTED, MEDIA),
    (_IS_PLACE, MEDIA),
    (_IS_SYSTEM, SYSTEM),
)
