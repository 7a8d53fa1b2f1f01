from __future__ import annotations

import json
import os
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from huggingtweets.data.posts import SCHEMA, Post
from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts

if TYPE_CHECKING:
    from pathlib import Path


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _posts(path: Path, **options: Any) -> list[Post]:  # noqa: ANN401
    return list(open_source(path, ReadOptions(**options)).posts())


def _error(path: Path | str, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        read_posts([path], ReadOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_format_gives_the_same_posts(tmp_path: Path) -> None:
    rows = [
        {
            "author": "ada",
            "id": str(number),
            "created_at": "2020-01-02T03:04:05Z",
            "text": f'Post {number}, "quoted"\nand a second line é 😀',
            "kind": "reply",
            "lang": "en",
        }
        for number in range(3)
    ]
    table = pl.DataFrame(rows)
    table.write_csv(tmp_path / "p.csv")
    table.write_ndjson(tmp_path / "p.jsonl")
    times = pl.col("created_at").str.to_datetime(time_zone="UTC")
    table.with_columns(times).write_parquet(tmp_path / "p.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        got = read_posts([tmp_path / f"p.{ending}"])
        assert got.schema == SCHEMA
        assert got["source"].unique().to_list() == [ending]
        assert got["created_at"].unique().to_list() == [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)]
        assert got.select("author", "id", "text", "kind", "lang").to_dicts() == [
            {name: row[name] for name in ("author", "id", "text", "kind", "lang")} for row in rows
        ]


def test_a_text_file_has_one_post_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ada.txt"
    path.write_bytes(b"\xef\xbb\xbffirst post\r\n\n  \nsecond post\nsecond post")
    posts = _posts(path)
    assert [post.text for post in posts] == ["first post", "second post", "second post"]
    assert {post.author for post in posts} == {"ada"}
    assert len({post.id for post in posts}) == 3  # the counts must add up: curation drops one
    assert _posts(path) == posts
    assert read_posts([path, path]).height == 3


@pytest.mark.parametrize("name", ["text", "Tweet", "full_text", " Content ", "BODY", "message"])
def test_the_text_column_is_found_by_its_usual_names(tmp_path: Path, name: str) -> None:
    path = _write(tmp_path / "p.csv", f"n,{name}\n1,hello\n")
    assert [post.text for post in _posts(path)] == ["hello"]


def test_the_text_column_can_be_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.csv", "text,words\nno,yes\n")
    assert [post.text for post in _posts(path, text_column="words")] == ["yes"]
    message = _error(path, text_column="wrods")
    assert "has no column 'wrods' among its columns (text, words)" in message


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_without_a_text_column_the_columns_are_listed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    table = pl.DataFrame({"when": ["2020"], "what": ["x"]})
    if ending == "csv":
        table.write_csv(path)
    elif ending == "jsonl":
        table.write_ndjson(path)
    else:
        table.write_parquet(path)
    message = _error(path)
    assert "has no text column among its columns (when, what)" in message
    assert "`--text-column NAME`" in message


def test_the_author_is_given_or_a_column_or_the_file_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.csv", "text,Username\nhello,@ada\nhello,\n")
    assert [post.author for post in _posts(path)] == ["ada", "p"]
    assert [post.author for post in _posts(path, author="@grace")] == ["grace", "grace"]


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("hello")
    assert read_posts([path])["author"].to_list() == ["caf\ufffd"]


def test_spreadsheets(tmp_path: Path) -> None:
    text = "id;text;date\n6,03E+17;one; two\n6.03E+17;three;2020-01-02\n7;;\n"
    posts = _posts(_write(tmp_path / "p.csv", text))
    assert [post.text for post in posts] == ["one", "three", ""]
    assert len({post.id for post in posts}) == 3
    assert posts[1].created_at == datetime(2020, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"kind": "retweet"}, "repost"),
        ({"kind": "Reply"}, "reply"),
        ({"type": "quoted"}, "quote"),
        ({"kind": "something"}, "original"),
        ({"is_repost": True}, "repost"),
        ({"is_retweet": "False"}, "original"),
        ({"in_reply_to_user_id": 5}, "reply"),
        ({"text": "RT @a: b"}, "repost"),
    ],
)
def test_kinds(tmp_path: Path, row: dict[str, Any], kind: str) -> None:
    path = _write(tmp_path / "p.jsonl", json.dumps({"text": "hello"} | row))
    assert [post.kind for post in _posts(path)] == [kind]


@pytest.mark.parametrize(
    ("value", "year"),
    [
        ("2020-05-06 07:08:09 +0000", 2020),
        ("2020-05-06 07:08:09 UTC", 2020),
        ("Wed Oct 10 20:19:24 +0000 2018", 2018),
        (1_588_748_889, 2020),
        (1_588_748_889_000, 2020),
        ("1588748889.0", 2020),
        ("yesterday", None),
        (10**30, None),
        (True, None),
        ("0001-01-01T00:00+14:00", None),
    ],
)
def test_times(tmp_path: Path, value: object, year: int | None) -> None:
    path = _write(tmp_path / "p.jsonl", json.dumps({"text": "hello", "created_at": value}))
    (post,) = _posts(path)
    assert (post.created_at.year if post.created_at else None) == year


