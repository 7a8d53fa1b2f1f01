from __future__ import annotations

import importlib.util
import runpy
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from huggingtweets.cli import main
from huggingtweets.errors import InputError
from huggingtweets.serving.schemas import Settings
from huggingtweets.web import Options

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Path(__file__).parent.parent.parent / "app.py"


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Run ``huggingtweets app`` with invalid options and return its error message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUGGINGTWEETS_PASSWORD", raising=False)

    def run(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["huggingtweets", "app", "--no-open", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--host", "0.0.0.0"), "it needs a password"),  # noqa: S104
        (("--host", "192.168.0.7"), "it needs a password"),
        (("--password", "short"), "at least 8 characters"),
        (("--port", "70000"), "from 0 to 65535"),
        (("--max-upload-mb", "0"), "over 0"),
        (("--trusted-proxy", "proxy.example"), "an IP address or a network"),
        (("--share-gallery",), "--share-gallery needs a password"),
    ],
)
def test_invalid_options_are_reported_in_one_line(
    command: Callable[..., str], args: tuple[str, ...], expected: str
) -> None:
    error = command(*args)
    assert expected in error
    assert error.count("\n") == 1
    assert error.startswith("huggingtweets: ")


def test_taken_port_is_reported(command: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in command("--port", port)


def test_missing_package_is_reported(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "itsdangerous" else find(name, *a),
    )
    assert "pip install 'huggingtweets[app]'" in command()


def test_repr_of_options_hides_the_password() -> None:
    options = Options(Settings(shared=True), password="a good password")  # noqa: S106
    assert "a good password" not in repr(options)


def options_of_app(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Options:
    for name in ("SPACE_ID", "COLAB_RELEASE_TAG", "HUGGINGTWEETS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = runpy.run_path(str(APP))["options"]()
    assert isinstance(made, Options)
    return made


def test_app_py_listens_only_locally(monkeypatch: pytest.MonkeyPatch) -> None:
    here = options_of_app(monkeypatch)
    assert (here.host, here.password, here.settings.shared) == ("127.0.0.1", None, False)


def test_app_py_on_spaces_needs_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="needs a password"):
        options_of_app(monkeypatch, SPACE_ID="me/bots")
    there = options_of_app(
        monkeypatch,
        SPACE_ID="me/bots",
        HUGGINGTWEETS_PASSWORD="a good password",  # noqa: S106
    )
    assert there.settings.shared
    assert there.frames == "https://huggingface.co"
