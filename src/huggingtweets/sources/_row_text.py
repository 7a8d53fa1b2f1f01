"""Find the text of a row: the whole one where a cut one is beside it, without what encodes it.

Exports have one text in several columns: cut (``text``) and whole (``full_text``), or cut for
readers that know no long posts. Which is whole differs from row to row.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING

from huggingtweets.sources._fields import parse_object, parse_text
from huggingtweets.sources._html import html_to_text, without_quoted_address
from huggingtweets.sources._post_kind import plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = (
    "fulltext",  # X v1.1, Apify, archives
    "extendedtweet",  # X v1.1, streamed
    "extendedtweetfulltext",
    "notetweet",  # X v2 and the web client
    "notetweettext",
    "notetweetnotetweetresultsresulttext",
    "longtext",
    "rawcontent",  # snscrape
    "tweetfulltext",
)
"""Plain names of columns with the whole text, or with an object that holds it."""

_STRING = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_PREFIXES = ("b", "B", "u", "U", "[")
_QUOTED = re.compile(rf"[bBuU]{_STRING}")
_STRINGS = re.compile(rf"\[\s*+[bBuU]?{_STRING}(?:\s*+,\s*+[bBuU]?{_STRING})*+\s*+,?\s*+\]")
_HTML = re.compile(
    r"\s*<(?:p|div|span|blockquote|ul|ol|h[1-6])\b[^<>]*>.*</?\w+\s*/?>\s*", re.DOTALL
)
_OLD_QUOTE = re.compile(r"\s*[(\"“‘']?\b(?:RT|MT|QT):?\s?@\w+\s?:")
_QUOTED_LINE = re.compile(r"^ {0,3}(?:>|&gt;)(?!!).*\n?", re.MULTILINE)  # `>!` hides a spoiler
_ELLIPSES = ("…", "...")
_MENTIONS = re.compile(r"(?:@\w++\s++)++")
_MAX_DEPTH = 4


@lru_cache(maxsize=256)
def whole_text_columns(names: tuple[str, ...]) -> dict[str, str]:
    """Map the plain names of columns with whole texts to their names."""
    by_name = {plain_name(name): name for name in reversed(names)}
    return {key: by_name[key] for key in _WHOLE if key in by_name}


def row_text(fields: Mapping[str, object], where: str) -> str:
    """Return the text of a row as its author wrote it.

    Args:
        fields: ``html``, or ``text`` and, if any, those of :func:`whole_text_columns`.
        where: the file's name for error messages.

    Raises:
        SourceError: the text is too long to be a post.
    """
    if "html" in fields:
        text = html_to_text(parse_text(fields["html"], where))
        return without_quoted_address(text) if fields.get("isQuote") is True else text
    text = parse_text(fields.get("text"), where)
    if not text.strip() and isinstance(other := fields.get("other_text"), str):
        text = parse_text(other, where)
    for name in whole_text_columns(tuple(fields)).values():
        whole = parse_text(_inner_text(fields[name]), where)
        if _is_whole(whole, text):
            text = whole
    return _without_old_quote(_decoded(text))


def _without_old_quote(text: str) -> str:
    """Keep the comment of ``so true RT @name: words of others``, as people quoted until 2015."""
    if "T @" not in text and "T: @" not in text:
        return text
    match = _OLD_QUOTE.search(text)
    return text[: match.start()] if match and text[: match.start()].strip() else text


def without_quoted_lines(text: str) -> str:
    """Remove the lines that Markdown marks as quoted: ``> words of others``."""
    return _QUOTED_LINE.sub("", text).strip() if ">" in text or "&gt;" in text else text


def _is_whole(whole: str, text: str) -> bool:
    """Return whether a text is there where another was cut, which then ends in … and a link."""
    if not text.strip():
        return bool(whole)
    if len(whole) <= len(text):
        return False
    *words, last = unescape(text).split()
    if words and last.startswith(("https://", "http://")):
        last = words.pop()
    words.append(last)
    beginning = " ".join(words)
    if beginning.endswith(_ELLIPSES):
        return True
    continued = " ".join(unescape(whole).split())
    return _without_mentions(continued).startswith(_without_mentions(beginning))


def _without_mentions(text: str) -> str:
    """Remove the people that a reply addresses, whom some texts lack."""
    match = _MENTIONS.match(text)
    return text[match.end() :] if match else text


def _inner_text(value: object, depth: int = 0) -> object:
    """Return the text inside an object such as ``note_tweet``, which a CSV holds as JSON."""
    if isinstance(value, str) and value[:1] == "{" and value.rstrip()[-1:] == "}":
        value = parse_object(value)
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return value
    for name in ("full_text", "text"):
        if isinstance(value.get(name), str):
            return value[name]
    inner = (value.get(name) for name in ("note_tweet_results", "result", "core"))
    return next((_inner_text(item, depth + 1) for item in inner if isinstance(item, dict)), None)


def _decoded(text: str) -> str:
    """Undo what programs wrote around a text: Python's quotes, and HTML."""
    stripped = text.strip()
    if stripped[:1] in _PREFIXES and stripped[-1:] in ("'", '"', "]"):
        return _python_text(stripped, text)
    if stripped[:1] == "<" and stripped[-1:] == ">" and _HTML.fullmatch(stripped):
        return html_to_text(stripped)
    return text


def _python_text(literal: str, text: str) -> str:
    r"""Return the text of ``b'caf\xc3\xa9'`` or of a list; ``text`` for anything else."""
    if not (_QUOTED.fullmatch(literal) or _STRINGS.fullmatch(literal)):
        return text
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError):
        return text
    parts = value if isinstance(value, list) else [value]
    return parse_text(" ".join(map(_text_of_bytes, parts)), "a text")


def _text_of_bytes(part: str | bytes) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode()
    except UnicodeDecodeError:
        return part.decode("cp1252", errors="replace")
