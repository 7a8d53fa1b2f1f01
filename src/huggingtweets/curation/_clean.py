"""Clean raw posts into the texts a model should learn to write.

Each rule is one function over a column of texts and changes only the texts it matches. One rule can
create matches for another (``&amp;lt;`` hides an entity, removing a NUL byte completes a link), so
the rules run until nothing changes, which makes cleaning idempotent for any input. The second round
is cheap: one search selects the few texts in which any rule could match.
"""

from __future__ import annotations

import html
import re
from functools import cache, partial, reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._options import CurationOptions
from huggingtweets.curation._slices import in_slices, map_rows, map_where
from huggingtweets.curation._unicode import (
    BIDI_CONTROLS,
    NOT_INERT,
    RIGHT_TO_LEFT,
    UNSPACED,
    has_non_ascii,
    normalise,
)
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SEPARATOR = "<|endoftext|>"
"""The end-of-text token of GPT-2 and ``pocket``; within a post it would end the post."""

_LEAD_INS = 2
"""How many links, each with words that lead to it, lose these words at the end of one post."""

_MAX_ROUNDS = 50
"""Real posts need two rounds; the bound limits the time for adversarial ones."""

# --- patterns of the rules (Rust regular expressions: linear time, no look-around) --------------

_ENTITY = r"&#?\w{1,31};"
"""The longest HTML entity, ``&CounterClockwiseContourIntegral;``, has 31 letters."""

_ESCAPED_AMPERSANDS = r"&(?:amp;|#0*38;|#[xX]0*26;)+"
"""``&amp;amp;amp;``: repeated escaping, undone in one step."""

_INVISIBLE = (
    r"[\p{Cc}&&\S]|"  # control characters other than white space, including NUL and C1
    r"[\x{AD}\x{200B}\x{2060}-\x{2064}\x{206A}-\x{206F}\x{FEFF}\x{FFF9}-\x{FFFC}\x{FFFE}\x{FFFF}]"
)
"""Characters without meaning in a post: soft hyphen, zero-width space, byte-order mark, objects.

Zero-width joiner (family emoji, Indic scripts), non-joiner (Persian), variation selectors and the
tag characters of flags have a meaning and are kept.
"""

_BIDI_CONTROL = f"[{BIDI_CONTROLS}]"
_REMOVABLE = rf"{_INVISIBLE}|{_BIDI_CONTROL}"

_IN_LINK = rf"""[^\s()<>"“”«»、。！？，「」{UNSPACED}{BIDI_CONTROLS}]"""
_LINK_END = rf"""[{_IN_LINK}--[.,:;!?'’‘*~|\[\]{{}}]]"""
_LINK = (
    r"(?:https?://|pic\.(?:twitter|x)\.com/|\bwww\.[a-z0-9]|\bt\.co/[a-z0-9])"
    rf"(?:(?:{_IN_LINK}|\({_IN_LINK}*\))*(?:{_LINK_END}|\({_IN_LINK}*\)))?"
)
_TRUNCATED_LINK = r"(?i)(?:^|\s+)ht(?:tps?:?/{0,2}|t)?…$"
"""A link that an old API truncated at the end of a long post: ``htt…``, ``https:/…``."""

_LINK_MARK = "\0"
"""Placeholder for a link; an earlier rule has removed all NUL bytes."""

_POINTER = r"(?:[:→➡▶►»↓⬇👉👇⤵]\x{FE0F}?|[-=]+>|>+)"
_LAST_LINKS = r"\s*\(?\x00[.,;:!)]*((?:\s*\x00[.,;:!)]*|\s+(?:via\s+)?[#@][^\s\x00]+)*)\s*$"
"""Links that end a post, or that only hashtags and mentions follow."""

