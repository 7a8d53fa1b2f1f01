"""Read Tumblr posts in the shape of its API v2: the author's own words, never those reblogged.

Tumblr documents no format of its own export, a zip of web pages. What people hold are answers of
the API (``/v2/blog/NAME/posts``) in one file, and the backups of tumblr-backup with ``--json``: a
folder or zip with ``json/ID.json``, a post each. Field names are those of github.com/tumblr/docs
(``api.md``, ``npf-spec.md``); the signs of a reblog, ``reblog.comment`` and ``is_submission`` are
those of tumblr-backup (github.com/cebtenzzre/tumblr-utils, ``is_reblog.py``); ``is_current_item``
and ``content_raw`` of a legacy trail were seen in stored answers of the API.

* A legacy post has HTML in ``body``, ``caption``, ``description`` or ``answer``; a post in the
  Neue Post Format (NPF) has blocks in ``content``, of which text blocks are read.
* A reblog's own words are what its author added: a quote, or a repost if nothing was added.
* Quotations (``<blockquote>``, blocks ``quote`` and ``indented``), questions asked, quote and chat
  posts and submissions are other people's words. Tags are not read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from huggingtweets.data.posts import Post
from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import (
    as_dict,
    as_list,
    hashed_id,
    parse_id,
    parse_name,
    parse_time,
    titled,
)
from huggingtweets.sources._json_reader import DECODER
from huggingtweets.sources._post_kind import (
    NO_POST,
    NOT_PUBLIC,
    OF_OTHERS,
    in_brackets,
    is_object,
    is_yes,
    parse_kind,
    reason_to_leave_out,
)
from huggingtweets.sources._row_text import row_text
from huggingtweets.sources._text import decode_utf8, file_chunks
from huggingtweets.sources.safe_zip import SafeZip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from huggingtweets.sources.reading import ReadOptions

    Record = dict[str, object]

_OWN_HTML = {
    "text": "body",
    "photo": "caption",
    "video": "caption",
    "audio": "caption",
    "link": "description",
    "answer": "answer",
}
"""The field with the author's words in each type of legacy post; quotes and chats have none."""

_QUOTATIONS = frozenset({"quote", "indented", "chat"})
"""Subtypes of text blocks that hold what others said, as ``npf-spec.md`` intends them."""

_REBLOG_OF = ("reblogged_from_id", "reblogged_from_name", "reblogged_root_id", "parent_post_url")
_BLOCKQUOTE = re.compile(r"<(/?)blockquote\b[^<>]*>", re.IGNORECASE)
_CREDIT = re.compile(
    r"<a\b[^<>]*\btumblr_blog\b[^<>]*>[^<>]*</a>:|\(via <a\b[^<>]*>[^<>]*</a>\)", re.IGNORECASE
)
"""Names the blog whose words follow in a reblog of before 2015."""

_FILE = re.compile(r"(?:(?:[^/]+/)?json/)?\d{1,20}\.json")
_PAGE = re.compile(r"(?:.*/)?(?:html|posts)/\d{6,20}\.html")
_MAX_RECORD_BYTES = 16 * 1024**2  # with its notes, a post may have some megabytes


def is_tumblr_post(record: Record) -> bool:
    """Return whether a record has the shape of a post of Tumblr's API."""
    named = isinstance(record.get("blog_name"), str)
    return named and any(name in record for name in ("reblog_key", "post_url", "id_string"))


def tumblr_row(post: Record) -> Record:
    """Return a post as a row for :mod:`~huggingtweets.sources._network_rows`."""
    blog = parse_name(post.get("blog_name"))
    row: Record = {
        "text": None,
        "author": blog,
        "by": parse_name(post.get("post_author")) or blog,
        "id": post.get("id_string") or post.get("id"),
        "created_at": post.get("timestamp") or post.get("date"),
        "visibility": post.get("state", "published") or "not given",
    }
    if is_yes(post.get("is_submission")):
        return row | {"left_out": OF_OTHERS}
    if is_yes(post.get("is_paywalled")) or is_object(post.get("community")):
        return row | {"left_out": NOT_PUBLIC}
    blocks = post.get("content")
    words = _own_blocks(post) if isinstance(blocks, list) else _own_html(post)
    return row | words


