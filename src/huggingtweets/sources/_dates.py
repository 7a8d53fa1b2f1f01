"""Read the dates that networks, spreadsheets and programs write.

The Python Package Index has parsers of free text, but they guess: one that takes 03/01/2023 for a
day in March, or skips words that it doesn't know, orders posts wrongly without a word. This one
reads all of a value or nothing, and says when a value has two readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Order = Literal["day", "month"]
"""Which number comes first in a date such as 03/01/2023."""

_MAX_CHARS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_X_DATE = re.compile(r"\w{3} (\w{3}) (\d\d?) (\d\d):(\d\d):(\d\d) \+0000 (\d{4})", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:e\+?\d+)?", re.IGNORECASE)
_DIGITS = re.compile(r"(?:19|20)\d{6}|(?:19|20)\d{10}|(?:19|20)\d{12}")
# Each unit is a thousand times the one before; with 11 digits, seconds reach the year 5138, and
# fewer than 9 digits of seconds would be before 1973.
_UNITS = (
    (1e8, 1e11, Decimal(1)),
    (1e11, 1e14, Decimal(1_000)),
    (1e14, 1e17, Decimal(1_000_000)),
    (1e17, 1e20, Decimal(1_000_000_000)),
)
_SERIAL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - gets its zone later
_SERIAL = (36_526, 73_051)
"""Days since then, as spreadsheets store dates: the years 2000 to 2099."""

_COMPACT = re.compile(r"\d{8}T\d{4,6}(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?")
_CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?![\d:])(?:\s*([ap])\.?\s?m\b\.?)?"
)
_OFFSET = re.compile(r"(?:\b(?:utc|gmt))?\s?([+-])(\d\d?)(?::?(\d\d))?(?![\d:/.-])")
_YEAR_FIRST = re.compile(r"(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})\s?[.日일]?")
_YEAR_LAST = re.compile(r"(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d\d)\.?")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_FILLERS = frozenset(
    {"at", "um", "uhr", "kl", "à", "a", "las", "alle", "de", "del", "of", "om", "às", "г"}
)
_ORDINALS = frozenset({"st", "nd", "rd", "th", "er", "º", "o"})

# From the Unicode CLDR's names (gregorian, format wide), in the order of the year.
_LANGUAGES = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
    "listopada grudnia",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "tr": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
}
_SHORT = {  # abbreviations that don't begin the name
    **dict.fromkeys(("mrz", "mär"), 3),
    **dict.fromkeys(("sept", "set"), 9),
    "mrt": 3,
}
_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday",
    "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "lunes martes miércoles jueves viernes sábado domingo",
    "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "segunda terça quarta quinta sexta sábado domingo",
    "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    "poniedziałek wtorek środa czwartek piątek sobota niedziela",
    "понедельник вторник среда четверг пятница суббота воскресенье",
    "måndag tisdag onsdag torsdag fredag lördag söndag",
    "pazartesi salı çarşamba perşembe cuma cumartesi pazar",
)
# Abbreviations in use on more than one continent are read as RFC 2822 (section 4.3) does, or else
# as the one with the most people.
_ZONES: dict[str, float] = {
    **dict.fromkeys(("z", "ut", "utc", "gmt", "wet"), 0),
    **dict.fromkeys(("cet", "mez", "bst", "west", "wat"), 1),
    **dict.fromkeys(("cest", "mesz", "eet", "cat", "sast"), 2),
    **dict.fromkeys(("eest", "msk", "eat", "trt"), 3),
    **dict.fromkeys(("brt", "art", "adt"), -3),
    **dict.fromkeys(("edt", "ast", "clt"), -4),
    **dict.fromkeys(("est", "cdt", "pet"), -5),
    **dict.fromkeys(("cst", "mdt"), -6),
    **dict.fromkeys(("mst", "pdt"), -7),
    **dict.fromkeys(("pst", "akdt"), -8),
    **dict.fromkeys(("sgt", "hkt", "pht", "awst"), 8),
    **dict.fromkeys(("jst", "kst"), 9),
    "akst": -9,
    "hst": -10,
    "gst": 4,
    "pkt": 5,
    "ist": 5.5,
    "wib": 7,
    "aest": 10,
    "aedt": 11,
    "acst": 9.5,
    "acdt": 10.5,
    "nzst": 12,
    "nzdt": 13,
}


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A date with two readings."""

    day_first: datetime
    month_first: datetime


