"""The fast parser of tweets gives the same results as the general one."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.mangle import encoded, good_tweet, mangled_archive

from huggingtweets.errors import SourceError
from huggingtweets.sources import _tweets_js, open_source, x_archive
from huggingtweets.sources._js_array import js_items
from huggingtweets.sources._text import decode_utf8
from huggingtweets.sources._tweets_js import tweet_items

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

HEAD = "window.YTD.tweets.part0 = "


def _careful(chunks: Callable[[], Generator[bytes, None, None]], where: str) -> Iterator[object]:
    return js_items(decode_utf8(chunks(), where), where)


def _in_pieces(text: bytes, size: int) -> Callable[[], Generator[bytes, None, None]]:
    return lambda: (text[at : at + size] for at in range(0, len(text), size))


def _never(_whole: bytes) -> list[object]:
    raise AssertionError("an item of the common form was decoded as an unusual one")


def _outcome(path: Path) -> list[object]:
    found: list[object] = []
    try:
        found.extend(open_source(path).posts())
    except SourceError as error:
        found.append(str(error))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mangled")


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(random=st.randoms(use_true_random=False))
def test_mangled_archives_give_the_same_posts_and_errors(folder: Path, random: Random) -> None:
    name, content = mangled_archive(random)
    (folder / name).write_bytes(content)
    quick = _outcome(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(x_archive, "tweet_items", _careful)
        assert quick == _outcome(folder / name)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [300, 997, 5000, 10**6])
def test_the_common_form_uses_the_fast_parser(
    size: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tweets_js, "_decode_unusual", _never)
    items = [{"tweet": good_tweet(number)} for number in range(50)]
    text = HEAD + json.dumps(items, indent=indent, ensure_ascii=False) + "\n"
    found: list[Any] = list(tweet_items(_in_pieces(text.encode(), size), "here"))
    names = ("id_str", "full_text", "created_at", "lang", "user", "in_reply_to_status_id_str")
    assert [[item["tweet"][name] for name in names] for item in found] == [
        [item["tweet"][name] for name in names] for item in items
    ]


@pytest.mark.parametrize("size", [300, 1000, 10**6])
def test_item_ends_inside_strings_are_ignored(size: int) -> None:
    inner = [{"a": 1}, {"tweet": {"full_text": "no"}}, {"tweet": {}}]
    items = [
        {"tweet": {"full_text": '}, {"tweet" : {', "id_str": str(n), "entities": inner}}
        for n in range(40)
    ]
    text = (HEAD + json.dumps(items)).encode()
    posts: list[Any] = list(tweet_items(_in_pieces(text, size), "here"))
    assert [item["tweet"]["id_str"] for item in posts] == [str(n) for n in range(40)]
    assert {item["tweet"]["full_text"] for item in posts} == {'}, {"tweet" : {'}


@pytest.mark.parametrize("seed", range(40))
def test_unusual_items_anywhere(seed: int) -> None:
    random = Random(seed)
    items: list[Any] = [{"tweet": good_tweet(number)} for number in range(30)]
    for _ in range(3):
        odd: list[Any] = [
            5,
            None,
            [],
            {"tweet": 7},
            {"like": {}},
            good_tweet(1),
            {"tweet": {"id": 2**70}},
        ]
        items.insert(random.randrange(1, 30), random.choice(odd))
    text = encoded(random, HEAD + json.dumps(items, indent=random.choice([None, 1])))
    ids = [_ids(text, 700, read) for read in (tweet_items, _careful)]
    assert ids[0] == ids[1]


def _ids(text: bytes, size: int, read: Callable[..., Iterator[Any]]) -> list[object]:
    found: list[object] = []
    try:
        for item in read(_in_pieces(text, size), "here"):
            tweet = item.get("tweet", item) if isinstance(item, dict) else item
            found.append(str(tweet.get("id")) if isinstance(tweet, dict) else tweet)
    except SourceError as error:
        found.append(str(error))
    return found
