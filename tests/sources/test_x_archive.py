from __future__ import annotations

import json
import tracemalloc
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from huggingtweets.data.posts import SCHEMA, Post
from huggingtweets.errors import SourceError
from huggingtweets.sample import sample_path
from huggingtweets.sources import ReadOptions, open_source, read_posts
from huggingtweets.sources._js_array import js_items

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = 'window.YTD.account.part0 = [{"account": {"username": "ada", "accountId": "7"}}]'


def _tweet(number: int = 1, **fields: object) -> dict[str, Any]:
    return {
        "id_str": str(number),
        "full_text": f"tweet {number}",
        "created_at": "Wed Oct 10 20:19:24 +0000 2018",
        "retweeted": False,
        "lang": "en",
    } | fields


def _js(*items: object) -> str:
    return "window.YTD.tweets.part0 = " + json.dumps(items, indent=2)


def _wrapped(*tweets: dict[str, Any]) -> str:
    return _js(*({"tweet": tweet} for tweet in tweets))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _posts(path: Path, **options: Any) -> list[Post]:  # noqa: ANN401
    return list(open_source(path, ReadOptions(**options)).posts())


def _bare(tmp_path: Path, *tweets: dict[str, Any]) -> list[Post]:
    return _posts(_write(tmp_path / "tweets.js", _wrapped(*tweets)))


def _error(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        _posts(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_sample_is_the_table_it_was_made_from() -> None:
    table = read_posts([sample_path()])
    assert table.schema == SCHEMA
    assert dict(table["kind"].value_counts().iter_rows()) == {
        "original": 2089,
        "reply": 341,
        "repost": 770,
    }
    assert table["author"].unique().to_list() == ["NASA"]
    assert table["id"].n_unique() == 3200
    assert table["created_at"].min() == datetime(2015, 5, 26, 19, 4, 21, tzinfo=UTC)
    reposts = table.filter(pl.col("kind") == "repost")
    assert reposts["text"].str.starts_with("RT @").all()


def test_a_post_holds_what_the_tweet_says(tmp_path: Path) -> None:
    assert _bare(tmp_path, _tweet(5, user={"screen_name": "bob"})) == [
        Post(
            author="bob",
            id="5",
            text="tweet 5",
            created_at=datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC),
            kind="original",
            lang="en",
            source="x-archive",
        )
    ]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"full_text": "RT @nasa: hello"}, "repost"),
        ({"full_text": "RT @nasa: hello", "in_reply_to_user_id_str": "5"}, "repost"),
        ({"retweeted_status": {"id": "1"}}, "repost"),
        ({"retweeted": True}, "original"),
        ({"full_text": "RT if you agree"}, "original"),
        ({"in_reply_to_status_id_str": "5"}, "reply"),
        ({"in_reply_to_user_id": 5}, "reply"),
        ({"in_reply_to_user_id": None}, "original"),
        ({"quoted_status_id_str": "5"}, "quote"),
        ({"is_quote_status": True}, "quote"),
        ({"is_quote_status": False}, "original"),
        ({"is_quote_status": "false"}, "original"),
    ],
)
def test_kinds(tmp_path: Path, fields: dict[str, Any], kind: str) -> None:
    assert [post.kind for post in _bare(tmp_path, _tweet(**fields))] == [kind]


def test_zip_folder_and_file_give_the_same_posts(tmp_path: Path) -> None:
    tweets = _wrapped(*map(_tweet, range(20)))
    folder = tmp_path / "folder"
    _write(folder / "data" / "tweets.js", tweets)
    _write(folder / "data" / "account.js", ACCOUNT)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data/tweets.js", tweets)
        archive.writestr("data/account.js", ACCOUNT)
    expected = _posts(folder)
    assert {post.author for post in expected} == {"ada"}
    assert len(expected) == 20
    ways = ["a.zip", "folder/data", "folder/data/tweets.js"]
    assert all(_posts(tmp_path / way) == expected for way in ways)


def test_parts_are_read_in_order_and_other_members_are_not(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    for part, number in [("tweets", 0), ("tweets-part2", 2), ("tweets-part10", 10)]:
        _write(data / f"{part}.js", _wrapped(_tweet(number)))
    for name in ("deleted-tweets.js", "direct-messages.js", "like.js"):
        _write(data / name, "not even JavaScript \0")
    assert [post.id for post in _posts(tmp_path / "a")] == ["0", "2", "10"]


def test_the_author_is_given_or_in_the_data_or_the_file_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "my.js", _wrapped(_tweet()))
    assert [post.author for post in _posts(path)] == ["my"]
    assert [post.author for post in _posts(path, author="@grace")] == ["grace"]
    _write(tmp_path / "account.js", ACCOUNT)
    assert [post.author for post in _posts(path)] == ["ada"]
    assert [post.author for post in _posts(path, author="grace")] == ["grace"]


@pytest.mark.parametrize(
    "head", ["window.YTD.tweet.part0 = ", "var anything=", "", "\ufeff", "\n= "]
)
def test_the_name_of_the_variable_does_not_matter(tmp_path: Path, head: str) -> None:
    text = head + json.dumps([_tweet(), {"tweet": _tweet(2)}]) + ";\n"
    assert [post.id for post in _posts(_write(tmp_path / "tweet.js", text))] == ["1", "2"]


