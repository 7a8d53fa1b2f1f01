"""Phone numbers: their forms in eleven countries, and everywhere with ``+`` or a word such as "call".

A form says in which countries its numbers may be; ``phonenumbers``, Google's libphonenumber, says
whether such a number exists there. It alone would find too much without knowing the country, and
takes 2 ms for a text; the forms are found first, so it is loaded for few texts.
"""

from __future__ import annotations

import re
from functools import cache, partial

# A number that isn't a price, hashtag, decimal or part of something longer.
_BEFORE = r"(?<![\w$€£¥₹#+@])(?<!\d[.,:/-])(?<!\d[ ][-–])"
_AFTER = r"(?!\w|[.,:/-]\d|\s?[%$€£¥₹]|\s?(?:USD|EUR|GBP|km|kg|miles|people)\b)"
_INTERNATIONAL = re.compile(
    r"(?<![\w$€£¥₹#+@])(?:\+|00[ -]?(?=[1-9]))(?:[ .\-()/]{0,2}\d){8,15}" + _AFTER
)
_FORMS = tuple(
    (re.compile(pattern), re.compile(f"{_BEFORE}(?:{pattern}){_AFTER}"), regions.split())
    for pattern, regions in (
        # (202) 224-3121, 202-224-3121, 1-800-555-0199; Italian and Indian mobiles: 333 123 4567
        (r"(?:1[ .-]?)?\([2-9]\d\d\)[ .-]?\d{3}[ .-]\d{4}", "US"),
        (r"(?:1[ .-])?[2-9]\d\d([ .-])\d{3}\1\d{4}", "US IT IN"),
        (r"[2-9]\d\d ?[2-9]\d\d[ -]?\d{4}", "US"),
        (r"[6-9]\d{4}[ -]\d{5}", "IN"),
        # with the 0 of long distance: 020 7946 0958, 0171/1234567, (089) 123456, 06 12 34 56 78
        (r"\(?0\d{1,4}\)?[ /-]?[ ]?\d{2,8}(?:[ ./-]\d{2,6}){0,4}", "GB DE FR IT NL AU JP IN"),
        (r"0\d([ .-])\d\d(?:\1\d\d){3}", "FR NL"),
        (r"0\d{8,11}", "GB DE FR IT NL AU JP IN"),
        # 612 345 678, 91 123 45 67, 612 34 56 78
        (r"[6-9]\d{2}([ .-])\d{3}\1\d{3}|[6-9]\d{2}([ .-])\d\d\2\d\d\2\d\d", "ES"),
        (r"[89]\d([ .-])\d{3}\1\d\d\1\d\d", "ES"),
        (r"3\d\d[ .-]?\d{6,7}|3\d\d([ .-])\d\d\1\d\d\1\d\d\d?", "IT"),
        # (11) 91234-5678, 11 91234-5678
        (r"\(0?[1-9]\d\)[ ]?9?[ ]?\d{4}[ -]?\d{4}|[1-9]\d 9?\d{4}-\d{4}", "BR"),
    )
)
"""Each form, the same with what must surround it, and the countries. The form alone is searched
first: ``re`` skips to its first digit, which takes a tenth of the time."""

_NUMBER = re.compile(r"\d(?:[ .\-()/]{0,2}\d){6}")
_AFTER_A_WORD = re.compile(
    r"(?<!\w)(?:tel|tél|telephone|téléphone|telefon(?:nummer)?|tel[eé]fono|telefone|telefoon|phone"
    r"|ph|fon|mobile?|mob|m[oó]vil|handy|cell(?:ulare)?|celular|portable|call|text|sms|fax|whats\s?app"
    r"|signal|n[uú]mero|nummer|number|電話|携帯|ring|dial|ruf|appelez|chiama|llama|ligue|bel)"
    r"(?:\s(?:me|us|him|her|them|no|nr|is|ist|est|es|é|number|on|at|the office|mich|an|moi|al|le))?"
    r"(?:\s(?:on|at|is|an|al|au))?[.:：]?\s{0,2}"
    r"(?P<value>\(?\d(?:[ .\-()/]{0,2}\d){6,13})" + _AFTER,
    re.IGNORECASE,
)
_DAY, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"{_DAY}[./ -]{_DAY}[./ -]{_YEAR}(?!\d)|{_YEAR}[./ -]{_DAY}[./ -]{_DAY}(?!\d)|{_YEAR}[ -]{_YEAR}(?!\d)"
)
_DASH = re.compile(r"(?<=\d)[‐‑‒–−](?=\d)")
_FEWEST, _MOST = 7, 15
"""Digits of a phone number: at most 15 by ITU-T E.164."""

MAY_MATCH = r"[0-9](?:[^0-9\n]{0,3}[0-9]){6}"
"""Seven digits close together, for Python and for Rust; card numbers and IBANs have them as well."""


def mask(text: str) -> str:
    """Replace phone numbers by ``<phone>``."""
    if not re.search(MAY_MATCH, text):
        return text
    plain = _DASH.sub("-", text)
    masked = _mask_plain(plain)
    return text if masked == plain else masked


def _mask_plain(text: str) -> str:
    text = _INTERNATIONAL.sub(_mask_international, text)
    for form, surrounded, regions in _FORMS:
        if form.search(text):
            text = surrounded.sub(partial(_mask_national, regions=regions), text)
    return _AFTER_A_WORD.sub(_mask_after_a_word, text) if _NUMBER.search(text) else text


def _mask_international(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    return "<phone>" if _exists("+" + digits.removeprefix("00"), None) else match[0]


def _mask_national(match: re.Match[str], regions: list[str]) -> str:
    text = match[0]
    digits = re.sub(r"\D", "", text)
    is_book = match.string[max(0, match.start() - 6) : match.start()].upper().startswith("ISBN")
    if is_book or len(set(digits)) < 3 or digits.endswith("000000") or _is_date(text):
        return text
    return "<phone>" if any(_exists(digits, region) for region in regions) else text


def _mask_after_a_word(match: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in match["value"])
    if not _FEWEST <= digits <= _MOST or _is_date(match["value"]):
        return match[0]
    return f"{match[0][: match.start('value') - match.start()]}<phone>"


def _is_date(text: str) -> bool:
    return bool(_DATE.match(text))


@cache
def _exists(number: str, region: str | None) -> bool:
    """Whether a country has such a number, by its length and first digits."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(
        phonenumbers.is_possible_number(parsed)
        if region is None
        else phonenumbers.is_valid_number(parsed)
    )
