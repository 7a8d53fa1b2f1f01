from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.processes import ChildProcess

if TYPE_CHECKING:
    from pathlib import Path

ECHO = """
import sys
for line in sys.stdin:
    if line == "die\\n":
        sys.exit(3)
    print(line.upper(), end="", flush=True)
print("stopped", file=sys.stderr)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "echo_child"


def test_a_child_answers_and_stops_when_its_pipe_closes(module: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        child = ChildProcess(module, [], log, talks=True)
    assert child.ask("hello") == "HELLO\n"
    assert child.exit_code is None
    child.request_stop()
    assert child.wait(30) == 0
    assert (tmp_path / "log").read_text() == "stopped\n"


def test_a_child_that_dies_gives_no_answer(module: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        child = ChildProcess(module, [], log, talks=True)
    assert child.ask("die") is None
    assert child.wait(30) == 3
    assert child.ask("hello") is None
    child.request_stop()


def test_a_child_can_be_killed(module: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        child = ChildProcess(module, [], log)
    assert child.wait(0.1) is None
    assert child.kill() == -9
    child.request_stop()
