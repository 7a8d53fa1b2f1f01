from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts

FIXTURES = Path(__file__).parents[1] / "fixtures" / "posts"
POST = {"text": "hello there", "id": 5}


def _texts(folder: Path, document: object, **options: Any) -> list[str]:  # noqa: ANN401
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "p.json").write_text(text)
    return read_posts([folder / "p.json"], ReadOptions(**options))["text"].to_list()


def test_a_timeline_of_the_x_api() -> None:
    posts = list(open_source(FIXTURES / "api-v1-timeline.json").posts())
    assert len(posts) == 30
    assert {post.author for post in posts} == {"JDMahama"}
    assert len({post.id for post in posts}) == 30
    assert all(post.created_at and post.lang for post in posts)


@pytest.mark.parametrize(
    "document",
    [
        [POST],
        {"data": [POST], "meta": {"n": 1}},
        {"meta": {"text": "no"}, "tags": ["a"], "users": [{"name": "x"}], "data": [POST]},
        {"@context": ["x"], "data": [POST]},
        [{"tweet": POST}],
        {"posts": [POST], "more": [{"text": "another list"}]},
        {"messages": [POST]},  # no chat: it has neither type nor id
    ],
)
def test_the_list_of_posts_is_found(tmp_path: Path, document: object) -> None:
    assert _texts(tmp_path, document) == ["hello there"]


def test_the_text_column_can_be_named(tmp_path: Path) -> None:
    document = {"a": [POST], "b": [{"words": "yes"}, {"words": None}, {}]}
    assert _texts(tmp_path, document, text_column="words") == ["yes", "", ""]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "is empty"),
        ("[]", "holds no posts"),
        ("{}", "holds no posts"),
        ('"text"', "is not JSON: it begins with neither"),
        ('{"a": 1, "b": ["x"]}', "it has no list of objects"),
        ('["a"]', "Value 1 of"),
        ('[{"text": "a"}, 5]', "Value 2 of"),
        ('[{"when": 1, "what": 2}]', "has no text column among its columns (when, what)"),
        ('{"text": "a"} {"text": "b"}', "rename it to end in .jsonl"),
        ('[{"text": "a"}] x', "extra text at the end"),
        ('[{"text": "a"}', "is truncated"),
        ('{"a": [{"text": "a"}', "is truncated"),
        ('{"a" 5}', "a field without a name"),
        ("{5: 5}", "a field without a name"),
        ('{"a": [' + "[" * 100_000, "nested too deeply"),
        ('[{"text": "a\0"}]', "has a NUL byte"),
    ],
)
def test_files_without_posts_give_one_sentence(tmp_path: Path, document: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        _texts(tmp_path, document)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_object_a_line_is_read_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "tweets.json"  # as snscrape, twint and mongoexport write it
    path.write_text(
        '{"_id": {"$oid": "64a0"}, "text": "one", "date": {"$date": "2023-05-13T10:00:00Z"}}\n'
        '{"_id": {"$oid": "64a1"}, "text": "two",'
        ' "date": {"$date": {"$numberLong": "1683972000000"}}}'
    )
    read = read_posts([path])
    assert read["text"].to_list() == ["one", "two"]
    assert read["created_at"].to_list() == [datetime(2023, 5, 13, 10, tzinfo=UTC)] * 2


def test_a_json_feed(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    items = [
        {"id": "1", "content_html": "<p>one &amp; only</p>", "date_published": "2023-05-13T10:00Z"},
        {"id": "2", "title": "Two", "content_text": "two words"},
    ]
    path.write_text(json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}))
    assert read_posts([path])["text"].to_list() == ["one & only", "Two\ntwo words"]
