from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from huggingtweets.processes import HUB_TOKENS, ChildProcess

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


ENVIRONMENT = """
import json, os
input()
print(json.dumps(dict(os.environ)), flush=True)
"""


def test_a_child_inherits_no_password_and_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environment_child.py").write_text(ENVIRONMENT)
    kept = {
        "PYTHONPATH": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "HF_HOME": "/hf",
        "HUGGINGTWEETS_CACHE": "/cache",
        "XDG_CACHE_HOME": "/xdg",
        "LC_ALL": "C.UTF-8",
    }
    secret = (
        *("HUGGINGTWEETS_PASSWORD", "HUGGINGTWEETS_X_TOKEN", "X_BEARER_TOKEN", "WANDB_API_KEY"),
        *("TWITTER_BEARER_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_SECRET"),
    )
    for name, value in {**kept, "HF_TOKEN": "hf_1", **dict.fromkeys(secret, "secret")}.items():
        monkeypatch.setenv(name, value)
    with (tmp_path / "log").open("w") as log:
        child = ChildProcess(
            "environment_child", [], log, talks=True, environment={"MORE": "1"}, inherit=HUB_TOKENS
        )
    found = json.loads(child.ask("now") or "{}")
    child.request_stop()
    child.wait(30)
    assert found.items() >= {**kept, "MORE": "1", "HF_TOKEN": "hf_1"}.items()
    assert set(secret) & found.keys() == {"HUGGING_FACE_HUB_TOKEN"}