_LEAD_WORD = (
    "(?:apply|check|click|details?|discover|download|explore|find|follow|full|get|go|hear|here(?:['’]s)?|how"
    "|info(?:rmation)?|join|learn|link|listen|live|look|meet|more|news|photos?|pics?|please|read|register|replay|rsvp"
    "|see|sign|stor(?:y|ies)|take|this|tune|updates?|video|view|visit|watch|where|why|what"
    "|mehr|hier|lies|lest|siehe|alle|jetzt|zum|infos?|lire|voir|plus|ici|regardez|détails|suite|leer|ver|más"
    "|aquí|mira|detalles|leia|veja|mais|aqui|leggi|guarda|qui|altro|lees|meer|kijk|bekijk|詳しくは|詳細|続き|こちら)"
)
_IN_CLAUSE = r"[^\x00\s.!?…:→➡▶►»|]"
_LEAD_IN = (
    rf"(?i)(^|[.!?…。！？\n|•–—)\"”\x00]\s*|\s[-–—|]\s){_LEAD_WORD}"
    rf"(?:(?:[^\S\n]+{_IN_CLAUSE}+){{0,4}}\s*{_POINTER}+"
    rf"|(?:[^\S\n]+{_IN_CLAUSE}+){{0,3}}[^\S\n]+(?:here|more|at|details|info|hier|ici|aquí|aqui|qui)"
    rf"|[^\S\n]+(?:here|more)){_LAST_LINKS}"
)
"""The last words before a link that only introduce it: ``Details:``, ``Watch live →``, ``More at``.

They are at most five words, are a clause of their own and begin with such a word. Other words stay.
"""

_LAST_POINTER = rf"\s*{_POINTER}+{_LAST_LINKS}"

_MARKED_LINK = r"^\s*\x00[.,:;]*|\s*\(\x00\)|\s*\x00"
"""A link with the white space before it. Punctuation after a link belongs to the sentence, except
at the beginning of the post."""

_MAY_HOLD_LINK = r"(?i)https?://|pic\.(?:twitter|x)\.com/|www\.|t\.co/|ht[tps:/]*…$"

_LINE_BREAK = r"\r\n|[\r\x0B\x0C\x{85}\x{2028}\x{2029}]"

_ROUGH_SPACE = r"\s{2,}|[^\S ]|^\s|\s$"
"""Matches what :func:`_collapse` changes."""

_ROUGH_SPACE_AND_NEWLINES = r"[^\S\n ]| {2,}| \n|\n |\n{3,}|^\s|\s$"
"""Matches what :func:`_collapse_but_newlines` changes."""


def clean(
    texts: pl.Series, options: CurationOptions | None = None, authors: Collection[str] = ()
) -> pl.Series:
    """Clean a column of raw posts; a null becomes an empty text.

    In this order: unescape HTML entities, repair wrong encodings, compose characters (NFC), remove
    control characters, the separator and links with what led to them, mask private data
    (``options.mask``), and collapse white space.

    Args:
        texts: raw posts.
        options: see :class:`CurationOptions`.
        authors: handles whose mentions stay.

    Returns:
        The cleaned texts; cleaning them again changes nothing.
    """
    options = options or CurationOptions()
    rules: list[Callable[[pl.Series], pl.Series]] = [
        _unescape,
        _repair_characters,
        _remove_invisible,
        _remove_separator,
        _remove_links,
        _collapse_but_newlines if options.keep_newlines else _collapse,
    ]
    may_change = _may_change(options)

    def clean_slice(chosen: pl.Series) -> tuple[pl.Series, pl.Series]:
        cleaned = _until_fixed_point(chosen, rules, may_change)
        masked = mask_texts(cleaned, options, authors)
        return masked, masked != cleaned

    def clean_again(chosen: pl.Series) -> pl.Series:
        mask: Callable[[pl.Series], pl.Series] = partial(
            mask_texts, options=options, authors=authors
        )
        return _until_fixed_point(chosen, [mask, *rules], may_change="")

    slices = in_slices(texts.cast(pl.String).fill_null(""), clean_slice)
    masked, changed = (pl.concat(parts, rechunk=True) for parts in zip(*slices, strict=True))
    # What masking changes may match other rules. These texts are few, so they are one slice:
    # compiling all patterns for each slice takes longer than searching.
    return map_rows(
        masked, changed.arg_true(), lambda some: pl.concat(in_slices(some, clean_again))
    )


