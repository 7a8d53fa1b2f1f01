"""Cases of the contract suite for Tumblr: answers of its API, and backups of tumblr-backup."""

from __future__ import annotations

import json
import zipfile
from html import escape
from typing import TYPE_CHECKING, Any

from tests.sources.cases import Case, Sample, joined, write_file

from huggingtweets.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from huggingtweets.sources import Source

BLOG = "ada-writes"
_FIRST = 10**17


def post(number: int, **fields: object) -> dict[str, Any]:
    """Return the fields that all of Tumblr's posts have."""
    return {
        "blog_name": BLOG,
        "id": _FIRST + number,
        "id_string": str(_FIRST + number),
        "post_url": f"https://{BLOG}.example/post/{_FIRST + number}",
        "reblog_key": "b0baQtsl",
        "timestamp": 1_612_325_106,
        "date": "2021-02-03 04:05:06 GMT",
        "state": "published",
        "format": "html",
        "tags": ["a tag", "boats"],
        "note_count": 3,
    } | fields


def trail_item(number: int, blog: str, html: str, **fields: object) -> dict[str, Any]:
    """Return an item of a legacy trail."""
    of = {"blog": {"name": blog}, "post": {"id": str(_FIRST + number)}}
    return of | {"content_raw": html, "content": html} | fields


def block(text: str, **fields: object) -> dict[str, Any]:
    """Return a text block of the Neue Post Format."""
    return {"type": "text", "text": text} | fields


def legacy(sample: Sample) -> dict[str, Any]:
    """Return a post with HTML."""
    html = f"<p>{escape(sample.text)}</p>".replace("\n", "<br>")
    at = {"timestamp": int(sample.time.timestamp()), "body": html, "title": None}
    if sample.kind == "reply":
        asked = {"type": "answer", "question": "and others?", "answer": html, "asking_name": "bob"}
        return post(sample.number, **at) | asked
    if sample.kind == "quote":
        others = "<p>words of others</p>"
        quoted = f'<p><a class="tumblr_blog" href="x">bob</a>:</p><blockquote>{others}</blockquote>'
        trail = [
            trail_item(-1, "bob", others, is_root_item=True),
            trail_item(sample.number, BLOG, html, is_current_item=True),
        ]
        reblog = {"comment": html, "tree_html": quoted}
        of = {"reblogged_from_id": "5", "trail": trail, "reblog": reblog, "type": "text"}
        return post(sample.number, **at) | of | {"body": quoted + html}
    trail = [trail_item(sample.number, BLOG, html, is_current_item=True, is_root_item=True)]
    return post(sample.number, type="text", trail=trail, **at)


def npf(sample: Sample) -> dict[str, Any]:
    """Return a post in the Neue Post Format."""
    others, own = block("words of others"), block(sample.text)
    at = {"timestamp": int(sample.time.timestamp()), "type": "blocks", "content": [own]}
    if sample.kind == "reply":
        ask = {"type": "ask", "blocks": [0], "attribution": {"type": "blog"}}
        return post(sample.number, **at) | {"content": [others, own], "layout": [ask]}
    trail = [{"blog": {"name": "bob"}, "post": {"id": "5"}, "content": [others], "layout": []}]
    return post(sample.number, trail=trail if sample.kind == "quote" else [], layout=[], **at)


def _folder(folder: Path, posts: Iterable[Sample]) -> Source:
    (folder / "json").mkdir(exist_ok=True)
    for sample in posts:
        (folder / f"json/{_FIRST + sample.number}.json").write_text(json.dumps(legacy(sample)))
    return open_source(folder)


def _zip(folder: Path, posts: Iterable[Sample]) -> Source:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for sample in posts:
            content = json.dumps(npf(sample), sort_keys=True, indent=4)
            archive.writestr(f"{BLOG}/json/{_FIRST + sample.number}.json", content)
        archive.writestr(f"{BLOG}/posts/{_FIRST}.html", "<p>words of others</p>")
    return open_source(folder / "a.zip")


def _page(convert: Callable[[Sample], object]) -> Callable[[Path, Iterable[Sample]], Source]:
    head = '{"meta": {"status": 200}, "response": {"blog": {"name": "ada-writes"}, "posts": '
    return write_file("p.json", lambda posts: joined(head, map(convert, posts), "}}"))  # type: ignore[no-any-return]


TUMBLR_CASES = [
    Case("tumblr folder", _folder, langs=False),
    Case("tumblr zip", _zip, "a.zip", langs=False),
    Case("tumblr api", _page(legacy), "p.json", langs=False, streams=False),
]
