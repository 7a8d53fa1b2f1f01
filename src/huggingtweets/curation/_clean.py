"""From a post as the source gave it to the text a model should learn to write.

Each rule is one function over a column of texts and touches only the posts it concerns. One rule
can make work for another (``&amp;lt;`` hides an entity, a removed NUL byte completes a link), so
the rules run until nothing changes any more: that makes cleaning idempotent for any input. The
second round costs little: one search tells the few texts in which any rule could find something.
"""

from __future__ import annotations

import html
import re
from functools import cache, partial
from typing import TYPE_CHECKING

import polars as pl

from huggingtweets.curation._options import CurationOptions
from huggingtweets.curation._scripts import BIDI_CONTROLS, RIGHT_TO_LEFT, UNSPACED
from huggingtweets.curation._scrub import MAY_CONCERN, scrub
from huggingtweets.curation._slices import in_slices, map_where
from huggingtweets.curation._unicode import NOT_INERT, beyond_ascii, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SEPARATOR = "<|endoftext|>"
"""The end-of-text token of GPT-2 and ``pocket``: in a post it would end it for the model."""

_MOST_ROUNDS = 50
"""Real posts settle in two rounds; the bound keeps made-up ones from taking forever."""

# --- what the rules look for (Rust regular expressions: linear time, no look-around) ------------

_ENTITY = r"&#?\w{1,31};"
"""The longest HTML entity, ``&CounterClockwiseContourIntegral;``, has 31 letters."""

_ESCAPED_AMPERSANDS = r"&(?:amp;|#0*38;|#[xX]0*26;)+"
"""``&amp;amp;amp;``: escaped again and again, undone in one step."""

_INVISIBLE = (
    r"[\p{Cc}&&\S]|"  # control characters that aren't white space, NUL and C1 included
    r"[\x{AD}\x{200B}\x{2060}-\x{2064}\x{206A}-\x{206F}\x{FEFF}\x{FFF9}-\x{FFFC}\x{FFFE}\x{FFFF}]"
)
"""Characters with no meaning in a post: soft hyphen, zero-width space, byte-order mark, objects.

Zero-width joiner (family emoji, Indic scripts), non-joiner (Persian), variation selectors and the
tag characters of flags do have one and stay.
"""

_BIDI_CONTROL = f"[{BIDI_CONTROLS}]"
_UNSEEN = rf"{_INVISIBLE}|{_BIDI_CONTROL}"

_IN_LINK = rf"""[^\s()<>"“”«»、。！？，「」{UNSPACED}{BIDI_CONTROLS}]"""
_LINK_END = rf"""[{_IN_LINK}--[.,:;!?'’‘*~|\[\]{{}}]]"""
_LINK = (
    r"(?:https?://|pic\.(?:twitter|x)\.com/|\bwww\.[a-z0-9]|\bt\.co/[a-z0-9])"
    rf"(?:(?:{_IN_LINK}|\({_IN_LINK}*\))*(?:{_LINK_END}|\({_IN_LINK}*\)))?"
)
_CUT_LINK = r"(?i)(?:^|\s+)ht(?:tps?:?/{0,2}|t)?…$"
"""What an old API left of a link at the end of a long post: ``htt…``, ``https:/…``."""

_MARK = "\0"
"""Stands for a link for a moment; the rule before has removed all others."""

_MARK_AND_SPACE = r"^\s*\x00[.,:;]*|\s*\(\x00\)|\s*\x00"
"""A link with the white space before it. Punctuation after it belongs to the sentence, unless
nothing stands before the link."""

_MAY_HOLD_LINK = r"(?i)https?://|pic\.(?:twitter|x)\.com/|www\.|t\.co/|ht[tps:/]*…$"

_LINE_BREAK = r"\r\n|[\r\x0B\x0C\x{85}\x{2028}\x{2029}]"

_ROUGH_SPACE = r"\s{2,}|[^\S ]|^\s|\s$"
"""What :func:`_collapse` changes."""