def _may_change(options: CurationOptions) -> str:
    """Join the patterns of all rules: a text without a match is clean."""
    space = _ROUGH_SPACE_AND_NEWLINES if options.keep_newlines else _ROUGH_SPACE
    parts = [
        _ENTITY,
        _mojibake(),
        NOT_INERT,
        _REMOVABLE,
        re.escape(SEPARATOR),
        _MAY_HOLD_LINK,
        space,
    ]
    return "|".join(f"(?:{part})" for part in parts)


def _until_fixed_point(
    texts: pl.Series, rules: list[Callable[[pl.Series], pl.Series]], may_change: str
) -> pl.Series:
    """Apply the rules until no text changes, each round only to texts that may change again."""
    active = texts
    rows: pl.Series | None = None  # of the active texts; None for all
    for _ in range(_MAX_ROUNDS):
        before = active
        for rule in rules:
            active = rule(active)
        texts = active if rows is None else texts.clone().scatter(rows, active)
        changed = (active != before).arg_true()
        changed = changed.filter(active.gather(changed).str.contains(may_change))
        if changed.is_empty():
            break
        rows = changed if rows is None else rows.gather(changed)
        active = active.gather(changed)
    return texts


def _unescape(texts: pl.Series) -> pl.Series:
    # Require the semicolon: html.unescape alone would read "R&not" and "fun&times" as symbols.
    def replace(chosen: pl.Series) -> pl.Series:
        plain = chosen.str.replace_all(_ESCAPED_AMPERSANDS, "&")
        # X escapes only these two besides "&", so few posts need the slow path.
        plain = plain.str.replace_many({"&lt;": "<", "&gt;": ">"})
        return map_where(plain, plain.str.contains(_ENTITY), replace_any)

    def replace_any(chosen: pl.Series) -> pl.Series:
        entity = re.compile(_ENTITY)
        unescaped = [entity.sub(lambda match: html.unescape(match[0]), text) for text in chosen]
        return pl.Series(chosen.name, unescaped, dtype=pl.String)

    return map_where(texts, texts.str.contains(_ENTITY), replace)


@cache
def _mojibake() -> str:
    """Translate ftfy's own test for mojibake to a Rust regular expression.

    ftfy repairs a text only if this pattern matches (``ftfy.badness.is_bad``), so filtering by it
    misses nothing that ftfy would repair, and takes 0.4 µs per post instead of 40. The original is
    a verbose pattern: comments and blanks are removed, and characters of a class become numbers,
    because ``[``, ``&`` and blanks have a meaning there in Rust.
    """
    from ftfy.badness import BADNESS_RE

    def translate(piece: re.Match[str]) -> str:
        if piece["class"] is not None:
            members = piece["class"]
            return f"[{''.join(_class_member(member) for member in members)}]"
        return piece["escape"] or ""  # drop comments and blanks

    pieces = r"#.*|\s+|(?P<escape>\\.)|\[(?P<class>[^\]]*)\]"
    # ftfy checks each line separately, hence (?m). Python's \w has some numbers that Rust's lacks.
    pattern = re.sub(pieces, translate, BADNESS_RE.pattern)
    return "(?m)" + pattern.replace(r"\w", r"[\w\p{N}]")


def _class_member(character: str) -> str:
    is_syntax = character in "-^\\" or (character.isascii() and character.isalnum())
    return character if is_syntax else rf"\x{{{ord(character):x}}}"


def _repair_characters(texts: pl.Series) -> pl.Series:
    # One search for both repairs, only in texts that aren't ASCII.
    def where_needed(chosen: pl.Series) -> pl.Series:
        rows = chosen.str.contains(f"{_mojibake()}|{NOT_INERT}")
        return map_where(chosen, rows, lambda matches: normalise(_repair_encoding(matches), "NFC"))

    return map_where(texts, has_non_ascii(texts), where_needed)


