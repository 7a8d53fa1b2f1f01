from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.cli.program import PROGRAM

from huggingtweets.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "a-key-for-these-tests"


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Run ``huggingtweets serve`` with invalid input and return its error message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUGGINGTWEETS_API_KEY", raising=False)

    def run(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["huggingtweets", "serve", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert list(tmp_path.iterdir()) == []
        error = capsys.readouterr().err
        assert error.startswith("huggingtweets: ")
        assert error.count("\n") == 1
        return error

    return run


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--host", "0.0.0.0"), "so it needs a key: set $HUGGINGTWEETS_API_KEY"),  # noqa: S104
        (("--api-key", "short-secret"), "the API key must have at least 16 characters"),
        (("--api-key", ""), "the API key must have at least 16 characters"),
        (("--api-key", "a key with spaces in it"), "signs without spaces"),
        (("--api-key", "ключ-ключ-ключ-ключ"), "letters, digits and signs"),
        (("--port", "70000"), "--port must be from 0 to 65535"),
        (("--memory-gb", "0"), "--memory-gb must be over 0"),
        (("--memory-gb", "nan"), "--memory-gb must be over 0"),
        (("--requests-a-minute", "-1"), "--requests-a-minute must be 0 (no limit) or more"),
        (("--grace-seconds", "-1"), "--grace-seconds must be from 0 to 3600"),
        (("--grace-seconds", "nan"), "--grace-seconds must be from 0 to 3600"),
        (("--port", "0"), "There is no bot 'me'"),
        (("--replicas", "0", "--ray"), "--replicas must be 1 or more"),
        (("--replicas", "2"), "--replicas needs --ray"),
        (("--port", "0", "--fleet", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    command: Callable[..., str], args: tuple[str, ...], expected: str
) -> None:
    error = command("me", *args)
    assert expected.lower() in error.lower()
    assert "secret" not in error


def test_a_server_needs_bots(command: Callable[..., str]) -> None:
    assert "Name a bot, or a folder of bots with --fleet" in command()


def test_replicas_are_started_from_a_machine_of_the_cluster(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://192.0.2.1:10001")
    assert "must run on a machine of the cluster" in command("me", "--port", "0", "--ray")


def test_a_taken_port_is_reported(command: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in command("me", "--port", port)


def test_the_server_ends_quietly_and_never_prints_its_key(tiny_base: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "serve", str(tiny_base), "--port", "0"],
        env={**os.environ, "HUGGINGTWEETS_API_KEY": KEY, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
        assert line.startswith("Serving tiny at http://127.0.0.1:")
        address = line.split(" at ")[1].split()[0]
        body = {"model": "tiny", "max_tokens": 3}
        refused = httpx.post(f"{address}/completions", json=body, timeout=100)
        headers = {"Authorization": f"Bearer {KEY}"}
        allowed = httpx.post(f"{address}/completions", json=body, headers=headers, timeout=100)
        assert (refused.status_code, allowed.status_code) == (401, 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert KEY not in line + process.stdout.read()