_ROUGH_SPACE_AND_NEWLINES = r"[^\S\n ]| {2,}| \n|\n |\n{3,}|^\s|\s$"
"""What :func:`_collapse_but_newlines` changes."""


def clean(
    texts: pl.Series, options: CurationOptions | None = None, authors: Collection[str] = ()
) -> pl.Series:
    """Clean a column of raw posts; a null becomes an empty text.

    In this order: HTML entities are un-escaped, broken encoding is repaired, characters are
    composed (NFC), control characters, the separator and links are removed, people are masked
    where ``options.scrub`` says so, white space is collapsed.

    Args:
        texts: raw posts.
        options: see :class:`CurationOptions`.
        authors: handles whose mentions ``scrub`` leaves alone.

    Returns:
        As many texts, none of which would change if cleaned again.
    """
    options = options or CurationOptions()
    rules: list[Callable[[pl.Series], pl.Series]] = [
        _unescape,
        _mend_characters,
        _remove_unseen,
        _remove_separator,
        _remove_links,
        _collapse_but_newlines if options.keep_newlines else _collapse,
    ]
    if options.scrub:
        handles = frozenset(author.lower() for author in authors)
        rules.insert(-1, partial(scrub, authors=handles))
    settle = partial(_until_fixed_point, rules=rules, unsettled=_unsettled(options))
    return pl.concat(in_slices(texts.cast(pl.String).fill_null(""), settle), rechunk=True)


def _unsettled(options: CurationOptions) -> str:
    """Write what any of the rules looks for as one pattern: what it isn't found in is clean."""
    space = _ROUGH_SPACE_AND_NEWLINES if options.keep_newlines else _ROUGH_SPACE
    parts = [_ENTITY, _mojibake(), NOT_INERT, _UNSEEN, re.escape(SEPARATOR), _MAY_HOLD_LINK, space]
    parts += [MAY_CONCERN] if options.scrub else []
    return "|".join(f"(?:{part})" for part in parts)


def _until_fixed_point(
    texts: pl.Series, rules: list[Callable[[pl.Series], pl.Series]], unsettled: str
) -> pl.Series:
    changed = texts
    rows: pl.Series | None = None  # None stands for all
    for _ in range(_MOST_ROUNDS):
        before = changed
        for rule in rules:
            changed = rule(changed)
        texts = changed if rows is None else texts.clone().scatter(rows, changed)
        moved = (changed != before).arg_true()
        moved = moved.filter(changed.gather(moved).str.contains(unsettled))
        if moved.is_empty():
            break
        rows = moved if rows is None else rows.gather(moved)
        changed = changed.gather(moved)
    return texts


def _unescape(texts: pl.Series) -> pl.Series:
    # Only with the semicolon: html.unescape alone would read "R&not" and "fun&times" as symbols.
    def replace(chosen: pl.Series) -> pl.Series:
        plain = chosen.str.replace_all(_ESCAPED_AMPERSANDS, "&")
        # X escapes these two only, so that few posts need the slow way.
        plain = plain.str.replace_many({"&lt;": "<", "&gt;": ">"})
        return map_where(plain, plain.str.contains(_ENTITY), by_name)

    def by_name(chosen: pl.Series) -> pl.Series:
        entity = re.compile(_ENTITY)
        unescaped = [entity.sub(lambda found: html.unescape(found[0]), text) for text in chosen]
        return pl.Series(chosen.name, unescaped, dtype=pl.String)

    return map_where(texts, texts.str.contains(_ENTITY), replace)


