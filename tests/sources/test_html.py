from __future__ import annotations

import time

import pytest

from huggingtweets.sources._html import html_to_text

SHORTENED = (
    '<a href="https://ex.org/a/b?c=1&amp;d=2"><span class="invisible">https://</span>'
    '<span class="ellipsis">ex.org/a</span><span class="invisible">/b?c=1&amp;d=2</span></a>'
)
MENTION = (
    '<span class="h-card"><a href="https://m.s/@bob" class="u-url">@<span>bob</span></a></span>'
)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>one</p><p>two<br>three<br />four</p>", "one\n\ntwo\nthree\nfour"),
        (f"<p>see {SHORTENED}!</p>", "see https://ex.org/a/b?c=1&d=2!"),
        (f"<p>hi {MENTION}, well</p>", "hi @bob, well"),
        ('<a href="https://m.s/tags/x" rel="tag">#<span>x</span></a>', "#x"),
        ('<a href="https://ex.org">these words</a>', "these words"),
        ("5 &lt; 6 &amp; 7 &#39; &eacute; &quot;", "5 < 6 & 7 ' é \""),
        ("<p>a  b\n c</p>", "a b c"),
        ("<pre>a  b\n c</pre>", "a  b\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "a\n\nb"),
        ("<blockquote>a</blockquote>b", "a\n\nb"),
        ("<script>alert(1)</script><style>p {}</style>x<!-- y -->", "x"),
        ("&#0; &#xd800;", "\ufffd \ufffd"),
        ("a <3 b, 1 < 2 and <not closed", "a <3 b, 1 < 2 and <not closed"),
        ("<![x[ a <b>c</b>", "<![x[ a c"),
        ('<a href="https://x.org"><span class="invisible">never closed', "https://x.org"),
        ("", ""),
    ],
)
def test_visible_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "</", "<a ", "&", "<a x='", '<a "', "<![CDATA[", "<script></", "<p>"]
)
def test_no_html_takes_long(piece: str) -> None:
    start = time.process_time()
    html_to_text(piece * (100_000 // len(piece)))
    assert time.process_time() - start < 10  # html.parser alone: up to 280
