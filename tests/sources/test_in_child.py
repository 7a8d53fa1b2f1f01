"""Files from others are read in a child process; a hostile one ends in a sentence."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import time
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from huggingtweets.data.posts import SCHEMA
from huggingtweets.errors import Interrupted, OptedOutError, SourceError
from huggingtweets.privacy import opt_out
from huggingtweets.sources import ReadOptions, open_source, read_posts
from huggingtweets.sources._columns import MAX_COLUMNS
from huggingtweets.sources.in_child import read_posts_in_child
from huggingtweets.sources.reading import VISITORS, own_limits
from huggingtweets.sources.safe_zip import SafeZip

if TYPE_CHECKING:
    from huggingtweets.events import Event

VISITOR = ReadOptions(file_limits=VISITORS)


def _error(path: Path, reading: ReadOptions = VISITOR) -> str:
    with pytest.raises(SourceError) as caught:
        read_posts_in_child([path], reading)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def _quick(path: Path, seconds: float = 30.0) -> str:
    """Read in this process and return the error; the time bound is for a busy machine."""
    start = time.process_time()
    with pytest.raises(SourceError) as caught:
        list(open_source(path).posts())
    assert time.process_time() - start < seconds
    return str(caught.value)


def test_a_child_reads_the_same_posts_in_the_order_of_the_sources(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,text,created_at,lang\n1,eins,2020-01-02T03:04:05Z,de\n2,,,\n", "utf-8"
    )
    (tmp_path / "b.txt").write_text("one\ntwo 😀\n", "utf-8")
    specs: list[str | Path] = [tmp_path / "b.txt", str(tmp_path / "a.csv")]
    table = read_posts_in_child(specs)
    assert table.schema == SCHEMA
    assert table.equals(read_posts(specs))
    assert not list(Path(tempfile.gettempdir()).glob("huggingtweets-read-*/*"))


def test_options_reach_the_child_and_events_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,words\n1,one\n2,two\n", "utf-8")
    events: list[Event] = []
    forget = frozenset({"2"})
    reading = ReadOptions("words", author="@ada", listen=events.append, forget=forget)
    table = read_posts_in_child([tmp_path / "a.csv"], reading)
    assert table.select("author", "text").rows() == [("ada", "one")]
    assert [event.done for event in events if event.stage == "forget"] == [1]


def test_an_error_of_the_child_is_the_reader_s_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n", "utf-8")
    with pytest.raises(SourceError, match="has no text column"):
        read_posts_in_child([tmp_path / "a.csv"])
    with pytest.raises(SourceError, match="No source of posts"):
        read_posts_in_child([])
    with pytest.raises(SourceError, match="names a person in an export of chats"):
        read_posts_in_child([tmp_path / "a.csv"], ReadOptions(speaker="x"))


def test_an_author_who_opted_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "not-me.txt").write_text("one\n", "utf-8")
    opt_out.add(["not-me"])
    with pytest.raises(OptedOutError):
        read_posts_in_child([tmp_path / "not-me.txt"])


def test_a_cancelled_reading_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n", "utf-8")
    with pytest.raises(Interrupted):
        read_posts_in_child([tmp_path / "a.txt"], ReadOptions(is_cancelled=lambda: True))


def test_posts_and_characters_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("12345\n" * 100, "utf-8")
    for limits in (
        replace(own_limits(), posts=99),
        replace(own_limits(), characters=499),
    ):
        assert "more than the limit of" in _error(path, ReadOptions(file_limits=limits))
        with pytest.raises(SourceError, match="more than the limit of"):
            read_posts([path], ReadOptions(file_limits=limits))
    enough = replace(own_limits(), posts=200, characters=1000)
    assert read_posts([path, path], ReadOptions(file_limits=enough)).height == 100


def test_a_parquet_file_of_one_text_400_000_times(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    text = pl.DataFrame({"text": ["x" * 3_000]}).lazy()
    text.select(pl.col("text").repeat_by(400_000).explode()).sink_parquet(path)
    assert path.stat().st_size < 30_000
    assert "more than the limit of 1,000,000 posts or 300,000,000 characters" in _error(path)


def test_a_parquet_cell_of_gigabytes_ends_at_the_limit_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "cell.parquet"
    pl.DataFrame({"text": ["x" * 400_000_000]}).write_parquet(path, compression="zstd")
    limits = replace(VISITORS, memory_bytes=700_000_000)
    assert "GB of memory" in _error(path, ReadOptions(file_limits=limits))


def test_a_csv_file_with_a_million_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text" + "," * 990_000 + "\n" + "a\n" * 1_900_000, "utf-8")
    assert "has 990,001 columns, more than the limit of 5,000" in _quick(path)


def test_rows_shorter_than_a_wide_header_are_quick(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("text" + "," * (MAX_COLUMNS - 1) + "\n" + "a\n" * 200_000, "utf-8")
    start = time.process_time()
    assert sum(1 for _ in open_source(path).posts()) == 200_000
    assert time.process_time() - start < 30


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_objects_with_too_many_fields(tmp_path: Path, name: str) -> None:
    row = json.dumps({"text": "a"} | {f"f{at}": 1 for at in range(MAX_COLUMNS)})
    (tmp_path / name).write_text(f"[{row}]" if name == "a.json" else row, "utf-8")
    assert f"more than the limit of {MAX_COLUMNS:,}" in _quick(tmp_path / name)


def test_an_archive_in_60_000_parts_is_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "parts.zip"
    account = '= [{"account": {"username": "ada", "x": "%s"}}]' % ("x" * 100_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/account.js", account)
        for number in range(60_000):
            archive.writestr(f"data/tweets-part{number}.js", "= []")
        archive.writestr("data/tweets-part60000.js", '= [{"tweet": {"id": "1", "text": "a"}}]')
    start = time.process_time()
    posts = list(open_source(path).posts())
    assert time.process_time() - start < 60
    assert [(post.author, post.text) for post in posts] == [("ada", "a")]


def test_a_zip_of_two_million_members_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"")
    whole = stream.getvalue()
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start:-22], bytearray(whole[-22:])
    end[12:16] = (2_000_000 * len(entry)).to_bytes(4, "little")
    path.write_bytes(whole[:start] + entry * 2_000_000 + end)
    assert "holds over 300,000 files" in _quick(path)
    end[12:16] = (100_000 * len(entry)).to_bytes(4, "little")
    path.write_bytes(whole[:start] + entry * 100_000 + end)
    with closing(SafeZip(path)) as opened:
        assert opened.names() == ["a"]


@pytest.mark.parametrize(
    "record",
    [
        b"1" * 60_000,
        b"60010 comment=" + b"1" * 59_995 + b"\n",
        b"2 " * 30_000 + b"=",
        b"24 GNU.sparse.major=1\n\n\n",
        b"9 a=b\n",
        b"5 ab\n",
    ],
)
def test_a_pax_header_that_no_program_writes(tmp_path: Path, record: bytes) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    block = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
    member = tarfile.TarInfo("outbox.json")
    path.write_bytes(block + member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    sentence = _quick(path, seconds=1.0)
    assert "damaged" in sentence or "link or device" in sentence


def test_a_pax_header_as_programs_write_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    outbox = json.dumps(
        {
            "orderedItems": [
                {"type": "Create", "object": {"content": "hi", "to": "as:Public"}},
            ]
        }
    ).encode()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("é" * 60 + "/outbox.json")
        info.size, info.mtime = len(outbox), 1234567890.123456789
        info.pax_headers = {"comment": "a=b\nc", "LIBARCHIVE.xattr.x": "QUJD" * 5_000}
        archive.addfile(info, io.BytesIO(outbox))
    assert [post.text for post in open_source(path).posts()] == ["hi"]
