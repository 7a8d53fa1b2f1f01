"""Deleted posts: their ids, the stored list, and leaving them out of sources."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import write_csv

from huggingtweets.errors import InputError, SourceError
from huggingtweets.privacy import deleted_posts
from huggingtweets.privacy.deleted_posts import PostIds, parse_post_id, stable_id
from huggingtweets.sources import ReadOptions, read_posts
from huggingtweets.sources.post_ids import read_ids

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.events import Event

X = "1234567890123456789"
KEY = "3kabcdefghij2"
AT = f"at://did:plc:abc/app.bsky.feed.post/{KEY}"


# -- which posts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (X, X),
        (f" {X}\t", X),
        ("@Ann  12", "@ann 12"),
        ("@Ada Lovelace 12", "@ada lovelace 12"),
        (f"https://x.com/ann/status/{X}?s=20", X),
        (f"https://bsky.app/profile/ann.example/post/{KEY}/", KEY),
        (AT, AT),
        ("-100/12", "-100/12"),
        ("6.03275E+17", None),
        ("12.0", None),
        ("@ann", None),
        ("two words", None),
        ("", None),
        ("x" * 301, None),
    ],
)
def test_parse_post_id(written: str, means: str | None) -> None:
    assert parse_post_id(written) == means


def test_posts_match_by_id() -> None:
    ids = PostIds.parse([X, KEY, "uuid-1", "12", "@ann 7"])
    assert ids.has("bob", X)
    assert ids.has("bob", AT)
    assert ids.has("bob", "https://server.example/objects/uuid-1")
    assert ids.has("bob", "12")
    assert ids.has("Ann", "7")
    assert not ids.has("bob", "7")
    assert not ids.has("ann", "2")
    assert not ids.has("ann", "-100/12")
    assert not PostIds.parse([])
    table = pl.DataFrame({"author": ["ann", "bob"], "id": ["7", "7"]})
    assert ids.mask(table).to_list() == [True, False]


@pytest.mark.parametrize("name", [X, AT, KEY, "0123456789abcdef", "https://a.example/1"])
def test_unique_ids_need_no_author(name: str) -> None:
    assert stable_id("Ann", name) == name
    assert deleted_posts.is_unique(name)


def test_ambiguous_ids_need_an_author() -> None:
    assert stable_id("Ann", "12") == "@ann 12"
    assert deleted_posts.is_unique("@ann 12")
    assert not deleted_posts.is_unique("12")


FILES = {
    "a.txt": f"{X}\n\n# mine\n{AT}\n",
    "list.csv": f"{X}\n{AT}\n",
    "a.csv": f"author,id,text\nann,{X},hello\nann,{AT},you\n",
    "a.jsonl": json.dumps({"delete": {"status": {"id": int(X), "id_str": X, "user_id": 9}}})
    + "\n"
    + json.dumps({"uri": AT, "cid": "x"}),
    "b.jsonl": f'{{"id": "{X}", "action": "delete"}}\n{{"tweet_id": "{AT}"}}\n',
    "a.json": json.dumps([{"id": int(X)}, AT]),
    "ids": f"{X}\r\n{AT}\r\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_ids(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], newline="")
    assert read_ids(str(tmp_path / name)) == {X, AT}


def test_list_of_ids_and_table_of_short_ids(tmp_path: Path) -> None:
    assert read_ids(f"{X}, @Ann 12,{AT}") == {X, "@ann 12", AT}
    assert len(read_ids(",".join(str(10**18 + i) for i in range(1000)))) == 1000
    (tmp_path / "a.csv").write_text("user,id\n@Ann,12\n,13\n")
    assert read_ids(str(tmp_path / "a.csv")) == {"@ann 12", "13"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.txt", None, "There is no file .*gone.txt of post ids"),
        ("a.txt", "", "holds no post ids"),
        ("a.csv", "author,id\n", "holds no post ids"),
        ("a.txt", "12\nthree four\n", "Line 2 of .*a.txt is not a post id"),
        ("a.csv", "id\n6.03275E+17\n", "Line 2 of .* is not a post id .'6.03275E.17'"),
        ("a.jsonl", '{"id": "1"}\n{"text": "x"}\n', "Line 2 of .* is not a post id"),
        ("a.jsonl", '{"id": 1', "is invalid JSON"),
        ("a.json", "[1, 2.5]", "Line 2 of .* is not a post id"),
        ("a.txt", b"\xfa\xfb", "is not UTF-8"),
    ],
)
def test_files_without_ids_are_refused(
    tmp_path: Path, name: str, content: str | bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=words):
        read_ids(str(tmp_path / name))


def test_row_without_id() -> None:
    with pytest.raises(InputError, match="Number 2 of the ids is not a post id"):
        read_ids(f"{X},,{AT}")


# -- for good --------------------------------------------------------------------------------------


def test_deleted_posts_are_stored_once(config: Path) -> None:
    assert deleted_posts.remembered() == frozenset()
    assert not config.exists()
    assert deleted_posts.remember([X, "@ann 12"]) == 2
    assert deleted_posts.remember([X]) == 0
    assert deleted_posts.remember([AT]) == 1
    assert deleted_posts.remembered() == {X, "@ann 12", AT}
    assert deleted_posts.deleted_posts_file().read_text().count("\n") == 3


def test_damaged_list_is_one_sentence(config: Path) -> None:
    config.mkdir()
    deleted_posts.deleted_posts_file().write_text(f"{X}\ntwo words\n")
    with pytest.raises(InputError, match=r"Line 2 of .*forgotten\.txt is not a post id"):
        read_posts(["nowhere.csv"])
    deleted_posts.deleted_posts_file().write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"forgotten\.txt can't be read as text"):
        read_posts(["nowhere.csv"])


# -- sources ---------------------------------------------------------------------------------------


def test_sources_leave_deleted_posts_out_and_count_them(config: Path, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "ann.csv", "ann", ["zero", "one", "two", "three"])
    told: list[Event] = []
    reading = ReadOptions(forget=frozenset({"@ann 1", "3", "9"}), listen=told.append)
    assert read_posts([path], reading)["text"].to_list() == ["zero", "two"]
    assert [event.done for event in told if event.stage == "forget"] == [2]
    assert not config.exists()  # the option applies to one call
    deleted_posts.remember(["@ann 0"])
    assert read_posts([path])["id"].to_list() == ["1", "2", "3"]
    # --as doesn't change whose posts they are
    assert read_posts([path], ReadOptions(author="me"))["id"].to_list() == ["1", "2", "3"]
    deleted_posts.remember(["@me 1"])
    assert read_posts([path], ReadOptions(author="me"))["id"].to_list() == ["2", "3"]
    with pytest.raises(SourceError, match="All 4 posts of this csv source are deleted posts"):
        read_posts([path], replace(reading, forget=frozenset("0123")))


def test_unmatched_ids_are_reported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "ann.csv", "ann", ["zero"])
    told: list[Event] = []
    read_posts([path], ReadOptions(listen=told.append))
    assert not any(event.stage == "forget" for event in told)
    read_posts([path], ReadOptions(listen=told.append, forget=frozenset({X})))
    assert [event.done for event in told if event.stage == "forget"] == [0]
