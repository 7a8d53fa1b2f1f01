from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import StorageError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from pathlib import Path

_LIMITED = """
import resource, sys
from pathlib import Path
from huggingtweets.storage import files
from huggingtweets.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files.write_text(Path(sys.argv[1]), "new" * 10_000)
except StorageError as error:
    print(error)
"""

_KILLED = """
import os, signal, sys
from pathlib import Path
from huggingtweets.storage import files
with files.atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_utf_8_and_private(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "down" / "file.json"
    files.write_json(file, {"text": "é🚀"})
    assert file.read_bytes() == '{\n  "text": "é🚀"\n}\n'.encode()
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(file.parent) == ["file.json"]


def test_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with files.atomic_write(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
        assert temporary.parent == file.parent  # a rename needs the same file system
    assert file.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    done = subprocess.run([sys.executable, "-c", _KILLED, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == "old"
    files.write_text(file, "new")  # the temporary file of the killed process doesn't matter
    assert file.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_error_leaves_no_temporary_file(tmp_path: Path, error: BaseException) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    with pytest.raises(type(error)), files.atomic_write(file) as temporary:
        temporary.write_text("half")
        raise error
    with pytest.raises(type(error)), files.atomic_write_dir(folder) as temporary:
        (temporary / "half").write_text("half")
        raise error
    assert names(tmp_path) == []


def test_file_size_limit_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(file)], capture_output=True, text=True, check=True
    )
    expected = f"Can't write {file}: the file would be larger than this system allows.\n"
    assert done.stdout == expected
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="disk is full; free some space"),
        files.wrap_os_errors(tmp_path),
        open("/dev/full", "w") as file,  # noqa: PTH123 - a device
    ):
        file.write("x")
        file.flush()


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Can't write .*: "):
        files.write_text(tmp_path / "file" / "below", "text")
    assert names(tmp_path) == ["file"]


def test_folder_is_replaced_completely(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for content in ("first", "second"):
        with files.atomic_write_dir(folder) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / content).write_text(content)
        assert names(folder / "sub") == [content]
    with pytest.raises(ZeroDivisionError), files.atomic_write_dir(folder):
        _ = 1 / 0
    assert names(folder / "sub") == ["second"]
    assert names(tmp_path) == ["folder"]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("text", "number"),
    [("I/O error: No space (os error 28)", errno.ENOSPC), ("who knows", errno.EIO)],
)
def test_rust_error_numbers_are_parsed(text: str, number: int) -> None:
    error = files.to_os_error(RuntimeError(text))
    assert error.errno == number
    assert error.strerror == (os.strerror(number) if number == errno.ENOSPC else text)
