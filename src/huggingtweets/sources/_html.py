"""Convert the HTML of a post, as Mastodon and compatible servers store it, to plain text.

Tags only determine line breaks. Mastodon hides parts of a shortened link
(``<span class="invisible">https://</span>``); such a link becomes its full address. Any other link
keeps its visible words, so mentions and hashtags stay ``@user`` and ``#tag``.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANK_LINES = re.compile("\n\n\n+")
_PARAGRAPHS = frozenset({"p", "blockquote", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset({"br", "div", "li", "hr", "tr"})
_HIDDEN = frozenset({"script", "style", "template", "title"})
_VOID = frozenset({"br", "hr", "img", "input", "wbr"})
_QUOTE = "quote-inline"
"""The class by which Mastodon, Akkoma and Misskey mark the address of a quoted post."""

_SHORTENED = frozenset({"invisible", "ellipsis"})
_DECLARATION = re.compile(r"<[!?][^<>]*>")  # comments and the like
# A `<` that doesn't begin a complete tag is text. html.parser would search for the end of each one:
# minutes for 100,000 characters of `<a `.
_LITERAL_LESS_THAN = re.compile(r"""<(?!/?[a-zA-Z](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>)""")


_QUOTED_ADDRESS = re.compile(
    r"\A(?:RE|QT|QP):? \[?https?://\S++\s*+|\n(?:RE|QT|QP):? \[?https?://\S++\s*+\Z"
)


def without_quoted_address(text: str) -> str:
    """Remove the line with the address of the quoted post, which servers add to a quote."""
    return _QUOTED_ADDRESS.sub("", text).strip()


def html_to_text(html: str) -> str:
    """Return the visible text: ``<br>`` ends a line, ``<p>`` a paragraph. Never fails."""
    if "<" not in html and "&" not in html:
        return html.strip()
    parser = _Text()
    parser.feed(_LITERAL_LESS_THAN.sub("&lt;", _DECLARATION.sub("", html)))
    parser.close()
    return parser.text()


class _Text(HTMLParser):
    """Collects the text of one post."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._href = ""
        self._link_start: int | None = None  # index of the piece where the open link begins
        self._shortened = False
        self._hidden_depth = 0  # nesting depth of hidden tags
        self._pre_depth = 0  # nesting depth of <pre>
        self._quote_tag = ""  # of the element with the address of a quoted post
        self._quote_depth = 0  # nesting depth of that tag

    def text(self) -> str:
        """Join the pieces, without spaces around line breaks and with at most one blank line."""
        text = "\n".join(line.strip(" \t") for line in "".join(self._pieces).split("\n"))
        return _BLANK_LINES.sub("\n\n", text).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link's address and whether it is shortened; break lines."""
        values = dict(attrs)
        if self._is_in_quote(tag, values):
            return
        if tag == "a":
            self._end_link()
            self._href, self._link_start = values.get("href") or "", len(self._pieces)
            self._shortened = False
        elif tag == "span":
            self._shortened |= not _SHORTENED.isdisjoint((values.get("class") or "").split())
        self._hidden_depth += tag in _HIDDEN
        self._pre_depth += tag == "pre"
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Handle self-closing tags such as ``<br/>``."""
        if tag not in _HIDDEN:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Insert the address of a shortened link; break paragraphs."""
        if self._quote_depth:
            self._quote_depth -= tag == self._quote_tag
            return
        if tag == "a":
            self._end_link()
        elif tag in _HIDDEN:
            self._hidden_depth = max(0, self._hidden_depth - 1)
        elif tag == "pre":
            self._pre_depth = max(0, self._pre_depth - 1)
        if tag != "br":
            self._break(tag)

    def handle_data(self, data: str) -> None:
        """Keep visible text; outside ``<pre>``, runs of white space become one space."""
        if not self._hidden_depth and not self._quote_depth:
            self._pieces.append(data if self._pre_depth else _SPACES.sub(" ", data))

    def close(self) -> None:
        """End a link without an end tag."""
        super().close()
        self._end_link()

    def _is_in_quote(self, tag: str, attributes: dict[str, str | None]) -> bool:
        """Enter the element that holds only "RE:" and an address; return whether inside one."""
        if self._quote_depth:
            self._quote_depth += tag == self._quote_tag
        elif _QUOTE in (attributes.get("class") or "").split() and tag not in _VOID:
            self._quote_tag, self._quote_depth = tag, 1
            self._break(tag)
        return self._quote_depth > 0

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._pieces.append("\n\n")
        elif tag in _LINES:
            self._pieces.append("\n")

    def _end_link(self) -> None:
        if self._link_start is not None and self._shortened and self._href:
            self._pieces[self._link_start :] = [self._href]
        self._link_start, self._shortened = None, False
