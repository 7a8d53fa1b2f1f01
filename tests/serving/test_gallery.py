"""The gallery keeps what it has read of finished bots."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.serving.conftest import copy_run

from huggingtweets.serving import bot_views
from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from huggingtweets.serving.schemas import BotSummary
    from huggingtweets.serving.service import Service
    from huggingtweets.serving.workspaces import RunAccess
    from huggingtweets.storage.run_folder import RunFolder


def test_a_bot_is_read_again_only_after_a_change(
    tmp_path: Path,
    start_service: Callable[..., Service],
    finished: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    other = copy_run(finished, tmp_path / "runs", "other")
    service = start_service()
    read: list[str] = []
    summary = bot_views.summary

    def noted(name: str, access: RunAccess) -> BotSummary:
        read.append(name)
        return summary(name, access)

    monkeypatch.setattr(bot_views, "summary", noted)

    def shown() -> BotSummary:
        return next(bot for bot in service.gallery(LOCAL_USER) if bot.name == "ann")

    first = shown()
    assert sorted(read) == ["ann", "other"]
    assert shown() == first
    assert len(read) == 2

    report = files.read_json(run.report_json)
    report["bits_per_byte"]["bot"] = 0.125
    files.write_json(run.report_json, report)
    assert shown().bits_per_byte == 0.125
    had_picture = shown().has_picture
    if had_picture:
        run.picture.unlink()
    else:
        run.picture.write_bytes(b"a picture")
    assert shown().has_picture != had_picture
    run.save(replace(run.record(), created_at="2001-02-03T04:05:06+00:00"))
    assert shown().made_at == "2001-02-03T04:05:06+00:00"
    assert read[2:] == ["ann"] * 3
    shutil.rmtree(run.path)
    assert [bot.name for bot in service.gallery(LOCAL_USER)] == [other.path.name]


def test_a_bot_in_training_is_read_each_time(
    tmp_path: Path, start_service: Callable[..., Service], finished: RunFolder
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    run.save(replace(run.record(), state="training"))
    service = start_service()
    assert [bot.state for bot in service.gallery(LOCAL_USER)] == ["stopped"]
    with files.locked(run.path):  # a process works on it, and no file has changed
        assert [bot.state for bot in service.gallery(LOCAL_USER)] == ["training"]
