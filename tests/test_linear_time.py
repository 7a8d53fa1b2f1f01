"""No text takes more than linear time, whatever odd characters an author or visitor sends."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl
import pytest

from huggingtweets.curation import CurationOptions, curate
from huggingtweets.curation._clean import clean
from huggingtweets.data.posts import Post, posts_table
from huggingtweets.errors import InputError
from huggingtweets.generation.copy_index import is_loop, words
from huggingtweets.privacy.masking import mask
from huggingtweets.publish import Sharing, drafts
from huggingtweets.publish import clean as clean_for_pictures
from huggingtweets.publish.escaping import escape_html, escape_markdown, one_line
from huggingtweets.sources._fields import parse_id, parse_name, parse_time
from huggingtweets.sources._html import html_to_text, without_quoted_address
from huggingtweets.sources._long_tweets import _have_same_beginning
from huggingtweets.sources._post_kind import parse_kind
from huggingtweets.sources._row_text import row_text

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = (
    *("a", "a.", "a@", "a@b.", "a.a@", "@", "@a", "@a-.", "%", ".", "-", "_", "é", "\u4e00", "😀"),
    *("1", "1 ", "1,", "+1", "(2", "0/0", "00-", "1.", "12:", "$1"),
    *(" ", "\n", " \n", "\t ", "\r\n", "\x00", "\x1b[", "\u200d", "\u202e", "\u0301", "\ufe0f"),
    *("&", "&#", "&#x", "&amp;", "&amp;amp", "&lt", "&ampamp;", "&#38;#38;"),
    *(
        "<",
        "<a",
        "<a ",
        "<a b",
        "<a b=",
        "<a b='",
        '<a b="',
        "</a",
        "<!",
        "<!--",
        "<![",
        "<?",
        "<p>",
    ),
    *("http", "http://", "https://(", "www.", "t.co/", "(https://t.co/a", "https://a.b/(c", "ht…"),
    *(
        "…",
        "ã€",
        "Ã©",
        "â€™",
        "Ã",
        "RT @",
        "RT",
        "#",
        "`",
        "*",
        "[",
        "](",
        "<|endoftext|>",
        "<|end",
    ),
    *("pass:", "password is ", "sk-", "eyJ", "eyJa.", "-----BEGIN PRIVATE KEY-----", "DE89 "),
    *("4111 ", "x://a:", "a [at] b", "1 Main ", "12 A ", "Via A ", "rue de ", "api key: ", "ab1"),
)
CAPPED = {"<a {} >": "<a {}>", "&{};": "&{};", "{}@a.bc": "{}@a.bc", "@{}": "@{}"}


def _texts(length: int) -> list[str]:
    plain = [(piece * length)[:length] for piece in PIECES]
    framed = [frame.format(text) for frame in CAPPED.values() for text in plain[::6]]
    return plain + framed


def _clean(text: str) -> object:
    return clean(pl.Series([text]), CurationOptions(mask="mentions"), ["nasa"])


def _mask(text: str) -> object:
    return mask(text, "mentions")


def _clean_lines(text: str) -> object:
    return clean(pl.Series([text]), CurationOptions(keep_newlines=True))


def _curate(text: str) -> object:
    return curate(posts_table([Post("a", "1", text), Post("a", "2", f"{text} b")]))


def _fields(text: str) -> object:
    return parse_id(text), parse_name(text), parse_time(text), parse_kind(text, {"kind": text})


def _row(text: str) -> object:
    text = text[: len(text) // 3]  # three fit into the longest post
    # A whole text beside a cut one, what Python writes, and the address of a quoted post.
    rows = ({"text": f"{text}…", "full_text": f"{text} {text}"}, {"text": f"['a'{text}]"})
    html = {"text": f"<p>{text}</p>", "note_tweet": f"{{{text}}}"}
    return [row_text(row, "a test")[:9] for row in (*rows, html)]


def _share(text: str) -> object:
    with suppress(InputError):  # nothing visible in it
        return drafts(text, ["nasa"], Sharing())
    return None


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "clean": _clean,
    "mask": _mask,
    "clean with newlines": _clean_lines,
    "curate": _curate,
    "html": lambda text: without_quoted_address(html_to_text(text)),
    "text of a row": _row,
    "fields": _fields,
    "long tweets": lambda text: _have_same_beginning(text, text),
    "words": words,
    "markdown": lambda text: (escape_markdown(text), escape_html(text), one_line(text)),
    "share": _share,
    "picture": clean_for_pictures,
    "loops": is_loop,
}
SHORT, LONG = 5_000, 40_000
BASELINE_SECONDS = 0.4
"""A text of 40,000 characters may take this long anyway; the slowest takes a quarter of it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_with_the_length_and_not_its_square(name: str) -> None:
    function = FUNCTIONS[name]
    function("warm up: imports")
    texts = zip(_texts(SHORT), _texts(LONG), strict=True)
    assert [long[:20] for short, long in texts if _is_slow(function, short, long)] == []


def _is_slow(function: Callable[[str], object], short: str, long: str) -> bool:
    # Linear is 8 times as long, quadratic 64 times. Threads that other tests left running count
    # too, so one slow run proves nothing.
    return all(
        (taken := _seconds(function, long)) > BASELINE_SECONDS
        and taken > 20 * _seconds(function, short)
        for _ in range(3)
    )


def _seconds(function: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    function(text)
    return time.process_time() - start
