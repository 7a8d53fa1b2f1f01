"""Cases of the contract suite for exports that are tables, and for blogs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from html import escape
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as escape_xml

from tests.sources.cases import Case, Sample

from huggingtweets.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from huggingtweets.sources import Source

# Column names of the files that the services send: Reddit's data request (comments.csv),
# LinkedIn's "Get a copy of your data" (Shares.csv), Google Takeout's YouTube (comments.csv).
REDDIT = "id,permalink,date,ip,subreddit,gildings,link,parent,body,media"
REDDIT_POSTS = "id,permalink,date,ip,subreddit,gildings,title,url,body"
LINKEDIN = "Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility"
YOUTUBE = (
    "Comment ID,Channel ID,Comment Create Timestamp,Price,Parent Comment ID,Video ID,Comment Text"
)


def _reddit(post: Sample) -> dict[str, object]:
    return {
        "id": f"c{post.number}",
        "date": post.time.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "subreddit": "boats",
        "parent": "t1_x" if post.kind == "reply" else "",
        "body": post.text,
    }


def _linkedin(post: Sample) -> dict[str, object]:
    return {
        "Date": post.time.strftime("%Y-%m-%d %H:%M:%S"),
        "ShareLink": f"https://www.linkedin.com/feed/update/urn:li:share:{post.number}",
        "ShareCommentary": post.text,
        "Visibility": "MEMBER_NETWORK",
    }


def _youtube(post: Sample) -> dict[str, object]:
    parts = [{"text": post.text[:3]}, {"text": post.text[3:]}]
    return {
        "Comment ID": f"Ug{post.number}",
        "Channel ID": "UCx",
        "Comment Create Timestamp": post.time.isoformat(),
        "Parent Comment ID": "Ug5" if post.kind == "reply" else "",
        "Video ID": "v",
        "Comment Text": json.dumps({"takeoutSegments": parts}),
    }


def table(header: str, rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """Yield the lines of a table."""
    yield f"{header}\r\n".encode()
    for row in rows:
        stream = io.StringIO()
        csv.writer(stream).writerow([row.get(name, "") for name in header.split(",")])
        yield stream.getvalue().encode()


def _zip(
    header: str, name: str, beside: str, row: Callable[[Sample], dict[str, object]]
) -> Callable[[Path, Iterable[Sample]], Source]:
    def write(folder: Path, posts: Iterable[Sample]) -> Source:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(beside, "FROM,TO,CONTENT,body\nsomeone,me,a private word,x\n")
            with archive.open(name, "w") as stream:
                stream.writelines(table(header, map(row, posts)))
        return open_source(folder / "a.zip")

    return write


def _html(post: Sample) -> str:
    return f"<p>{escape(post.text)}</p>".replace("\n", "<br />")


def rss_item(post: Sample, extra: str = "") -> str:
    """Return an item of RSS 2.0, with the elements of WordPress."""
    return (
        f"<item><title></title><link>https://b.example/{post.number}</link>"
        f"<pubDate>{post.time:%a, %d %b %Y %H:%M:%S} +0000</pubDate><dc:creator>ada</dc:creator>"
        f'<guid isPermaLink="false">https://b.example/?p={post.number}</guid>'
        f"<content:encoded><![CDATA[{_html(post)}]]></content:encoded>{extra}</item>\n"
    )


RSS_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" '
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:wp="http://wordpress.org/export/1.2/">'
    "<channel><title>A blog</title>"
)
RSS_TAIL = "</channel></rss>"
ATOM_HEAD = '<feed xmlns="http://www.w3.org/2005/Atom"><title>A blog</title>'


def _atom_entry(post: Sample) -> str:
    return (
        f"<entry><id>tag:b.example,2020:{post.number}</id><title></title>"
        f"<published>{post.time.isoformat()}</published><author><name>ada</name></author>"
        f'<content type="html">{escape_xml(_html(post))}</content></entry>\n'
    )


def _wxr_item(post: Sample) -> str:
    fields = f"<wp:post_id>{post.number}</wp:post_id><wp:post_type>post</wp:post_type>"
    return rss_item(post, f"{fields}<wp:status>publish</wp:status>")


def _document(
    name: str, head: str, item: Callable[[Sample], str], tail: str
) -> Callable[[Path, Iterable[Sample]], Source]:
    def write(folder: Path, posts: Iterable[Sample]) -> Source:
        with (folder / name).open("wb") as stream:
            stream.write(head.encode())
            stream.writelines(item(post).encode() for post in posts)
            stream.write(tail.encode())
        return open_source(folder / name)

    return write


_BOTH = frozenset({"original", "reply"})
_ONE = frozenset({"original"})
_TAKEOUT = "Takeout/YouTube and YouTube Music"

TABLE_CASES = [
    Case(
        "reddit",
        _zip(REDDIT, "comments.csv", "messages.csv", _reddit),
        "a.zip",
        kinds=_BOTH,
        langs=False,
        escapes=False,
    ),
    Case(
        "linkedin",
        _zip(LINKEDIN, "Shares.csv", "messages.csv", _linkedin),
        "a.zip",
        kinds=_ONE,
        langs=False,
        escapes=False,
    ),
    Case(
        "youtube",
        _zip(YOUTUBE, f"{_TAKEOUT}/comments/comments.csv", f"{_TAKEOUT}/playlists/x.csv", _youtube),
        "a.zip",
        kinds=_BOTH,
        langs=False,
        escapes=False,
    ),
    *(
        Case(name, _document(*document), document[0], kinds=_ONE, langs=False, escapes=False)
        for name, document in {
            "rss": ("a.rss", RSS_HEAD, rss_item, RSS_TAIL),
            "atom": ("a.atom", ATOM_HEAD, _atom_entry, "</feed>"),
            "wordpress": ("a.xml", RSS_HEAD, _wxr_item, RSS_TAIL),
        }.items()
    ),
]
