"""Read blogs: feeds (RSS and Atom), WordPress exports (WXR) and Blogger's.

Only published posts are read; drafts, private posts and pages are counted, and comments are not
looked at. The field names are those of the RSS 2.0 specification, RFC 4287 (Atom), WordPress's
``wp-admin/includes/export.php`` and Google Takeout's ``feed.atom``. Entities that a file defines
itself are refused, because a few can stand for gigabytes.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.sources._fields import (
    author_from_filename,
    hashed_id,
    parse_id,
    parse_name,
    parse_text,
    parse_time,
    titled,
)
from huggingtweets.sources._html import html_to_text
from huggingtweets.sources._post_kind import NO_POST, NOT_PUBLIC, OF_OTHERS, in_brackets
from huggingtweets.sources._text import file_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from huggingtweets.data.posts import Kind
    from huggingtweets.sources._zip_member import Member

FEEDS = (".xml", ".rss", ".atom")
"""Extensions."""

_ROOTS = frozenset({"rss", "feed", "RDF"})
_ITEMS = frozenset({"item", "entry"})
_ENCODED = "{http://purl.org/rss/1.0/modules/content/}encoded"
_CONTENT = (_ENCODED, "content", "description", "summary")
_DATES = ("post_date_gmt", "pubDate", "published", "date", "issued", "created", "updated")
_QUOTED_POST = re.compile(r"<hr\s*/?>\s*<blockquote>.*</blockquote>", re.DOTALL)
"""The quoted post, which Nitter puts after the one that quotes it."""

_KIND = "http://schemas.google.com/blogger/2008/kind#"


@dataclass(frozen=True, slots=True)
class Feed:
    """The published posts of one file, in its order.

    Attributes:
        path: the file.
        author: the name to use instead of the feed's.
        listen: receives events.
        left_out: number of items that are no posts to read, by reason.
    """

    path: Path | Member
    author: str | None = None
    listen: EventHandler = ignore
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str] = "feed"

    def posts(self) -> Iterator[Post]:
        """Yield every published post."""
        self.left_out.clear()
        found = False
        most = self._most_frequent_author()
        for position, (item, owner) in enumerate(self._items()):
            fields = _fields(item)
            author, is_repost = _author_of(item, fields, owner), _kind(fields) == "repost"
            reason = _reason(item, fields)
            if not reason and most and author not in (None, most) and not is_repost:
                reason = OF_OTHERS
            if reason:
                self.left_out[reason] += 1
                continue
            found = True
            # Nitter names the first author of a repost.
            yield self._post(fields, position, most or author if is_repost else author)
        if not found:
            raise SourceError(f"{self.path} holds no published posts{in_brackets(self.left_out)}.")

    def _most_frequent_author(self) -> str | None:
        """Return who wrote most of the posts, in a first pass; None if nobody did.

        A blog may have guests, and a feed may gather several blogs.
        """
        counts: Counter[str] = Counter()
        for item, owner in self._items():
            fields = _fields(item)
            author = _author_of(item, fields, owner)
            if author and not _reason(item, fields) and _kind(fields) != "repost":
                counts[author] += 1
        top = counts.most_common(1)
        return top[0][0] if top and top[0][1] * 2 > counts.total() else None

    def _items(self) -> Iterator[tuple[Element, str | None]]:
        """Yield each item and the author of the whole feed, freeing its memory afterwards."""
        from xml.etree.ElementTree import ParseError

        from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
        from defusedxml.ElementTree import iterparse  # type: ignore[import-untyped]

        stack: list[Element] = []
        owner: str | None = None
        with closing(file_chunks(self.path)) as chunks:
            try:
                for event, element in iterparse(_Reader(chunks), events=("start", "end")):
                    if event == "start":
                        if not stack and _local(element.tag) not in _ROOTS:
                            raise SourceError(
                                f"{self.path} is XML, but neither a feed (RSS, Atom) nor an export "
                                "of WordPress or Blogger."
                            )
                        stack.append(element)
                        continue
                    stack.pop()
                    if _local(element.tag) in _ITEMS:
                        yield element, owner
                        stack[-1].remove(element)
                    elif _local(element.tag) == "author" and _local(stack[-1].tag) == "feed":
                        owner = _author(element)
            except DefusedXmlException as error:
                raise SourceError(
                    f"{self.path} defines entities of its own, which could stand for gigabytes of "
                    "text, so it is not read; remove its DOCTYPE."
                ) from error
            except (ParseError, ValueError, LookupError) as error:
                raise SourceError(f"{self.path} is damaged XML ({error}); get it again.") from error

    def _post(self, fields: dict[str, str], position: int, author: str | None) -> Post:
        where = str(self.path)
        title = html_to_text(fields.get("title", ""))
        body = next((html for name in _CONTENT if (html := fields.get(name))), "")
        if body and _is_nitters(fields):
            title, body = "", _QUOTED_POST.sub("", body)  # the title repeats the post
        text = parse_text(titled(title, html_to_text(_paragraphs(body)), where), where)
        post_id = fields.get("post_id") or fields.get("guid") or fields.get("id")
        times = (parse_time(fields.get(name)) for name in _DATES)
        return Post(
            author=self.author or author or author_from_filename(self.path),
            id=parse_id(post_id) or hashed_id(position, text),
            text=text,
            created_at=next((time for time in times if time), None),
            kind=_kind(fields),
            source=self.name,
        )


class _Reader:
    """The chunks of a file as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1) -> bytes:
        """Return the next chunk, whatever its size."""
        del size
        return next(self._chunks, b"")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _fields(item: Element) -> dict[str, str]:
    """Return the texts of an item by the local names of its elements, the first of each."""
    fields: dict[str, str] = {}
    for child in item:
        text = "".join(child.itertext()) if _local(child.tag) == "content" else child.text or ""
        if child.tag == _ENCODED:
            fields[child.tag] = text
        elif text.strip():
            fields.setdefault(_local(child.tag), text)
    return fields


