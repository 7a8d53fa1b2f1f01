"""Make hostile files for ``benchmarks/hostile_files.py``; the same seed makes the same file."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/ is not installed

from tests.sources.mangle import mangled_archive, mangled_file
from tests.sources.mangle_exports import mangled_export

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


def make(kind: str, folder: Path, random: Random) -> None:
    """Write a file of a kind to a folder."""
    KINDS[kind](folder, random)


def _one_text_many_times(folder: Path, random: Random) -> None:
    import polars as pl

    text = pl.DataFrame({"text": ["x" * random.choice([30, 3_000, 90_000])]}).lazy()
    rows = random.choice([300_000, 2_000_000])
    text.select(pl.col("text").repeat_by(rows).explode()).sink_parquet(folder / "a.parquet")


def _one_large_cell(folder: Path, random: Random) -> None:
    import polars as pl

    size = random.choice([1_000_000, 300_000_000, 1_500_000_000])
    pl.DataFrame({"text": ["x" * size]}).write_parquet(folder / "a.parquet")


def _wide_parquet(folder: Path, random: Random) -> None:
    import polars as pl

    columns = random.choice([4_000, 20_000])
    pl.DataFrame({"text": ["a"]} | {f"c{at}": [1] for at in range(columns)}).write_parquet(
        folder / "a.parquet"
    )


def _wide_csv(folder: Path, random: Random) -> None:
    columns = random.choice([4_900, 100_000, 990_000])
    (folder / "a.csv").write_text("text" + "," * columns + "\n" + "a\n" * 1_900_000, "utf-8")


def _full_rows_of_csv(folder: Path, random: Random) -> None:
    columns = random.choice([100, 4_900])
    row = "a" + ",b" * columns + "\n"
    (folder / "a.csv").write_text("text" + "," * columns + "\n" + row * (30_000_000 // len(row)))


def _tiny_json_lines(folder: Path, random: Random) -> None:
    lines = random.choice([900_000, 2_000_000, 10_000_000])
    (folder / "a.jsonl").write_text('{"text":"a"}\n' * lines, "utf-8")


def _many_keys(folder: Path, random: Random) -> None:
    keys = random.choice([4_900, 50_000])
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        for line in range(400):
            names = {f"{line}-{at}": 1 for at in range(keys)}
            file.write(json.dumps({"text": "a"} | names) + "\n")


def _deep(folder: Path, random: Random) -> None:
    depth = random.choice([500, 100_000, 5_000_000])
    bracket = random.choice(["[", '{"a":'])
    name = random.choice(["a.json", "a.jsonl", "tweets.js"])
    (folder / name).write_text(f'[{{"text": {bracket * depth}', "utf-8")


def _long_item(folder: Path, random: Random) -> None:
    size = random.choice([1_000_000, 15_000_000, 100_000_000])
    item = '{"text": "' + "x" * size + '"}'
    (folder / "a.json").write_text(f"[{', '.join([item] * (100_000_000 // size))}]", "utf-8")


def _endless_line(folder: Path, random: Random) -> None:
    name = random.choice(["a.txt", "a.csv", "a.jsonl"])
    (folder / name).write_bytes(b"text " * 40_000_000)


def _many_parts(folder: Path, random: Random) -> None:
    parts = random.choice([1_000, 60_000])
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        account = '= [{"account": {"username": "ada", "x": "%s"}}]' % ("x" * 1_000_000)
        archive.writestr("data/account.js", account)
        for number in range(parts):
            archive.writestr(f"data/tweets-part{number}.js", '= [{"tweet": {"id": "1"}}]')


def _many_members(folder: Path, random: Random) -> None:
    count = random.choice([250_000, 2_000_000])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"")
    whole = stream.getvalue()
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start:-22], bytearray(whole[-22:])
    end[12:16] = (count * len(entry)).to_bytes(4, "little")
    (folder / "a.zip").write_bytes(whole[:start] + entry * count + end)


def _zip_bomb(folder: Path, random: Random) -> None:
    size = random.choice([90, 2_000]) * 1_000_000
    text = random.choice(["x", " ", '{"tweet":{"id":"1","full_text":"a b c"}},'])
    with (
        zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("data/tweets.js", "w", force_zip64=True) as member,
    ):
        member.write(b'window.YTD.tweets.part0 = [{"tweet":{"id":"1","full_text":"a"}},')
        block = (text * (1_000_000 // len(text))).encode()
        for _ in range(size // len(block)):
            member.write(block)


def _overlapping_zip(folder: Path, random: Random) -> None:
    tweet = json.dumps([{"tweet": {"id": "1", "full_text": "x" * 90_000}}] * 1_000)
    count = random.choice([100, 5_000])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/tweets-part00000.js", f"= {tweet}")
    whole = stream.getvalue()
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start:-22], bytearray(whole[-22:])
    entries = b"".join(entry.replace(b"part00000", b"part%05d" % at) for at in range(count))
    end[12:16] = len(entries).to_bytes(4, "little")
    (folder / "a.zip").write_bytes(whole[:start] + entries + end)


def _tar_bomb(folder: Path, random: Random) -> None:
    info = tarfile.TarInfo(random.choice(["outbox.json", "a.png"]))
    info.size = 3_000_000_000
    with gzip.open(folder / "a.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(info.tobuf())
        for _ in range(300):
            stream.write(b"[" * 1_000_000)


def _pax(folder: Path, random: Random) -> None:
    record = random.choice([b"1" * 60_000, b"60010 a=" + b"1" * 60_001 + b"\n", b"2 " * 30_000])
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    block = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512)
    member = tarfile.TarInfo("outbox.json").tobuf(tarfile.USTAR_FORMAT)
    (folder / "a.tar").write_bytes((block + member) * 300 + bytes(1024))


def _notes_of_one_second(folder: Path, random: Random) -> None:
    count = random.choice([1_000, 100_000])
    note = {"noteTweet": {"createdAt": "2018-10-10T20:19:24.000Z", "core": {"text": "x" * 40}}}
    tweet = {"tweet": {"created_at": "Wed Oct 10 20:19:24 +0000 2018", "full_text": "y" * 40}}
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("data/note-tweet.js", f"= {json.dumps([note] * count)}")
        archive.writestr("data/tweets.js", f"= {json.dumps([tweet] * count)}")


def _long_odd_posts(folder: Path, random: Random) -> None:
    piece = random.choice(["a.", "@a", "<a b='", "&amp;", "ã€", "https://(", "\u0301", "1 ", "😀"])
    text = (piece * 100_000)[:99_000]
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        for number in range(300):
            file.write(json.dumps({"text": f"{number} {text}"}) + "\n")


def _many_authors(folder: Path, random: Random) -> None:
    count = random.choice([900, 500_000])
    with (folder / "a.csv").open("w", encoding="utf-8") as file:
        file.write("author,text\n")
        file.writelines(f"a{number},one two three {number}\n" for number in range(count))


def _near_duplicates(folder: Path, random: Random) -> None:
    words = [f"w{number}" for number in range(40)]
    with (folder / "a.txt").open("w", encoding="utf-8") as file:
        for number in range(200_000):
            chosen = random.sample(words, 20)
            file.write(f"{' '.join(chosen)} n{number}\n")


def _wrong_extension(folder: Path, random: Random) -> None:
    ending = random.choice(["zip", "tar.gz", "parquet", "json", "jsonl", "csv", "txt", "js"])
    start = random.choice([b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"\x89PNG", b"SQLite format 3\0"])
    (folder / f"a.{ending}").write_bytes(start + random.randbytes(2_000_000))


def _encoding(folder: Path, random: Random) -> None:
    encoding = random.choice(["utf-16", "utf-32", "latin-1", "utf-8-sig", "cp037"])
    ending = random.choice(["json", "jsonl", "csv", "txt"])
    text = '{"text": "é"}\n' * 500_000
    (folder / f"a.{ending}").write_bytes(text.encode(encoding))


def _truncated(folder: Path, random: Random) -> None:
    tweet = {"tweet": {"id": "1", "full_text": "one two three"}}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/tweets.js", f"= {json.dumps([tweet] * 100_000)}")
    whole = stream.getvalue()
    (folder / "a.zip").write_bytes(whole[: random.randrange(len(whole))])


def _mangled(maker: Callable[[Random], tuple[str, bytes]]) -> Callable[[Path, Random], None]:
    def write(folder: Path, random: Random) -> None:
        name, content = maker(random)
        (folder / name).write_bytes(content)

    return write


KINDS: dict[str, Callable[[Path, Random], None]] = {
    "one text many times, Parquet": _one_text_many_times,
    "one large cell, Parquet": _one_large_cell,
    "wide Parquet": _wide_parquet,
    "wide header, CSV": _wide_csv,
    "wide rows, CSV": _full_rows_of_csv,
    "tiny JSON lines": _tiny_json_lines,
    "many keys, JSON lines": _many_keys,
    "deep JSON": _deep,
    "long items, JSON": _long_item,
    "endless line": _endless_line,
    "many parts, zip": _many_parts,
    "many members, zip": _many_members,
    "zip bomb": _zip_bomb,
    "overlapping members, zip": _overlapping_zip,
    "tar bomb": _tar_bomb,
    "PAX headers": _pax,
    "notes of one second": _notes_of_one_second,
    "long odd posts": _long_odd_posts,
    "many authors": _many_authors,
    "near-duplicates": _near_duplicates,
    "wrong extension": _wrong_extension,
    "encodings": _encoding,
    "truncated": _truncated,
    "mangled archive": _mangled(mangled_archive),
    "mangled export": _mangled(mangled_export),
    "mangled table": _mangled(mangled_file),
}
"""The kinds of files, each with its maker."""
