"""Street addresses: a street and a house number, in the forms of twelve countries.

What only looks like an address is told apart by its words.
"""

from __future__ import annotations

import re

_NAME = r"(?:[A-ZÀ-ÝŁŚŻĘ][\wÀ-ÿ'’.-]{0,30}|\d{1,3}(?:st|nd|rd|th))"
_PARTICLES = r"(?:(?:de|del|della|delle|dei|di|du|des|da|do|dos|das|la|las|le|les|los|el|y|e|l['’]|d['’])[ ]?){0,3}"

_STREETS = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq"
    "|Terrace|Ter|Way|Parkway|Pkwy|Highway|Hwy|Close|Crescent|Cres|Gardens|Gdns|Mews|Grove|Circle|Cir"
    "|Trail|Trl|Parade|Esplanade|Row|Hill|Walk|Quay|Marg|Nagar|Colony|Broadway"
)
_ENGLISH = (
    r"\b\d{1,5}[A-Za-z]?(?:[-/]\d{1,4}[A-Za-z]?)?,? (?:[NSEW]{1,2}\.? )?"
    rf"(?:{_NAME} ){{1,4}}(?:{_STREETS})\b\.?(?: (?:NW|NE|SW|SE|[NSEW])\b\.?)?"
    r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|#)\.? ?\w{1,5}\b)?"
    rf"(?:,? {_NAME}(?: {_NAME})?,? [A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?)?"
    r"|\b\d{1,5} (?:(?:old|new|north|south|east|west|upper|lower) )?[a-z]{3,15} "
    r"(?:street|avenue|road|boulevard|blvd|lane|ave)\b"
)
_GERMAN = (
    r"\b[A-ZÄÖÜ][A-Za-zäöüßÄÖÜ.-]{0,40}(?:straße|strasse|str\.?|Straße|Strasse|Str\.|weg|gasse|allee|ufer"
    r"|damm|chaussee|platz|steig) \d{1,4}(?: ?[a-z]\b|\b)(?:,? \d{5} [A-ZÄÖÜ][\wäöüß-]{1,30})?"
    r"|\b(?:[A-ZÄÖÜ][a-zäöüß]{1,20}(?:er|e|en|-)?[ -]){1,2}(?:Straße|Strasse|Str\.|Weg|Allee|Platz|Ufer"
    r"|Damm|Ring|Gasse) \d{1,4}(?: ?[a-z]\b|\b)"
)
_FRENCH = (
    r"\b\d{1,4}(?: ?(?:bis|ter|[A-D]))?,? (?i:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allée"
    r"|quai|cours|route|square|passage|ruelle) "
    rf"{_PARTICLES}{_NAME}(?:[ -]{_PARTICLES}{_NAME}){{0,3}}(?:,? \d{{5}} [A-ZÀ-Ý][\wÀ-ÿ-]{{1,30}})?"
)
_SPANISH = (
    r"(?:\b(?:Calle|Avenida|Avda\.?|Av\.|Paseo|Plaza|Carrer|Carretera|Camino|Ronda|calle|avenida)|\bC/) ?"
    rf"{_PARTICLES}{_NAME}(?: {_PARTICLES}{_NAME}){{0,4}},? (?:n[ºo°]?\.? ?|núm\. ?)?\d{{1,4}}\b"
)
_ITALIAN = (
    r"\b(?:Via|Viale|Piazza|Piazzale|Corso|Largo|Vicolo|Strada|via|viale|piazza|corso) "
    rf"{_PARTICLES}{_NAME}(?: {_PARTICLES}{_NAME}){{0,3}},? (?:n\. ?)?\d{{1,3}}(?:/?[A-Za-z]\b|\b)"
)
_DUTCH = (
    r"\b(?:[A-Z][\w'.-]{0,30} ){0,2}[A-Z]?[\w'.-]{2,30}(?:straat|laan|plein|kade|gracht|singel|dijk|steeg|hof|weg"
    r"|markt) \d{1,4}(?:[ -]?[A-Za-z]{1,3}\b|-\d{1,3}\b|\b)(?:,? \d{4} ?[A-Z]{2}(?: [A-Z][\w-]{1,30})?\b)?"
)
_PORTUGUESE = (
    r"\b(?:Rua|Avenida|Av\.|Travessa|Alameda|Praça|Rodovia|Largo|Estrada|rua|avenida) "
    rf"{_PARTICLES}{_NAME}(?: {_PARTICLES}{_NAME}){{0,4}},? (?:n[ºo°]?\.? ?)?\d{{1,5}}\b"
)
_POLISH = r"\b(?:ul|al|pl|os)\. ?[A-ZŁŚŻĆŹ][\włśżćźńąęó.-]{1,30}(?: [A-ZŁŚŻ][\włśżćźńąęó-]{1,30})? \d{1,4}[a-zA-Z]?(?:/\d{1,4})?\b"
_JAPANESE = (
    r"(?:〒 ?\d{3}-\d{4} ?)?[\u4e00-\u9fff\u30a0-\u30ff]{1,20}[都道府県市区町村][\u3040-\u30ff\u4e00-\u9fff]{0,20}"
    r"[\d０-９]{1,3}(?:丁目|[-－−])[\d０-９]{1,3}(?:(?:番地?|[-－−])[\d０-９]{0,4})?号?|〒 ?\d{3}-\d{4}"
)
_DIGIT = re.compile("[0-9０-９]")
DIGITS = ("[0-9]", "[０-９]")
"""Rust regular expressions: every address matches one. (One for both takes three times as long.)"""