def _own_blocks(post: Record) -> Record:
    """Return text and kind of a post in the Neue Post Format."""
    layouts = map(as_dict, as_list(post.get("layout")))
    asks = (as_list(layout.get("blocks")) for layout in layouts if layout.get("type") == "ask")
    asked = {str(number) for blocks in asks for number in blocks}  # read as text, like all numbers
    texts = [
        text
        for number, block in enumerate(map(as_dict, as_list(post.get("content"))))
        if block.get("type") == "text"
        and str(number) not in asked
        and block.get("subtype") not in _QUOTATIONS
        and isinstance(text := block.get("text"), str)
    ]
    return _of_kind("\n\n".join(texts), is_reblog=_is_reblog(post), is_answer=bool(asked))


def _own_html(post: Record) -> Record:
    """Return HTML, title and kind of a legacy post."""
    type_ = str(post.get("type"))
    is_reblog = _is_reblog(post)
    added = _added_html(post) if is_reblog else None
    if added is None and type_ not in _OWN_HTML:
        return {"left_out": OF_OTHERS if type_ in ("quote", "chat") else NO_POST}
    html = post.get(_OWN_HTML[type_]) if added is None else added
    html = html if isinstance(html, str) else ""
    is_reblog = is_reblog or bool(_CREDIT.search(html))
    if is_reblog and added is None and ("(via <a" in html or not _BLOCKQUOTE.search(html)):
        html = ""  # nothing tells the added words from the others'
    words = _of_kind(without_quotations(html), is_reblog=is_reblog, is_answer=type_ == "answer")
    title = {"title": post.get("title")} if type_ == "text" and not is_reblog else {}
    return {"html": words.pop("text")} | words | title


def _added_html(post: Record) -> object:
    """Return what a reblog's author added, if the post says so: None if it doesn't."""
    for item in map(as_dict, as_list(post.get("trail"))):
        if is_yes(item.get("is_current_item")):
            return item.get("content_raw") or item.get("content") or ""
    return as_dict(post.get("reblog")).get("comment")


def _of_kind(text: str, *, is_reblog: bool, is_answer: bool) -> Record:
    if is_reblog:
        has_words = bool(re.sub(r"<[^<>]*>|&nbsp;|\s", "", text))
        return {"text": text, "kind": "quote"} if has_words else {"text": "", "kind": "repost"}
    return {"text": text, "kind": "reply" if is_answer else None}


def _is_reblog(post: Record) -> bool:
    if any(is_object(post.get(name)) for name in _REBLOG_OF):
        return True
    own = str(post.get("id_string") or post.get("id"))
    if is_object(root := post.get("root_id")) and str(root) != own:
        return True
    trail = [as_dict(item) for item in as_list(post.get("trail"))]
    if isinstance(post.get("content"), list):
        return bool(trail)
    others = any(str(as_dict(item.get("post")).get("id", own)) != own for item in trail)
    return others or bool(as_dict(post.get("reblog")).get("tree_html"))


def without_quotations(html: str) -> str:
    """Remove what is quoted from others, and the names of the blogs that are credited for it."""
    kept: list[str] = []
    depth = end = 0
    for tag in _BLOCKQUOTE.finditer(html):
        if depth == 0:
            kept.append(html[end : tag.start()])
        depth = max(0, depth - 1) if tag[1] else depth + 1
        end = tag.end()
    if depth == 0:
        kept.append(html[end:])
    return _CREDIT.sub("", "<br>".join(kept))


