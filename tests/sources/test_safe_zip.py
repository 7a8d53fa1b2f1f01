from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source
from huggingtweets.sources.safe_zip import MAX_MEMBER_BYTES, SafeZip

if TYPE_CHECKING:
    from pathlib import Path

TWEETS = b'window.YTD.tweets.part0 = [{"tweet": {"id_str": "1", "full_text": "one two three"}}]'


def _zip(path: Path, *members: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def _error(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        list(open_source(path).posts())
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_streams_the_members_it_is_asked_for(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS), ("data/like.js", b"never"))
    with closing(SafeZip(path)) as members:
        assert members.names() == ["data/tweets.js", "data/like.js"]
        members.check(["data/tweets.js"])
        assert b"".join(members.chunks("data/tweets.js")) == TWEETS


def test_something_else_named_zip(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"\x89PNG\r\n" * 100)
    assert "is not a zip file, or a damaged one" in _error(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"")
    assert "is empty" in _error(tmp_path / "b.zip")


@pytest.mark.parametrize("name", ["../data/tweets.js", "/etc/x", "C:/x", "C:\\x", "a\\..\\..\\x"])
def test_names_outside_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS), (name, b""))
    assert "unsafe name" in _error(path)


def test_a_symbolic_link(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("data/tweets.js")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in _error(path)


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # flag bit 0, in the local header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "is encrypted" in _error(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_can_grow_without_bound_are_not_opened(tmp_path: Path, packing: int) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS), packing=packing)
    assert "uses an unsupported compression method" in _error(path)


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS), packing=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"one two", b"two one"))
    assert "is damaged" in _error(path)


def test_a_truncated_zip(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS))
    path.write_bytes(path.read_bytes()[:-30])
    assert "damaged" in _error(path)


def test_an_empty_zip(tmp_path: Path) -> None:
    assert "It holds: nothing" in _error(_zip(tmp_path / "a.zip"))


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", *((f"photo{number}.jpg", b"") for number in range(9)))
    message = _error(path)
    assert "holds no data/tweets.js" in message
    assert "photo0.jpg, photo1.jpg" in message
    assert message.endswith("….")


def test_a_bomb_fails_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/account.js", b"window.x = []")
        with archive.open("data/tweets.js", "w") as stream:
            stream.write(b"window.YTD.tweets.part0 = [")
            for _ in range(150):
                stream.write(bytes([32]) * 1_000_000)
    tracemalloc.start()
    try:
        assert "looks like a zip bomb" in _error(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000  # of 100 MB and more: it stopped early


def _declare(path: Path, size: int) -> None:
    """Write another unpacked size into both headers of the only member."""
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[22:26] = data[directory + 24 : directory + 28] = struct.pack("<I", size)
    path.write_bytes(data)


def test_a_member_that_declares_less_than_it_holds(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS + b" " * 3_000_000))
    _declare(path, 200)
    with closing(SafeZip(path)) as members, pytest.raises(SourceError, match="is damaged"):
        assert sum(map(len, members.chunks("data/tweets.js"))) <= 200


def test_a_member_over_the_limit(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS))
    _declare(path, MAX_MEMBER_BYTES - 1)
    assert "looks like a zip bomb" in _error(path)


def test_many_parts_that_are_a_bomb_together(tmp_path: Path) -> None:
    part = io.BytesIO(b" " * 30_000_000).getvalue()
    names = [f"data/tweets-part{number}.js" for number in range(5)]
    path = _zip(tmp_path / "a.zip", *((name, part) for name in names))
    assert "all parts" in _error(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_zip_without_read_permission(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("data/tweets.js", TWEETS))
    path.chmod(0)
    assert "can't be read: Permission denied" in _error(path)