def read_date(
    value: object, order: Order | None = None, zone: tzinfo | None = None
) -> datetime | Ambiguous | None:
    """Read a date with its time, if it has one.

    Args:
        value: a text, a number since 1970 (its size tells seconds, milliseconds, microseconds and
            nanoseconds apart) or a date of Python's.
        order: how to read a date such as 03/01/2023; None if that is unknown.
        zone: where a time without a zone was; also if the value has only a zone's abbreviation,
            which several zones share. None for UTC.

    Returns:
        The time in UTC; both readings if the order decides; None if it can't be read.
    """
    try:
        found = _read(value, order, zone)
        return found if found is None or isinstance(found, Ambiguous) else _in_utc(found, zone)
    except (ValueError, OverflowError, InvalidOperation):  # 31 February, beyond the year 9999
        return None


def plain_value(value: object) -> object:
    """Return the value that MongoDB wraps: ``{"$date": ...}``, ``{"$numberLong": ...}``."""
    for _ in range(2):
        if isinstance(value, dict) and len(value) == 1:
            name, inner = next(iter(value.items()))
            value = inner if str(name).startswith("$") else value
    return value


def read_zone(value: object) -> tzinfo | None:
    """Read a zone: ``-0300``, ``+05:30``, ``GMT+1``, ``Europe/Madrid`` or an abbreviation."""
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= _MAX_CHARS:
        return None
    try:
        if match := _OFFSET.fullmatch(text.lower()):
            return _offset(match)
        if "/" in text:
            return ZoneInfo(text)
    except (ValueError, OSError):
        return None
    hours = _ZONES.get(text.lower())
    return None if hours is None else timezone(timedelta(hours=hours))


def _in_utc(found: datetime, zone: tzinfo | None) -> datetime:
    if found.tzinfo is UTC:
        return found
    return (found if found.tzinfo else found.replace(tzinfo=zone or UTC)).astimezone(UTC)


