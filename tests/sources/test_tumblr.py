"""Tumblr: the author's own public words, whichever way a post was stored."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.tumblr_cases import BLOG, block, post, trail_item

from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source, read_posts, unwrap
from huggingtweets.sources.tumblr import without_quotations

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = "<p>words of others</p>"
OWN = "<p>my words</p>"
OLD_REBLOG = f'<p><a class="tumblr_blog" href="x">bob</a>:</p><blockquote>{OTHERS}</blockquote>'


def _text(number: int = 1, **fields: object) -> dict[str, Any]:
    return post(number, type="text", title="", body=OWN) | fields


def _read(folder: Path, *records: dict[str, Any]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return text and kind of what is read, and what is left out."""
    (folder / "p.json").write_text(json.dumps({"response": {"posts": list(records)}}))
    source = open_source(folder / "p.json")
    posts = [(post.text, str(post.kind)) for post in source.posts()]
    return posts, dict(unwrap(source).left_out)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("record", "text", "kind"),
    [
        (_text(title="A title"), "A title\nmy words", "original"),
        (_text(body="<p>one<br>two</p><p>three</p>"), "one\ntwo\n\nthree", "original"),
        (_text(body=f"{OWN}<blockquote>{OTHERS}</blockquote>"), "my words", "original"),
        (post(1, type="photo", caption=OWN, photos=[]), "my words", "original"),
        (post(1, type="link", title="of others", url="x", description=OWN), "my words", "original"),
        (post(1, type="answer", question="of others?", answer=OWN), "my words", "reply"),
        (post(1, type="blocks", content=[block("my words")]), "my words", "original"),
        (
            post(1, type="text", body=OTHERS, content=[{"type": "image"}, block("a"), block("b")]),
            "a\n\nb",
            "original",
        ),
        (
            post(1, type="blocks", content=[block("others", subtype="indented"), block("mine")]),
            "mine",
            "original",
        ),
    ],
)
def test_the_own_words_of_each_type(
    tmp_path: Path, record: dict[str, Any], text: str, kind: str
) -> None:
    assert _read(tmp_path, record) == ([(text, kind)], {})


@pytest.mark.parametrize(
    "marks",
    [
        {"reblogged_from_id": "5", "reblog": {"comment": "", "tree_html": OLD_REBLOG}},
        {"root_id": 5, "trail": [trail_item(-1, "bob", OTHERS, is_root_item=True)]},
        {"reblog": {"comment": "<p> </p>", "tree_html": OLD_REBLOG}},
        {"parent_post_url": "https://bob.example/5", "body": OLD_REBLOG},
        {"body": OLD_REBLOG},
        {"body": f'{OTHERS} (via <a href="https://bob.example">bob</a>)'},
    ],
)
def test_a_reblog_without_own_words_is_a_repost_however_it_is_marked(
    tmp_path: Path, marks: dict[str, Any]
) -> None:
    assert _read(tmp_path, _text(1, body=OTHERS) | marks) == ([("", "repost")], {})


@pytest.mark.parametrize(
    "record",
    [
        _text(reblogged_from_id="5", reblog={"comment": OWN, "tree_html": OLD_REBLOG}, body=OTHERS),
        _text(
            body=OTHERS,
            trail=[
                trail_item(-1, "bob", OTHERS, is_root_item=True),
                trail_item(1, BLOG, OWN, is_current_item=True),
            ],
        ),
        _text(body=f"{OLD_REBLOG}\n{OWN}"),
        post(1, type="quote", text="of others", root_id="5", reblog={"comment": OWN}),
        post(
            1,
            type="blocks",
            content=[block("my words")],
            trail=[{"broken_blog_name": "bob", "content": [block("of others")], "layout": []}],
        ),
    ],
)
def test_of_a_reblog_only_what_was_added_is_read(tmp_path: Path, record: dict[str, Any]) -> None:
    assert _read(tmp_path, record) == ([("my words", "quote")], {})


def test_what_is_not_public_or_of_others_is_left_out_and_counted(tmp_path: Path) -> None:
    states = [_text(state=state) for state in ("private", "draft", "queued", "submission", None)]
    paid = [_text(is_paywalled=True), _text(community={"name": "boats"})]
    others = [
        post(1, type="quote", text="of others", source="somebody"),
        post(1, type="chat", dialogue=[{"name": "bob", "phrase": "of others"}]),
        _text(is_submission=True),
        _text(blog_name="bob"),
        _text(post_author="bob"),
    ]
    posts, left_out = _read(tmp_path, _text(), *([_text()] * 9), *states, *paid, *others)
    assert posts == [("my words", "original")] * 10
    assert left_out == {"not public": 7, "of other people": 5}


def test_pages_of_the_api_a_line(tmp_path: Path) -> None:
    pages = ({"meta": {}, "response": {"blog": {}, "posts": [_text(n)]}} for n in (1, 2))
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(page)}\n" for page in pages))
    table = read_posts([tmp_path / "p.jsonl"])
    assert table["text"].to_list() == ["my words", "my words"]
    assert table["author"].unique().to_list() == [BLOG]
    assert table["created_at"].is_not_null().all()


def _backup(folder: Path, records: list[dict[str, Any]]) -> Path:
    (folder / "json").mkdir()
    for record in records:
        (folder / "json" / f"{record['id']}.json").write_text(json.dumps(record))
    return folder


def test_a_backup_is_read_from_its_folder_or_the_one_with_the_files(tmp_path: Path) -> None:
    folder = _backup(tmp_path, [_text(3), _text(1), _text(2, state="private")])
    for path in (folder, folder / "json"):
        source = open_source(path)
        assert [int(post.id) % 10 for post in source.posts()] == [1, 3]
        assert unwrap(source).left_out == {"not public": 1}  # type: ignore[attr-defined]


def test_a_backup_of_likes_is_refused(tmp_path: Path) -> None:
    folder = _backup(tmp_path, [_text(n, blog_name=f"blog-{n}") for n in range(4)])
    with pytest.raises(SourceError, match="not of what it liked"):
        list(open_source(folder).posts())


@pytest.mark.parametrize("name", ["posts/100000000000.html", "html/100000000000.html"])
def test_web_pages_are_refused_with_what_to_do_instead(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "<html><body>words</body></html>")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("words")
    for path in (tmp_path / "a.zip", tmp_path):
        with pytest.raises(SourceError, match="tumblr-backup --json"):
            open_source(path)


def test_quotations_are_removed_at_any_depth() -> None:
    deep = "<blockquote>" * 3 + "c" + "</blockquote>" * 3
    assert without_quotations(f"a{deep}b") == "a<br>b"
    assert without_quotations("a</blockquote>b") == "a<br>b"
    assert without_quotations("a<blockquote>never closed") == "a"