@dataclass(frozen=True, slots=True)
class TumblrBackup:
    """The posts of a backup with a file for each, oldest first.

    Attributes:
        path: the folder or the zip.
        files: names of the files in it, with forward slashes.
        author: the handle to use instead of the blog's name.
        left_out: number of records left out at the last reading, by reason.
    """

    path: Path
    files: tuple[str, ...]
    author: str | None = None
    left_out: Counter[str] = field(default_factory=Counter, compare=False)
    name: ClassVar[str] = "tumblr"

    def posts(self) -> Iterator[Post]:
        """Yield the posts of the blog that most files are of, even if their text is empty."""
        self.left_out.clear()
        blog = self._blog()
        found = False
        for position, row in enumerate(self._rows()):
            reason = row.get("left_out") or reason_to_leave_out(row)
            if not reason and row.get("author") != blog:
                reason = OF_OTHERS
            if reason:
                self.left_out[str(reason)] += 1
                continue
            found = True
            yield self._post(row, position, blog)
        if not found:
            raise SourceError(f"{self.path} holds no posts{in_brackets(self.left_out)}.")

    def begins_with_a_post(self) -> bool:
        """Return whether the first file holds a post of Tumblr's API."""
        with closing(self._rows()) as rows:
            return "author" in next(rows, {})

    def _blog(self) -> str:
        """Find the blog that most posts are of.

        Raises:
            SourceError: there is none, as in a backup of what somebody liked.
        """
        counts = Counter(row.get("author") for row in self._rows() if "author" in row)
        blog, number = next(iter(counts.most_common(1)), (None, 0))
        if not isinstance(blog, str) or number * 2 <= counts.total():
            raise SourceError(
                f"{self.path} holds posts of {len(counts):,} blogs, none of which wrote most of "
                "them; give the backup of one blog, not of what it liked."
            )
        return blog

    def _post(self, row: Record, position: int, blog: str) -> Post:
        where = str(self.path)
        text = row_text(row, where)
        text = titled(row["title"], text, where) if "title" in row else text
        return Post(
            author=self.author or blog,
            id=parse_id(row.get("id")) or hashed_id(position, text),
            text=text,
            created_at=parse_time(row.get("created_at")),
            kind=parse_kind(text, row),
            source=self.name,
        )

    def _rows(self) -> Generator[Record, None, None]:
        for name, chunks in self._contents():
            where = f"{name} in {self.path}"
            record = _parsed(_limited(chunks, where), where)
            yield tumblr_row(record) if is_tumblr_post(record) else {"left_out": NO_POST}

    def _contents(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        if self.path.is_dir():
            for name in self.files:
                yield name, file_chunks(self.path / name)
            return
        with closing(SafeZip(self.path)) as archive:
            archive.check(list(self.files))
            for name in self.files:
                yield name, archive.chunks(name)


def open_tumblr(path: Path, names: Sequence[str], reading: ReadOptions) -> TumblrBackup | None:
    """Find the backup that has these files; None for anything else.

    Raises:
        SourceError: the first file is damaged; or they are the pages of Tumblr's own export, or of
            a backup without JSON.
    """
    files = sorted(filter(_FILE.fullmatch, names), key=lambda name: (len(name), name))
    backup = TumblrBackup(path, tuple(files), reading.author)
    if files and backup.begins_with_a_post():
        return backup
    if any(map(_PAGE.fullmatch, names)):
        raise SourceError(
            f"{path} holds a blog as web pages, which are not read because they mix the author's "
            "words with reblogged ones; give the folder that `tumblr-backup --json BLOG` writes."
        )
    return None


def names_below(folder: Path) -> list[str]:
    """Return the names of the files in a folder that :func:`open_tumblr` looks at."""
    patterns = ("*.json", "json/*.json", "*/json/*.json", "posts/*.html", "*/posts/*.html")
    found = (
        path
        for pattern in (*patterns, "html/*.html", "posts/html/*.html")
        for path in folder.glob(pattern)
    )
    return [path.relative_to(folder).as_posix() for path in found]


def _limited(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _MAX_RECORD_BYTES:
            raise SourceError(f"{where} is too large to be a post of Tumblr.")
        yield chunk


def _parsed(chunks: Iterable[bytes], where: str) -> Record:
    text = "".join(decode_utf8(chunks, where))
    try:
        return as_dict(DECODER.decode(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise SourceError(f"{where} is not JSON; make the backup again.") from error