def _read(value: object, order: Order | None, zone: tzinfo | None) -> datetime | Ambiguous | None:
    value = plain_value(value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - gets its zone later
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return _read_text(text, order, zone) if 0 < len(text) <= _MAX_CHARS else None


def _read_text(text: str, order: Order | None, zone: tzinfo | None) -> datetime | Ambiguous | None:
    if match := _X_DATE.fullmatch(text):  # the most frequent, and strptime is slow
        month, day, hour, minute, second, year = match.groups()
        numbers = (int(year), _month(month.lower()), int(day), int(hour), int(minute), int(second))
        return datetime(*numbers, tzinfo=UTC)
    if text[0].isdigit() and _NUMBER.fullmatch(number := text.replace(",", ".")):
        return _number(number)
    if text[4:5] == "-" or _COMPACT.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    return _words(text, order, zone)


def _number(text: str) -> datetime | None:
    """Read digits without separators, or a number since 1970."""
    if _DIGITS.fullmatch(text):
        try:
            padded = text.ljust(14, "0")
            return datetime.fromisoformat(f"{padded[:8]}T{padded[8:]}")
        except ValueError:
            pass
    number = Decimal(text)
    if _SERIAL[0] <= number < _SERIAL[1]:
        return _SERIAL_EPOCH + timedelta(seconds=round(number * 86_400))
    for least, limit, per_second in _UNITS:
        if least <= number < limit:
            microseconds = int(number / per_second * 1_000_000)
            return _EPOCH + timedelta(microseconds=microseconds)
    return None


def _words(text: str, order: Order | None, zone: tzinfo | None) -> datetime | Ambiguous | None:
    """Read a date made of a day, a clock and a zone, in any order."""
    rest = re.sub(r"\([^()]*\)", " ", text.lower())  # (Central European Time)
    rest = re.sub(r"[\s\u200e\u200f·,|]+", " ", rest)
    clock = time()
    if match := _CLOCK.search(rest):
        clock = _clock(match)
        rest, zone = _without_zone(rest[match.end() :].lstrip(), rest[: match.start()], zone)
    found = _day(rest.split(), order)
    times = [datetime.combine(day, clock, zone or UTC).astimezone(UTC) for day in found or ()]
    if len(times) > 1:
        return Ambiguous(*times)
    return times[0] if times else None


def _clock(match: re.Match[str]) -> time:
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    microsecond = int((match[4] or "0")[:6].ljust(6, "0"))
    if match[5]:
        if not 1 <= hour <= 12:
            raise ValueError(match[0])
        hour = hour % 12 + 12 * (match[5] == "p")
    return time(hour, minute, second, microsecond)


def _without_zone(after: str, before: str, zone: tzinfo | None) -> tuple[str, tzinfo | None]:
    """Return what stands around a clock without its zone, and the zone.

    Args:
        after: what follows the clock.
        before: what precedes it.
        zone: used instead of an abbreviation.
    """
    before = re.sub(r"(?<=\d)t$", "", before)  # 2023/01/03T12:00
    if offset := _OFFSET.match(after):
        words = after[offset.end() :].split()
        words = words[1:] if words and words[0] in _ZONES else words  # +0200 CEST
        return f"{before} {' '.join(words)}", _offset(offset)
    words = after.split()
    name = next((word for word in words if word in _ZONES), None)
    if name is None:
        return f"{before} {after}", zone
    words.remove(name)
    if _ZONES[name] == 0 or zone is None:
        zone = timezone(timedelta(hours=_ZONES[name]))
    return f"{before} {' '.join(words)}", zone


def _offset(match: re.Match[str]) -> tzinfo:
    digits, minutes = match[2], match[3] or "0"
    size = timedelta(hours=int(digits), minutes=int(minutes))
    return timezone(size if match[1] == "+" else -size)


def _day(words: list[str], order: Order | None) -> tuple[date, ...] | None:
    """Return the day that words name: one, two if the order decides, or None."""
    weekday = _weekday_among(words)
    text = " ".join(word for word in words if word != weekday)
    if match := _YEAR_FIRST.fullmatch(text):
        return (date(*map(int, match.groups())),)
    if match := _YEAR_LAST.fullmatch(text):
        first, mark, second, year = match.groups()
        if mark == "." or order == "day":
            return _only(date(_year(year), int(second), int(first)))
        if order == "month":
            return _only(date(_year(year), int(first), int(second)))
        found = _either(int(first), int(second), _year(year))
        number = _weekday(weekday)
        return tuple(day for day in found if day.weekday() == number) or found
    return _day_in_words(text)


def _only(day: date) -> tuple[date]:
    return (day,)


def _either(first: int, second: int, year: int) -> tuple[date, ...]:
    if first > 12:
        return (date(year, second, first),)
    if second > 12 or first == second:
        return (date(year, first, second),)
    return date(year, second, first), date(year, first, second)


def _day_in_words(text: str) -> tuple[date] | None:
    """Read ``3 January 2023``, ``Jan 3rd, 2023``, ``3-Jan-23`` and ``3. Januar 2023``."""
    if re.search(r"[^\w\s./-]", text):
        return None
    month: int | None = None
    numbers: list[str] = []
    for word in _WORD.findall(text):
        if word.isdigit():
            numbers.append(word)
        elif month is None and (found := _month(word)):
            month = found
        elif word not in _FILLERS and not (numbers and word in _ORDINALS):
            return None
    if month is None or len(numbers) != 2:
        return None
    year, day = numbers if len(numbers[0]) == 4 else numbers[::-1]
    if len(day) > 2 or len(year) not in (2, 4):
        return None
    return (date(_year(year), month, int(day)),)


def _year(text: str) -> int:
    """Return a year; of two digits, as POSIX does: 69 to 99 are of the last century."""
    number = int(text)
    if len(text) != 2:
        return number
    return number + (1900 if number >= 69 else 2000)


@lru_cache(maxsize=1024)
def _month(word: str) -> int:
    """Return the number of a month from its name or an abbreviation of three letters; or 0."""
    if number := _SHORT.get(word):
        return number
    if len(word) < 3:
        return 0
    names = [name for months in _LANGUAGES.values() for name in enumerate(months.split(), start=1)]
    found = {number for number, name in names if name.startswith(word)}
    return found.pop() if len(found) == 1 else _month_in_english(word)


def _month_in_english(word: str) -> int:
    names = enumerate(_LANGUAGES["en"].split(), start=1)
    return next((number for number, name in names if name.startswith(word)), 0)


def _weekday_among(words: list[str]) -> str:
    """Return the word that names a weekday, or an empty text."""
    months = {word for word in words if _month(word.strip(".,"))}
    for word in words:
        # `mar` is March and, in three languages, Tuesday.
        if _weekday(word) is not None and (word not in months or len(months) > 1):
            return word
    return ""


@lru_cache(maxsize=1024)
def _weekday(word: str) -> int | None:
    """Return the number of a weekday, from 0 for Monday, from its name or its first letters."""
    bare = word.strip(".,")
    for days in _WEEKDAYS if len(bare) > 1 else ():
        for number, day in enumerate(days.split()):
            if day.startswith(bare):
                return number
    return None
