"""The user's configuration, cache and download folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import bases
from huggingtweets.storage import user_dirs
from huggingtweets.training import compiling

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = (
    *("HUGGINGTWEETS_CONFIG", "HUGGINGTWEETS_CACHE", "HUGGINGTWEETS_DOWNLOADS"),
    *("XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home folder, and no variable that names another folder."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_defaults_are_the_dot_folders(home: Path) -> None:
    assert user_dirs.config_folder() == home / ".config" / "huggingtweets"
    assert user_dirs.cache_folder() == home / ".cache" / "huggingtweets"
    assert user_dirs.downloads_folder() == home / ".cache" / "huggingtweets" / "downloads"
    assert bases.cache_folder() == home / ".cache" / "huggingtweets" / "bases"
    assert compiling.cache_folder() == home / ".cache" / "huggingtweets" / "compiled"


def test_xdg_variables_move_the_folders(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "c"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "x"))
    assert user_dirs.config_folder() == home / "c" / "huggingtweets"
    assert bases.cache_folder() == home / "x" / "huggingtweets" / "bases"
    assert user_dirs.downloads_folder() == home / "x" / "huggingtweets" / "downloads"


def test_variables_of_this_program_come_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / "xdg"))
    for name in ("HUGGINGTWEETS_CONFIG", "HUGGINGTWEETS_CACHE", "HUGGINGTWEETS_DOWNLOADS"):
        monkeypatch.setenv(name, str(home / name))
    assert user_dirs.config_folder() == home / "HUGGINGTWEETS_CONFIG"
    assert bases.cache_folder() == home / "HUGGINGTWEETS_CACHE" / "bases"
    assert user_dirs.downloads_folder() == home / "HUGGINGTWEETS_DOWNLOADS"


def test_earlier_downloads_stay_in_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = home / ".cache" / "huggingtweets" / "downloads"
    earlier.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "x"))
    assert user_dirs.downloads_folder() == earlier


def test_earlier_folders_stay_in_use_on_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    apple = home / "Library" / "Preferences" / "huggingtweets"
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: apple)
    assert user_dirs.config_folder() == apple
    earlier = home / ".config" / "huggingtweets"
    earlier.mkdir(parents=True)
    assert user_dirs.config_folder() == earlier