def _repair_encoding(texts: pl.Series) -> pl.Series:
    def repair(chosen: pl.Series) -> pl.Series:
        import ftfy

        # Fix only the encoding: curly quotes, ligatures and wide letters are part of a person's
        # style. Line by line, as ftfy.fix_text() does, which takes 50 % longer for its other fixes.
        config = ftfy.TextFixerConfig(explain=False)
        repaired = [
            "\n".join(ftfy.fix_encoding(line, config) for line in text.split("\n"))
            for text in chosen
        ]
        return pl.Series(chosen.name, repaired, dtype=pl.String)

    return map_where(texts, texts.str.contains(_mojibake()), repair)


def _remove_invisible(texts: pl.Series) -> pl.Series:
    # One search for both kinds, because searching takes longer than changing the few matches.
    def remove(chosen: pl.Series) -> pl.Series:
        return _remove_bidi_controls(chosen.str.replace_all(_INVISIBLE, ""))

    return map_where(texts, texts.str.contains(_REMOVABLE), remove)


def _remove_bidi_controls(texts: pl.Series) -> pl.Series:
    # On some phones, X wraps mentions in isolates. They only matter next to right-to-left text.
    rows = ~texts.str.contains(f"[{RIGHT_TO_LEFT}]")
    return map_where(texts, rows, lambda chosen: chosen.str.replace_all(_BIDI_CONTROL, ""))


def _remove_separator(texts: pl.Series) -> pl.Series:
    # Replace it with a space, because the text around it could form another separator.
    return map_where(
        texts,
        texts.str.contains(SEPARATOR, literal=True),
        lambda chosen: chosen.str.replace_all(SEPARATOR, " ", literal=True),
    )


def _remove_links(texts: pl.Series) -> pl.Series:
    # Two passes, first links and then the space before them, are seven times faster than one,
    # because a pattern that starts with white space has candidates everywhere.
    def remove(chosen: pl.Series) -> pl.Series:
        marked = chosen.str.replace_all(f"(?i){_LINK}", _LINK_MARK)
        marked = marked.str.replace_all(_TRUNCATED_LINK, _LINK_MARK)
        for _ in range(_LEAD_INS):  # "Watch: LINK Details: LINK"
            marked = marked.str.replace(_LEAD_IN, f"${{1}}{_LINK_MARK}${{2}}")
        marked = marked.str.replace(_LAST_POINTER, "${1}")
        return marked.str.replace_all(_MARKED_LINK, "")

    return map_where(texts, texts.str.contains(_MAY_HOLD_LINK), remove)


def mask_texts(
    texts: pl.Series, options: CurationOptions, authors: Collection[str] = ()
) -> pl.Series:
    """Mask private data in a column of texts; see :func:`huggingtweets.privacy.masking.mask`."""
    handles = frozenset(author.lower() for author in authors)
    return reduce(_apply, masking.rules(options.mask, handles), texts)


def _apply(texts: pl.Series, rule: masking.Rule) -> pl.Series:
    # Python callbacks (check digits, authors' own mentions), called only where they may be needed.
    def replace(chosen: pl.Series) -> pl.Series:
        if isinstance(rule.replace, tuple):
            return reduce(_apply, rule.replace, chosen)
        return pl.Series(chosen.name, map(rule.replace, chosen), dtype=pl.String)

    found = (texts.str.contains(pattern) for pattern in rule.may_match)
    return map_where(texts, reduce(or_, found), replace)


def _collapse(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(r"\s{2,}|[^\S ]", " ").str.strip_chars()


def _collapse_but_newlines(texts: pl.Series) -> pl.Series:
    lines = texts.str.replace_all(_LINE_BREAK, "\n").str.replace_all(r"[^\S\n]+", " ")
    return lines.str.replace_all(" ?\n ?", "\n").str.replace_all("\n{3,}", "\n\n").str.strip_chars()