_TO = "[A-ZÀ-ÝŁŚŻdl]"  # how the name of a street begins, or "de", "la"
FORMS = tuple(
    (re.compile(pattern), may_match)
    for pattern, may_match in (
        (_ENGLISH, (rf"[0-9][A-Za-z]?,? (?:[^ \n]+ ){{1,6}}(?:{_STREETS}|street|avenue|road|boulevard|blvd|lane|ave)",)),
        (_GERMAN, (
            r"(?:str|Str|weg|Weg|gass|Gass|llee|fer|amm|chauss|latz|Ring|steig)[a-zß.]{0,4} [0-9]",
        )),
        (_FRENCH, (
            r"[0-9],? ?[a-zA-D]{0,3},? (?i:rue|av|boul|bd|place|chemin|imp|all|quai|cours|route|square|pass|ruelle)",
        )),
        (_SPANISH, (
            rf"(?:alle|venida|vda\.?|Av\.|Paseo|Plaza|Carrer|Carretera|Camino|Ronda) {_TO}|C/ ?[A-Zdl]",
        )),
        (_ITALIAN, (rf"(?:[Vv]ia|[Vv]iale|iazza|iazzale|[Cc]orso|Largo|Vicolo|Strada) {_TO}",)),
        (_DUTCH, (
            r"(?:straat|laan|plein|kade|gracht|singel|dijk|steeg|hof|weg|markt)[a-zß.]{0,4} [0-9]",
        )),
        (_PORTUGUESE, (
            rf"(?:[Rr]ua|venida|Av\.|Travessa|Alameda|Praça|Rodovia|Largo|Estrada) {_TO}",
        )),
        (_POLISH, (r"(?:ul|al|pl|os)\. ?[A-ZŁŚŻ]",)),
        (_JAPANESE, ("[都道府県市区町村][^ \n]{0,30}[0-9０-９]|〒",)),
    )
)  # fmt: skip
"""The form of each country, and Rust regular expressions: every text with such an address matches
one of them, and few others do."""

_NO_NAME = frozenset(
    "a an the to for of in on at and or with by from as is are was your our my his her their this "
    "that these those best most top great new more ways way things years year days day hours hour "
    "minutes weeks months people million billion thousand percent times reasons tips miles feet "
    "pounds points games goals wins home fun long mile lap hit run january february march april may "
    "june july august september october november december am pm et edt est pt utc gmt "
    "road race races trip episode season world".split()
)
"""Words that no street is named after, but headlines are made of: "10 Ways To Drive"."""


_NO_STREET = re.compile(
    r"(?:19|20)\d\d (?:.* (?:Square|Parade)|Wall Street|(?:\S+ ){3,}\S+)$"  # 2015 Rose Parade
    r"|(?:Supreme|District|Circuit|Federal|High|County|Appeals|Appellate|Superior|Tennis) Court$"
)
"""Events that are named after a place, and courts that aren't one: "3 Supreme Court judges"."""


def mask_form(text: str, form: re.Pattern[str]) -> str:
    """Replace street addresses of a form by ``<address>``."""
    return form.sub(_mask_address, text) if _DIGIT.search(text) else text


def _mask_address(match: re.Match[str]) -> str:
    text = match[0]
    names = re.findall(r"(?<!\w)[^\W\d_][\w'’.-]*", text)
    if any(name.lower().strip(".") in _NO_NAME for name in names[:-1]):
        return text
    if re.search(r"\D (?:19|20)\d\d$", text):  # "Via Reuters 2015"
        return text
    if _NO_STREET.search(text):
        return text
    return "<address>"