def _reason(item: Element, fields: dict[str, str]) -> str:
    """Return why an item is no post to read, or an empty text."""
    terms = (child.get("term", "") for child in item)
    kinds = [term.removeprefix(_KIND) for term in terms if term.startswith(_KIND)]
    kind = fields.get("post_type") or (kinds[0] if kinds else "")
    kind = (kind or fields.get("type", "post")).strip().lower()
    if kind == "comment":
        return OF_OTHERS
    if kind not in ("post", "status"):
        return NO_POST
    status = fields.get("status", "publish").strip().lower()
    is_draft = any(_local(child.tag) == "draft" for control in item for child in control)
    if status not in ("publish", "live") or fields.get("post_password") or is_draft:
        return NOT_PUBLIC
    return ""


def _author_of(item: Element, fields: dict[str, str], owner: str | None) -> str | None:
    """Return who wrote an item; ``owner`` wrote those that name nobody."""
    return parse_name(fields.get("creator")) or _author(item) or owner


def _author(element: Element) -> str | None:
    """Return the name of an Atom author, or of the one of an item."""
    names = [child.text for child in element.iter() if _local(child.tag) == "name"]
    return parse_name(names[0]) if names else None


def _paragraphs(html: str) -> str:
    """Mark paragraphs as WordPress does when it shows a post (``wpautop``)."""
    if re.search(r"<(?:p|br|div|li|pre)\b", html, re.IGNORECASE):
        return html
    return re.sub(r"\r?\n", "<br>", re.sub(r"(?:\r?\n){2,}", "<p>", html.strip()))


def _is_nitters(fields: dict[str, str]) -> bool:
    return fields.get("creator", "").startswith("@")


def _kind(fields: dict[str, str]) -> Kind:
    """Return the kind of a post, which Nitter writes into the title."""
    title = html_to_text(fields.get("title", ""))
    if title.startswith(("RT by @", "RT @")):
        return "repost"
    return "reply" if title.startswith("R to @") else "original"
