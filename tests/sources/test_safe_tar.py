from __future__ import annotations

import gzip
import io
import tarfile
import time
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.sources.cases import tar_gz

from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source
from huggingtweets.sources.safe_tar import SafeTar

if TYPE_CHECKING:
    from pathlib import Path

OUTBOX = b'{"orderedItems": []}'


def _tar(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(b"\0" * info.size))
    return path


def _info(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in values.items():
        setattr(info, field, value)
    return info


def _error(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        list(open_source(path).posts())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_streams_the_files_it_is_asked_for(tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "a.tar.gz", {"./outbox.json": OUTBOX, "b.png": b"x" * 5_000_000})
    with closing(SafeTar(path)) as members:
        assert members.names() == ["outbox.json", "b.png"]
        members.check(["outbox.json"])
        assert b"".join(members.chunks("outbox.json")) == OUTBOX
        assert b"".join(members.chunks("b.png")) == b"x" * 5_000_000


@pytest.mark.parametrize("name", ["../outbox.json", "/etc/x", "C:/x", "C:\\x", "a\\..\\..\\x"])
def test_names_outside_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    assert "unsafe name" in _error(_tar(tmp_path / "a.tar.gz", _info(name)))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    info = _info("outbox.json", kind, linkname="/etc/passwd")
    assert "a link or device" in _error(_tar(tmp_path / "a.tar.gz", info))


def test_sparse_files(tmp_path: Path) -> None:
    info = _info("x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999"})
    assert "a link or device" in _error(_tar(tmp_path / "a.tar.gz", info))


def test_a_bomb_fails_early(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        info = _info("a.png", size=10**10)
        stream.write(info.tobuf())
        for _ in range(150):
            stream.write(b"\0" * 1_000_000)
    tracemalloc.start()
    start = time.process_time()
    try:
        assert "looks like a decompression bomb" in _error(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert time.process_time() - start < 10


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_any_length_is_not_read(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(_info("x", kind, size=50_000_000).tobuf())
        stream.write(b"\0" * 60_000_000)
    tracemalloc.start()
    try:
        assert "looks like a decompression bomb (a header of 50,000,000 bytes)" in _error(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_many_headers_in_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as stream:
        header = _info("x", tarfile.XHDTYPE, size=512).tobuf() + b"9 a=bcde\n".ljust(512, b"\0")
        stream.write(header * 20_000)
    assert "is not a tar.gz file, or a damaged one" in _error(path)


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b", b"PK\3\4" * 1000, b"\0" * 2000])
def test_something_else_named_tar_gz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    message = _error(tmp_path / "a.tar.gz")
    assert "is empty" in message or "not a tar.gz" in message or "holds no outbox" in message


def test_a_truncated_tar(tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "a.tar.gz", {"outbox.json": OUTBOX * 10_000})
    path.write_bytes(path.read_bytes()[:-200])
    assert "damaged" in _error(path)