def test_lines_of_the_x_api(tmp_path: Path) -> None:
    tweet = {"id": 2**62, "full_text": "hi", "user": {"screen_name": "ada"}}
    path = _write(tmp_path / "p.jsonl", json.dumps(tweet) + "\n\n" + json.dumps({"tweet": tweet}))
    assert [(post.author, post.id) for post in _posts(path)] == [("ada", str(2**62))] * 2


def test_a_row_without_text_counts_as_an_empty_post(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", '{"text": "a"}\n{"text": null}\n{"other": 1}\n')
    assert [post.text for post in _posts(path)] == ["a", "", ""]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "", "is empty"),
        ("p.csv", "text\n", "holds no posts"),
        ("p.csv", "\ntext\n", "no text column among its columns (nothing)"),
        ("p.csv", "text\nhello, world\n", "Line 2 of"),
        ("p.csv", 'text\n"' + "open\n" * 40_000, "double quote may not be closed"),
        ("p.csv", "text\na\0b\n", "has a NUL byte at 6"),
        ("p.jsonl", "", "holds no posts"),
        ("p.jsonl", '{"text": "a"}\n{"text": \n', "Line 2 of"),
        ("p.jsonl", '["a"]\n', "is not a JSON object"),
        ("p.jsonl", '{"text": ' + "[" * 100_000 + "\n", "is nested too deeply"),
        ("p.jsonl", json.dumps({"text": "x" * 100_001}), "over 100,000 characters"),
        ("p.parquet", "PAR1 not really PAR1", "is not a Parquet file"),
        ("p.parquet", "", "is not a Parquet file"),
        ("p.txt", " \n\n", "holds no posts"),
        ("p.txt", "a\n" + "x" * 100_001, "Line 2 of"),
        ("p.xyz", "x", "has an unsupported format"),
        ("p.docx", "x", "is a document; save it as plain text"),
        ("p", "x", ".csv, .json, .jsonl, .parquet, .txt"),
    ],
)
def test_unreadable_files_give_one_sentence(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = _write(tmp_path / name, text)
    assert message in _error(path)
    assert str(path) in _error(path)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.txt"])
def test_a_wrong_encoding_names_the_byte(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"text\nhello, caf\xe9\n")
    assert "is not UTF-8 text (byte 0xE9 at 15); save it as UTF-8." in _error(path)
    path.write_bytes("text\nhello\n".encode("utf-16-le"))
    assert "save it as UTF-8" in _error(path)


def test_a_character_cut_by_the_edge_of_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    lines = ((b"x" * 63 + b"\n") * (1 << 14))[:-1]  # the edge is one byte further
    path.write_bytes(lines + "é".encode())
    assert _posts(path)[-1].text == "x" * 63 + "é"
    path.write_bytes(lines + "é".encode()[:1] + b"\n")
    assert f"(byte 0xC3 at {len(lines)})" in _error(path)
    path.write_bytes(lines + "é".encode()[:1])
    assert f"(byte 0xC3 at {len(lines)})" in _error(path)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.txt"])
def test_100_mb_of_one_line_fails_early(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.truncate(0)
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
    tracemalloc.start()
    try:
        assert "characters long" in _error(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000  # of 100 MB and more: it stopped early


def test_parquet_times(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = [1_588_748_889_000, 2**62, None]
    naive = pl.Series(values, dtype=pl.Datetime("ms"))
    zoned = pl.Series(
        [1_588_748_889 * 10**9, -(2**62), None], dtype=pl.Datetime("ns", "Asia/Tokyo")
    )
    for times in (naive, zoned):
        table = pl.DataFrame({"text": ["a", "b", "c"], "created_at": times})
        table.write_parquet(tmp_path / "p.parquet")
        years = [
            post.created_at and post.created_at.year for post in _posts(tmp_path / "p.parquet")
        ]
        assert years[0] == 2020
        assert years[2] is None
    pl.DataFrame({"text": ["a"], "date": pl.Series([2**30]).cast(pl.Date)}).write_parquet(
        tmp_path / "p.parquet"
    )
    assert _posts(tmp_path / "p.parquet")[0].created_at is None
    assert capfd.readouterr().err == ""  # polars tells its panics there


def test_a_parquet_column_that_is_not_text(tmp_path: Path) -> None:
    pl.DataFrame({"text": [["a"]]}).write_parquet(tmp_path / "p.parquet")
    assert "holds List(String), not text" in _error(tmp_path / "p.parquet")


def test_missing_paths_and_accounts(tmp_path: Path) -> None:
    assert "There is no file or folder" in _error(tmp_path / "none.csv")
    assert "There is no file or folder" in _error("nasa")
    assert "can't be read" in _error("x" * 5000)
    assert "looks like an account" in _error("@nasa")
    assert "give the archive" in _error("@nasa")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is not an ordinary file" in _error(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="No source of posts was given"):
        read_posts([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.txt", "hello")
    path.chmod(0)
    assert "can't be read: Permission denied" in _error(path)
