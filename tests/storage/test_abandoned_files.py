"""What a killed process left half-written goes with the next start; a running one's stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.helpers.finished_run import finished_run

from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder

WRITER = """
import sys, time
from pathlib import Path
from huggingtweets.storage import files
run = Path(sys.argv[1])
with files.atomic_write_dir(run / "bot") as folder, files.atomic_write(run / "run.json") as file:
    with files.atomic_write(run / "report" / "likeness.json") as other:
        for path in (folder / "model.safetensors", file, other):
            path.write_bytes(b"half")
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return finished_run(tmp_path / "runs", ["a post", "another"])


@pytest.fixture
def writing(run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of three atomic writes."""
    command = [sys.executable, "-c", WRITER, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def _temporary(run: RunFolder) -> list[str]:
    return sorted(path.name.split(".")[1] for path in run.path.rglob(".*.tmp"))


def test_a_killed_writers_files_go_with_the_next_start(
    run: RunFolder, writing: subprocess.Popen[str]
) -> None:
    before = run.record(), (run.bot / "model.safetensors").read_bytes()
    with run.locked():
        assert _temporary(run) == ["bot", "likeness", "run"]  # it runs, so they stay
    writing.kill()
    writing.wait()
    with run.locked():
        assert _temporary(run) == []
    assert (run.record(), (run.bot / "model.safetensors").read_bytes()) == before


def test_a_half_made_run_goes_when_the_next_is_made(run: RunFolder) -> None:
    out, ended = run.path.parent, subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mark = files.writer().partition("p")[0]
    for process in (ended.pid, os.getpid()):
        (out / f".ann.{mark}p{process}.new" / "data").mkdir(parents=True)
    other_machine = out / f".ann.0badbadbp{ended.pid}.new"
    other_machine.mkdir()
    (out / ".demo.before").mkdir()  # an earlier run, set aside
    os.utime(out / ".demo.before", (0, 0))
    finished_run(out, ["a post", "another"], "next")
    left = {path.name for path in out.glob(".*")}
    assert left == {f".ann.{files.writer()}.new", other_machine.name, ".demo.before"}
    long_ago = time.time() - 3_600
    os.utime(other_machine, (long_ago, long_ago))
    files.remove_abandoned(out)
    assert not other_machine.exists()


def test_names_of_earlier_versions_stay_for_ten_minutes(run: RunFolder) -> None:
    earlier = run.path / ".bot.abcdefgh.tmp"
    earlier.mkdir()
    (run.path / ".hidden").touch()
    files.remove_abandoned(run.path)
    assert earlier.exists()
    os.utime(earlier, (0, 0))
    files.remove_abandoned(run.path)
    assert not earlier.exists()
    assert (run.path / ".hidden").exists()
