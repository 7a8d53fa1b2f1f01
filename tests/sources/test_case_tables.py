"""Tables in shapes that public bug reports describe: each is read right, or one sentence helps."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd

from huggingtweets.data.posts import Name
from huggingtweets.errors import SourceError
from huggingtweets.sources import ReadOptions, open_source, read_posts, unwrap
from huggingtweets.sources._text import file_chunks

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
SECOND = "second post of the old sea"
THREE = [
    'rope, ladder; and "tar" are here',
    "second line\nof a post goes on",
    "third post ends the whole file",
]
BOAT = "The boat is green and I am proud of it"
NOON = datetime(2023, 1, 3, 12, tzinfo=UTC)


def _read(path: Path, **options: Any) -> tuple[pl.DataFrame, list[str]]:  # noqa: ANN401
    """Return the posts and the warnings."""
    warnings: list[str] = []
    reading = ReadOptions(listen=lambda event: warnings.append(event.message), **options)
    return read_posts([path], reading), [warning for warning in warnings if warning]


def _error(path: Path, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(SourceError) as caught:
        read_posts([path], ReadOptions(**options))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert str(path) in sentence
    return sentence


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("15-rounded-ids/oda.csv", 4),
        ("15-rounded-ids/sci.csv", 4),
        ("15-rounded-ids/floats.jsonl", 2),
        ("21-csv/bare-cr.csv", ["hello there my\n old friend of the sea", SECOND]),
        ("21-csv/pipe.csv", THREE),
        ("21-csv/tab.csv", THREE),
        ("21-csv/tab.tsv", THREE),
        ("21-csv/sep-line.csv", ["the first line is for Excel only"]),
        ("21-csv/title-and-body.csv", [f"My boat\n{BOAT}", "Why are gulls like this"]),
        ("21-csv/user-id-and-name.csv", ["the handle is oda and not Oda Vos"]),
        ("23-zips/csv-inside.zip", ["a post in a table in a zip"]),
        ("23-zips/telegram.zip", None),
        ("24-compressed/p.csv.gz", ["a post in a compressed table here"]),
        ("24-compressed/p.csv.bz2", ["a post in a compressed table here"]),
        ("24-compressed/p.csv.xz", ["a post in a compressed table here"]),
        ("24-compressed/gz-named-csv.csv", ["a post in a compressed table here"]),
        ("24-compressed/p.json.gz", ["a post in a packed json"]),
        ("24-compressed/p.ndjson", ["newline delimited json is jsonl"]),
    ],
)  # fmt: skip
def test_a_case_is_read(name: str, texts: list[str] | int | None) -> None:
    posts, warnings = _read(CASES / name)
    assert warnings == []
    assert posts["id"].is_unique().all()
    if isinstance(texts, int):
        assert posts["text"].n_unique() == texts
    elif texts:
        assert posts["text"].to_list() == texts
    else:
        assert posts["source"].unique().to_list() == ["telegram"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("12-row-in-one-cell/oda.csv", ["Line 2 of", "a whole row in one cell"]),
        ("14-sentiment140/headerless-trap.csv", ["seems to have no header"]),
        ("14-sentiment140/training.csv", ["seems to have no header"]),
        ("14-sentiment140/training-utf8.csv", ["seems to have no header"]),
        ("23-zips/nested.zip", ["another archive (twitter-2022.zip)", "unpack it"]),
        ("24-compressed/p.xlsx", ["an Excel workbook", "save it as CSV"]),
        ("24-compressed/p.db", ["a database", "as .csv"]),
        ("24-compressed/p.html", ["a web page"]),
        ("24-compressed/js-object.js", ["is not a file of an X archive"]),
        ("24-compressed/p.jsonl.zst", ["is damaged"]),  # an empty frame that is cut short
    ],
)
def test_a_case_gets_a_sentence_that_helps(name: str, says: list[str]) -> None:
    sentence = _error(CASES / name)
    assert all(part in sentence for part in says), sentence


# -- dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("epoch-ms", NOON),
        ("epoch-sci", NOON),
        ("epoch-us", NOON),
        ("iso-z", NOON),
        ("js", NOON.replace(hour=11)),
        ("pdt", datetime(2009, 4, 7, 5, 19, 45, tzinfo=UTC)),
        ("rfc2822", NOON),
        ("slash-iso", NOON),
        ("slash-us", NOON.replace(day=13)),
        ("web-exporter-minus", datetime(2023, 7, 1, 17, tzinfo=UTC)),
    ],
)
def test_the_dates_of_a_case(name: str, time: datetime) -> None:
    posts, warnings = _read(CASES / "13-dates" / f"{name}.csv")
    assert posts["created_at"].to_list() == [time]
    assert warnings == []


@pytest.mark.parametrize(
    "written",
    [
        *("1672747200", "1672747200.0", "1672747200000000000", "1,6727472E+12", "20230103120000"),
        *("2023-01-03 12:00:00", "2023-01-03T13:00:00+0100", "2023-01-03 12:00 UTC"),
        *("Tue Jan 03 12:00:00 +0000 2023", "Tue Jan 03 12:00:00 UTC 2023", "2023.01.03 12:00"),
        *("Tue Jan  3 12:00:00 2023",),
        *("Tuesday, 03-Jan-23 12:00:00 GMT", "Jan 3, 2023 · 12:00 PM UTC", "12:00 PM - 3 Jan 2023"),
        *("January 3rd, 2023 at 12:00 pm", "3 January 2023 12:00", "03.01.2023, 12:00"),
        *("3. Januar 2023 um 12:00 Uhr", "3 de enero de 2023, 12:00", "mar. 3 janv. 2023 à 12:00"),
        *("2023年1月3日 12:00", "3 января 2023, 12:00", "Tue 03/01/2023 12:00"),
        *("3.1.23 12:00", "3-Jan-2023 12:00:00", "44929.5", "20230103T120000Z"),
        *("3 января 2023 г., 12:00", "3 de janeiro de 2023 às 12:00"),
        *("2023-01-03 12:00:00 +0000 UTC", "2023-01-03 14:00:00 +0200 CEST"),
        *("1/3/2023, 12:00:00\u202fPM (Tue)", "2023/1/3 12:00:00 GMT+0000 (Western European Time)"),
    ],
)  # fmt: skip
def test_the_usual_forms_of_a_date(tmp_path: Path, written: str) -> None:
    rows = [{"text": "a", "createdAt": written}, {"text": "b", "createdAt": "12/31/2022"}]
    posts, warnings = _read(_write(tmp_path / "p.json", json.dumps(rows)))
    assert posts["created_at"][0] == NOON
    assert warnings == []


@pytest.mark.parametrize(
    "written", ["12:00", "2023", "Jan 2023", "31/02/2023", "soon", "3", "2023-13-01"]
)
def test_what_is_no_date_is_counted_and_shown(tmp_path: Path, written: str) -> None:
    rows = f"Created At,text\n{written},one\n2023-01-03,two\n,three\n"
    posts, (warning,) = _read(_write(tmp_path / "p.csv", rows))
    assert posts["created_at"].null_count() == 2
    assert f"1 of 2 dates in {tmp_path}" in warning
    assert f"{written!r} in line 2" in warning
    assert "`--split newest`" in warning


@pytest.mark.parametrize(
    ("other", "month"), [("31/12/2022", 1), ("12/31/2022", 3), ("13.01.2023", None)]
)
def test_another_row_settles_an_ambiguous_date(
    tmp_path: Path, other: str, month: int | None
) -> None:
    rows = f"date,text\n03/01/2023,one\n{other},two\n"
    posts, warnings = _read(_write(tmp_path / "p.csv", rows))
    first = posts["created_at"][0]
    assert (first.month if first else None) == month
    assert len(warnings) == (month is None)


def test_an_ambiguous_date_is_said_with_both_readings() -> None:
    posts, (warning,) = _read(CASES / "13-dates" / "slash.csv")
    assert posts["created_at"].to_list() == [None]
    assert "'03/01/2023 12:00' in line 2 (3 January 2023 or 1 March 2023)" in warning
    assert "`--split newest`" in warning


def test_rows_that_contradict_each_other_settle_nothing(tmp_path: Path) -> None:
    rows = "date,text\n03/01/2023,a\n31/12/2022,b\n12/31/2022,c\n04/04/2023,d\n"
    posts, warnings = _read(_write(tmp_path / "p.csv", rows))
    assert posts["created_at"].null_count() == 1
    assert "1 of 4 dates" in warnings[0]


def test_twint_has_its_dates_in_three_columns() -> None:
    posts, warnings = _read(CASES / "11-twint" / "oda.csv")
    assert posts["created_at"][0] == datetime(2021, 9, 24, 21, 29, 5, tzinfo=UTC)
    assert posts["kind"].to_list() == ["original", "repost", "original"]
    est, more = _read(CASES / "11-twint" / "est.csv")  # EST is not UTC-5 there: see `timezone`
    assert est["created_at"][0] == datetime(2016, 10, 25, 22, 21, 56, tzinfo=UTC)
    assert warnings == more == []


# -- ids --------------------------------------------------------------------------------------


def test_a_post_is_the_same_if_id_and_text_are(tmp_path: Path) -> None:
    one = _write(tmp_path / "one.csv", "id,text\n1823030000000000000,a\n1823030000000000000,b\n")
    two = _write(tmp_path / "two.csv", "id,text\n1823030000000000000,a\n1823030000000000000,c\n")
    posts = read_posts([one, two], ReadOptions(author="oda"))
    assert sorted(posts["text"]) == ["a", "b", "c"]
    assert posts["id"].n_unique() == 3
    assert read_posts([one, one], ReadOptions(author="oda")).height == 2


# -- texts and rows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.jsonl", '{"text": "a"}\n{"text": {"b": 1}}\n', "Line 2 of"),
        ("p.json", '[{"text": ["a", "b"]}]', "Value 1 of"),
        ("p.csv", "id,date,text\n1,2020-01-01\n", "Line 2 of"),
        ("p.csv", "id,text,date\n1,hello\n2,hi,2020-01-01\n", "has only 2 of the 3 fields"),
        ("p.csv", 'id,date,text\n"1,2020-01-01,hello",,\n', "a whole row in one cell"),
        ("p.csv", '"id,date,text"\n"1,2020-01-01,hello"\n', "a whole row in one cell"),
        ("p.csv", "2020-01-01;oda;text\n2020-01-02;oda;hello\n", "seems to have no header"),
        ("p.csv", "https://x.example/1,text\nhttps://x.example/2,hi\n", "seems to have no header"),
        ("p.csv", "oda,text\noda,a second post\n", "seems to have no header"),
        ("p.csv", '[{"text": "a"}]', "is JSON, not CSV"),
        ("p.csv", "FROM,TO,CONTENT\na,b,hello\n", "private messages"),
    ],
)
def test_what_is_no_table_of_posts_gets_one_sentence(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    assert says in _error(_write(tmp_path / name, content))


@pytest.mark.parametrize(
    "content",
    [
        ",text\n0,hello\n1,there\n",  # pandas's index
        "id,text,,\n1,hello,,\n2,there\n",  # columns without a name
        "text,0\nhello,x\nthere,y\n",
        "text,2023\nhello,x\nthere,y\n",
        "text;date\nhello;2020-01-01\r\nthere;2020-01-02\r\n",
        '"text"\n"hello"\n"there"\n',
        "text\rhello\rthere\r",  # of a Mac from before 2001
        "text\r\r\nhello\r\r\nthere\r\r\n",
        "SEP=|\ntext|n\nhello|1\nthere|2\n",
        "\ufefftext\nhello\nthere\n",
    ],
)
def test_odd_tables_that_are_whole(tmp_path: Path, content: str) -> None:
    posts, warnings = _read(_write(tmp_path / "p.csv", content))
    assert posts["text"].to_list() == ["hello", "there"]
    assert warnings == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl", "p.txt"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    content = {"p.csv": "id,text\n1,café 😀\n", "p.tsv": "id\ttext\n1\tcafé 😀\n"}.get(
        name, '{"text": "café 😀"}\n' if name == "p.jsonl" else "café 😀\n"
    )
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = _write(tmp_path / name, (mark + content).encode(encoding))
    assert read_posts([path])["text"].to_list() == ["café 😀"]


# -- compressed files and zips ----------------------------------------------------------------

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}
FORMATS = {
    "csv": b"id,text\n1,a post\n",
    "tsv": b"id\ttext\n1\ta post\n",
    "json": b'[{"id": "1", "text": "a post"}]',
    "jsonl": b'{"id": "1", "text": "a post"}\n',
    "ndjson": b'{"id": "1", "text": "a post"}\n',
    "txt": b"a post\n",
}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_is_read_compressed(tmp_path: Path, extension: str, ending: str) -> None:
    path = _write(tmp_path / f"oda.{extension}.{ending}", PACKED[ending](FORMATS[extension]))
    posts = read_posts([path])
    assert posts.select("author", "text", "source").rows() == [("oda", "a post", extension)]
    misnamed = _write(tmp_path / f"oda.{extension}", PACKED[ending](FORMATS[extension]))
    assert read_posts([misnamed])["text"].to_list() == ["a post"]


@pytest.mark.parametrize("ending", PACKED)
def test_a_bomb_ends_in_one_sentence(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path / f"p.txt.{ending}", PACKED[ending](b"a" * 8_000_000) * 16)
    with pytest.raises(SourceError, match=r"looks like a decompression bomb \(.* bytes from .*\)"):
        sum(len(chunk) for chunk in file_chunks(path))
    assert "characters long" in _error(path)


@pytest.mark.parametrize("ending", PACKED)
def test_what_is_cut_short_or_damaged_gets_one_sentence(tmp_path: Path, ending: str) -> None:
    whole = PACKED[ending](FORMATS["csv"])
    assert "is damaged" in _error(_write(tmp_path / f"p.csv.{ending}", whole[:-3]))
    assert "is damaged" in _error(_write(tmp_path / f"p.csv.{ending}", whole + b"more"))


def test_streams_one_after_another_are_one_file(tmp_path: Path) -> None:
    for ending, pack in PACKED.items():
        path = _write(tmp_path / f"p.csv.{ending}", pack(b"text\none\n") + pack(b"two\n"))
        assert read_posts([path])["text"].to_list() == ["one", "two"]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.csv": "", "b.csv": ""}, "holds 2 files that may have posts (a.csv, b.csv)"),
        ({"xl/workbook.xml": ""}, "an Excel workbook"),
        ({"a.parquet": "PAR1"}, "unpack it and give the file itself"),
        ({"inner.zip": "", "photo.jpg": ""}, "another archive (inner.zip)"),
        ({"photo.jpg": ""}, "holds no data/tweets.js"),
    ],
)
def test_a_zip_without_one_table_gets_a_sentence(
    tmp_path: Path, members: dict[str, str], says: str
) -> None:
    assert says in _error(_zip(tmp_path / "p.zip", members))


def test_a_zip_with_one_table_among_what_macos_adds(tmp_path: Path) -> None:
    members = {"__MACOSX/._p.csv": "x", "p/.DS_Store": "x", "p/p.tsv": "id\ttext\n1\ta post\n"}
    path = _zip(tmp_path / "p.zip", members)
    assert read_posts([path])["text"].to_list() == ["a post"]
    renamed = _write(tmp_path / "p.csv", path.read_bytes())
    assert "is a zip file; rename it to end in .zip" in _error(renamed)


def _zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("table", ['text\n"fine words"\n"not closed\nand more\n', 'text\n"open'])
def test_a_quote_that_is_never_closed_gets_one_sentence(tmp_path: Path, table: str) -> None:
    path = tmp_path / "me.csv"
    path.write_text(table)
    line = table.count("\n", 0, table.rindex('"')) + 1
    with pytest.raises(SourceError, match=f"begins a value in line {line} of .* is never closed"):
        read_posts([path])


@pytest.mark.parametrize(
    ("first", "ending"),
    [
        ('{"text": "one"}', ".jsonl"),
        ('[{"text": "one"}]', ".json"),
        ("window.YTD.tweets.part0 = [", ".js"),
        ("id,created_at,text", ".csv"),
        ("date\tauthor\ttext", ".csv"),
    ],
)
def test_another_format_called_txt_is_not_read_line_by_line(
    tmp_path: Path, first: str, ending: str
) -> None:
    error = _error(_write(tmp_path / "p.txt", f"{first}\n1,2,3\n"))
    assert f"rename it to end in {ending}." in error


def test_posts_between_the_marks_of_gpt_2(tmp_path: Path) -> None:
    text = "<|startoftext|>one, text, or date<|endoftext|>two<|endoftext|>\nthree\n"
    posts, _ = _read(_write(tmp_path / "p.txt", text))
    assert posts["text"].to_list() == ["one, text, or date", "two", "three"]


def test_what_a_reddit_comment_quotes_is_not_learnt(tmp_path: Path) -> None:
    body = "&gt; words of others\n\nmy words\n\n>!a spoiler!<"
    row = json.dumps({"author": "oda", "subreddit": "boats", "body": body})
    posts, _ = _read(_write(tmp_path / "oda_comments.jsonl", row))
    assert posts["text"].to_list() == ["my words\n\n>!a spoiler!<"]
    path = tmp_path / "oda_comments.zst"  # as Pushshift calls its dumps
    path.write_bytes(zstd.compress(row.encode()))
    assert _read(path)[0]["text"].to_list() == posts["text"].to_list()


def test_a_channel_of_discord_as_a_table_is_not_read(tmp_path: Path) -> None:
    table = "AuthorID,Author,Date,Content,Attachments,Reactions\n1,oda,2023-01-03,words,,\n"
    assert "export it again with the format JSON" in _error(_write(tmp_path / "c.csv", table))


@pytest.mark.parametrize(
    ("table", "authors"),
    [
        ("sender,message\nAda L,one\nBram,theirs\nAda L,two", {"Ada L"}),
        ("user_id,text\n55,one\n66,theirs\n55,two", {"p"}),  # of the file
        ("user_id,text\n55,one\n66,two", {"55", "66"}),
        ("display_name,text\nAda,one\n,two", {"Ada"}),
    ],
)
def test_people_without_handles_are_told_apart(
    tmp_path: Path, table: str, authors: set[str]
) -> None:
    source = unwrap(open_source(_write(tmp_path / "p.csv", table)))
    posts = list(source.posts())
    assert [post.text for post in posts] == ["one", "two"]
    assert {post.author for post in posts} == authors
    assert all(isinstance(post.author, Name) for post in posts)  # never shown with an @
    assert source.left_out.total() == table.count("theirs")  # type: ignore[attr-defined]


def test_the_column_with_the_text_may_differ_from_row_to_row(tmp_path: Path) -> None:
    posts, _ = _read(_write(tmp_path / "p.csv", "content,body\none,\n,two\nthree,no\n"))
    assert posts["text"].to_list() == ["one", "two", "three"]
