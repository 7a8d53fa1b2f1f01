"""The text of a post that is written in HTML, as Mastodon and its relatives keep them.

Nothing is shown or run: tags only tell where lines end. Links are what needs care, because Mastodon
hides parts of an address (``<span class="invisible">https://</span>``) that a reader would see when
clicking; such a link becomes its whole address, any other keeps the words it shows, so mentions and
hashtags stay ``@user`` and ``#tag``.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANK_LINES = re.compile("\n\n\n+")
_PARAGRAPHS = frozenset({"p", "blockquote", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset({"br", "div", "li", "hr", "tr"})
_UNSHOWN = frozenset({"script", "style", "template", "title"})
_SHORTENED = frozenset({"invisible", "ellipsis"})
_DECLARATION = re.compile(r"<[!?][^<>]*>")  # comments and the like
# A `<` that begins no whole tag is text. html.parser would look for the end of each, again and
# again: minutes for 100,000 characters of `<a `.
_NO_TAG = re.compile(r"""<(?!/?[a-zA-Z](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>)""")


def text_of_html(html: str) -> str:
    """Return the text a reader sees: ``<br>`` ends a line, ``<p>`` a paragraph. Never fails."""
    if "<" not in html and "&" not in html:
        return html.strip()
    parser = _Text()
    parser.feed(_NO_TAG.sub("&lt;", _DECLARATION.sub("", html)))
    parser.close()
    return parser.text()


class _Text(HTMLParser):
    """Collects the text of one post in pieces."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._href = ""
        self._link_at: int | None = None  # the piece at which the open link begins
        self._shortened = False
        self._unshown = 0  # how many tags deep in text that no reader sees
        self._kept_spaces = 0

    def text(self) -> str:
        """Join the pieces: no spaces around line ends, at most one blank line."""
        text = "\n".join(line.strip(" \t") for line in "".join(self._pieces).split("\n"))
        return _BLANK_LINES.sub("\n\n", text).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link's address and whether it is shortened, and end lines."""
        values = dict(attrs)
        if tag == "a":
            self._end_link()
            self._href, self._link_at = values.get("href") or "", len(self._pieces)
            self._shortened = False
        elif tag == "span":
            self._shortened |= not _SHORTENED.isdisjoint((values.get("class") or "").split())
        self._unshown += tag in _UNSHOWN
        self._kept_spaces += tag == "pre"
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take ``<br/>`` and the like, which have no end of their own."""
        if tag not in _UNSHOWN:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Put the address of a shortened link, and end a paragraph."""
        if tag == "a":
            self._end_link()
        elif tag in _UNSHOWN:
            self._unshown = max(0, self._unshown - 1)
        elif tag == "pre":
            self._kept_spaces = max(0, self._kept_spaces - 1)
        if tag != "br":
            self._break(tag)

    def handle_data(self, data: str) -> None:
        """Keep shown text, with the spaces of HTML, where a line end is a space too."""
        if not self._unshown:
            self._pieces.append(data if self._kept_spaces else _SPACES.sub(" ", data))

    def close(self) -> None:
        """End a link that has no end."""
        super().close()
        self._end_link()

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._pieces.append("\n\n")
        elif tag in _LINES:
            self._pieces.append("\n")

    def _end_link(self) -> None:
        if self._link_at is not None and self._shortened and self._href:
            self._pieces[self._link_at :] = [self._href]
        self._link_at, self._shortened = None, False