@cache
def _mojibake() -> str:
    """Write ftfy's own test for mojibake as a Rust regular expression.

    ftfy repairs a text only where this pattern matches (``ftfy.badness.is_bad``), so filtering by
    it lets nothing through that ftfy would have repaired, and costs 0.4 µs a post, not 40.
    The pattern is verbose: comments and blanks go, characters of a class are written as numbers
    because Rust gives ``[``, ``&`` and blanks a meaning there.
    """
    from ftfy.badness import BADNESS_RE

    def translate(piece: re.Match[str]) -> str:
        if piece["class"] is not None:
            members = piece["class"]
            return f"[{''.join(_class_member(member) for member in members)}]"
        return piece["escape"] or ""  # a comment or a blank is dropped

    pieces = r"#.*|\s+|(?P<escape>\\.)|\[(?P<class>[^\]]*)\]"
    # ftfy looks at each line alone, hence (?m). Python's \w holds a few numbers that Rust's lacks.
    pattern = re.sub(pieces, translate, BADNESS_RE.pattern)
    return "(?m)" + pattern.replace(r"\w", r"[\w\p{N}]")


def _class_member(character: str) -> str:
    is_syntax = character in "-^\\" or (character.isascii() and character.isalnum())
    return character if is_syntax else rf"\x{{{ord(character):x}}}"


def _mend_characters(texts: pl.Series) -> pl.Series:
    # One search for both kinds of work, in what alone can need either.
    def where_needed(chosen: pl.Series) -> pl.Series:
        rows = chosen.str.contains(f"{_mojibake()}|{NOT_INERT}")
        return map_where(chosen, rows, lambda found: normalise(_repair_encoding(found), "NFC"))

    return map_where(texts, beyond_ascii(texts), where_needed)


def _repair_encoding(texts: pl.Series) -> pl.Series:
    def repair(chosen: pl.Series) -> pl.Series:
        import ftfy

        # Encoding only: curly quotes, ligatures and wide letters are how a person writes. Each
        # line alone, as in ftfy.fix_text(), which takes half as long again for what else it does.
        config = ftfy.TextFixerConfig(explain=False)
        repaired = [
            "\n".join(ftfy.fix_encoding(line, config) for line in text.split("\n"))
            for text in chosen
        ]
        return pl.Series(chosen.name, repaired, dtype=pl.String)

    return map_where(texts, texts.str.contains(_mojibake()), repair)


def _remove_unseen(texts: pl.Series) -> pl.Series:
    # One search for both kinds: it takes longer than what is done to the few texts that hold any.
    def remove(chosen: pl.Series) -> pl.Series:
        return _remove_bidi_controls(chosen.str.replace_all(_INVISIBLE, ""))

    return map_where(texts, texts.str.contains(_UNSEEN), remove)


def _remove_bidi_controls(texts: pl.Series) -> pl.Series:
    # X wraps mentions in isolates on some phones; they mean something beside right-to-left text.
    rows = ~texts.str.contains(f"[{RIGHT_TO_LEFT}]")
    return map_where(texts, rows, lambda chosen: chosen.str.replace_all(_BIDI_CONTROL, ""))


def _remove_separator(texts: pl.Series) -> pl.Series:
    # A space takes its place, or what stood around it could form another one.
    return map_where(
        texts,
        texts.str.contains(SEPARATOR, literal=True),
        lambda chosen: chosen.str.replace_all(SEPARATOR, " ", literal=True),
    )


def _remove_links(texts: pl.Series) -> pl.Series:
    # Searching for links first and for the space before them after is seven times faster than both
    # at once: a pattern that starts with white space has candidates everywhere.
    def remove(chosen: pl.Series) -> pl.Series:
        marked = chosen.str.replace_all(f"(?i){_LINK}", _MARK)
        return marked.str.replace_all(_MARK_AND_SPACE, "").str.replace_all(_CUT_LINK, "")

    return map_where(texts, texts.str.contains(_MAY_HOLD_LINK), remove)


def _collapse(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(r"\s{2,}|[^\S ]", " ").str.strip_chars()


def _collapse_but_newlines(texts: pl.Series) -> pl.Series:
    lines = texts.str.replace_all(_LINE_BREAK, "\n").str.replace_all(r"[^\S\n]+", " ")
    return lines.str.replace_all(" ?\n ?", "\n").str.replace_all("\n{3,}", "\n\n").str.strip_chars()
