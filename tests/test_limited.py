from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import SourceError
from huggingtweets.processes import limited
from huggingtweets.processes.limited import LimitError, Limits

if TYPE_CHECKING:
    from collections.abc import Callable


FUNCTIONS = """
import os, time
from huggingtweets.errors import SourceError

def double(argument, send):
    print("not a message")
    send({"got": argument})
    return 2 * argument

class OwnError(SourceError):
    pass

def fail(argument, send):
    raise OwnError(argument)

def wrong(argument, send):
    raise KeyError(argument)

def allocate(argument, send):
    return len(bytearray(argument))

def sleep(argument, send):
    send({"pid": os.getpid()})
    time.sleep(argument)

def chatter(argument, send):
    while True:
        send({"pid": os.getpid()})
        time.sleep(argument)

def crash(argument, send):
    os.kill(os.getpid(), argument)
"""
GENEROUS = Limits(memory_bytes=2 * 10**9, seconds=120.0)


@pytest.fixture(autouse=True)
def _functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limited_functions.py").write_text(FUNCTIONS)
    old = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), old))))


def _call(
    name: str,
    argument: object,
    limits: Limits = GENEROUS,
    listen: Callable[[dict[str, Any]], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = limited.never,
) -> Any:  # noqa: ANN401
    return limited.call(f"limited_functions:{name}", argument, limits, listen, is_cancelled)


def test_a_result_and_messages_come_back() -> None:
    heard: list[dict[str, Any]] = []
    assert _call("double", 21, listen=heard.append) == 42
    assert heard == [{"got": 21}]


def test_an_error_for_users_comes_back() -> None:
    with pytest.raises(SourceError, match=r"^Line 3 is broken\.$"):
        _call("fail", "Line 3 is broken.")


def test_any_other_error_is_told_with_its_traceback() -> None:
    with pytest.raises(LimitError, match="KeyError: 'x'") as caught:
        _call("wrong", "x")
    assert caught.value.reason == "died"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't enforce it")
def test_memory_is_limited() -> None:
    with pytest.raises(LimitError) as caught:
        _call("allocate", 3 * 10**9)
    assert caught.value.reason == "memory"
    assert _call("allocate", 10**6) == 10**6


def test_time_is_limited_and_the_child_is_killed() -> None:
    pids: list[int] = []
    limits = Limits(memory_bytes=2 * 10**9, seconds=10.0)
    with pytest.raises(LimitError) as caught:
        _call("sleep", 600, limits, lambda message: pids.append(message["pid"]))
    assert caught.value.reason == "time"
    assert not _is_alive(pids[0])


def test_messages_lengthen_the_time_but_not_that_in_all() -> None:
    pids: list[int] = []
    limits = Limits(memory_bytes=2 * 10**9, seconds=60.0, seconds_in_all=5.0)
    with pytest.raises(LimitError) as caught:
        _call("chatter", 0.01, limits, lambda message: pids.append(message["pid"]))
    assert caught.value.reason == "time"
    assert pids
    assert not _is_alive(pids[0])


def test_a_cancelled_call_ends_at_once() -> None:
    pids: list[int] = []
    with pytest.raises(LimitError) as caught:
        _call(
            "sleep", 600, GENEROUS, lambda message: pids.append(message["pid"]), lambda: pids != []
        )
    assert caught.value.reason == "cancelled"
    assert not _is_alive(pids[0])


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "died")]
)
def test_a_child_that_dies_is_noticed(number: int, reason: str) -> None:
    with pytest.raises(LimitError) as caught:
        _call("crash", int(number))
    assert caught.value.reason == reason


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_child_dies_with_its_parent(tmp_path: Path, number: int) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = f"""
from pathlib import Path
from huggingtweets.processes import limited
limited.call("limited_functions:sleep", 600, limited.Limits(2 * 10**9, 600.0),
             lambda message: print(message["pid"], flush=True), scratch=Path({str(scratch)!r}))
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    parent.wait(60)
    parent.stdout.close()
    _until(lambda: not _is_alive(child))
    if number == signal.SIGKILL:  # nobody else is left to do it
        _until(lambda: not scratch.exists())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with Path(f"/proc/{pid}/stat").open(encoding="ascii") as stat:  # an orphan, not waited for
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