def test_odd_values_still_make_a_post(tmp_path: Path) -> None:
    odd = _tweet(full_text=None, created_at="Feb 31", lang=[], id_str=None, user=[])
    post, number = _bare(tmp_path, odd, {"id": 9, "text": 5})
    assert (post.text, post.created_at, post.lang, post.author) == ("", None, None, "tweets")
    assert post.id
    assert (number.id, number.text) == ("9", "5")


def test_lone_surrogates_and_huge_numbers(tmp_path: Path) -> None:
    text = '= [{"tweet": {"id": %s, "full_text": "a \\ud83d b \\ud83d\\ude00"}}]' % ("9" * 5000)
    table = read_posts([_write(tmp_path / "tweets.js", text)])
    assert table["text"].to_list() == ["a \ufffd b 😀"]


def test_right_to_left_and_emoji_posts_come_through(tmp_path: Path) -> None:
    texts = ["שלום לכולם, מה שלומכם", "مرحبا بالعالم \u200f!", "🚀🚀🚀", "👩🏽‍🚀🏳️‍🌈"]
    posts = _bare(tmp_path, *(_tweet(n, full_text=text) for n, text in enumerate(texts)))
    assert [post.text for post in posts] == texts


def test_a_tweet_on_the_edge_of_a_chunk(tmp_path: Path) -> None:
    tweets = [_tweet(n, full_text=f"é{n} " + "x" * 700, note=-12.5e-3) for n in range(4000)]
    posts = _bare(tmp_path, *tweets)
    assert [post.text for post in posts] == [tweet["full_text"] for tweet in tweets]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 14, 50])
def test_chunks_may_cut_anywhere(size: int) -> None:
    item = r'{"a\u00e9\ud83d\ude00\n": [-1.5e+10, true, null, -Infinity], "b": {}}'
    text = f'window.x = [ {item} , 12345, "x", [[]] ];\n'
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(js_items(chunks, "here")) == [
        {"aé😀\n": [-1.5e10, True, None, float("-inf")], "b": {}},
        "12345",
        "x",
        [[]],
    ]
    with pytest.raises(SourceError, match="is truncated"):
        list(js_items(chunks[: (len(text) - 4) // size], "here"))


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        item = json.dumps({"tweet": _tweet(entities={"urls": ["y" * 3000]})})
        archive.writestr("data/tweets.js", f"window.x = [{','.join([item] * 15_000)}]")
    tracemalloc.start()
    count = sum(1 for _ in open_source(tmp_path / "a.zip").posts())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 15_000
    assert peak < 20_000_000  # of 49 MB


def test_the_same_post_twice_is_kept_once(tmp_path: Path) -> None:
    one = _write(tmp_path / "one" / "tweets.js", _wrapped(_tweet(1), _tweet(2)))
    two = _write(tmp_path / "two" / "tweets.js", _wrapped(_tweet(2), _tweet(3)))
    assert read_posts([one, two, one])["id"].to_list() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("window.YTD.tweets.part0 = []", "holds no tweets"),
        (_js({"like": {"tweetId": "1", "fullText": "x"}}), "holds no tweets"),
        (_js({"dmConversation": {"text": "hidden"}}, 5, None, []), "holds no tweets"),
        ("hello", "is not a file of an X archive"),
        ('{"a": 1}', "is not a file of an X archive"),
        ("window.x = {}", "is not a file of an X archive"),
        (_wrapped(_tweet(), _tweet())[:-30], "is truncated after 1 complete items"),
        (_wrapped(_tweet())[:-1], "is truncated after 1 complete items"),
        ("= [", "is truncated after 0 complete items"),
        (_wrapped(_tweet()) + _wrapped(_tweet()), "extra text after the list"),
        ("= [{} {}]", "no comma between two items"),
        ('= [{"tweet": oops, "and": "much", "more": "after"}]', "is broken at character 13"),
        ("= [" + "[" * 100_000 + "]" * 100_000 + "]", "nested too deeply"),
        ('= [{"full_text": "a\0b"}]', "has a NUL byte at 19"),
        (_wrapped(_tweet(full_text="x" * 100_001)), "over 100,000 characters"),
    ],
)
def test_invalid_archives_give_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path / "tweets.js", text)
    assert message in _error(path)
    assert str(path) in _error(path)


def test_a_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "tweets.js"
    path.write_bytes(b'= [{"id": 1, "text": "caf\xe9"}]')
    assert "is not UTF-8 text (byte 0xE9 at 25); save it as UTF-8." in _error(path)


def test_100_mb_of_one_line_fails_early(tmp_path: Path) -> None:
    path = tmp_path / "tweets.js"
    with path.open("wb") as stream:
        stream.write(b'= [{"tweet": {"full_text": "')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
    assert "an item of over 16,777,216 characters" in _error(path)


def test_a_broken_account_says_so(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "data" / "tweets.js", _wrapped(_tweet()))
    _write(tmp_path / "a" / "data" / "account.js", "window.YTD.account.part0 = [ {")
    assert "data/account.js in" in _error(tmp_path / "a")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    _write(tmp_path / "holiday.txt", "x")
    assert "holds no data/tweets.js" in _error(tmp_path)
    assert "It holds: holiday.txt." in _error(tmp_path)
