"""Bots that the server keeps open."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.serving.conftest import copied

from huggingtweets.serving.open_bots import OpenBots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.run import RunFolder
    from huggingtweets.serving.service import Service

    Serve = Callable[..., Service]


def test_bots_that_were_not_used_for_longest_are_closed(
    tmp_path: Path, finished: RunFolder
) -> None:
    runs = [copied(finished, tmp_path, f"bot{i}") for i in range(4)]
    size = OpenBots(1e9).open(runs[0]).size
    bots = OpenBots(2.5 * size)
    first, second = bots.open(runs[0]), bots.open(runs[1])
    assert bots.open(runs[0]) is first
    bots.open(runs[2])  # closes the second
    assert len(bots) == 2
    assert bots.size <= 2.5 * size
    assert bots.open(runs[0]) is first
    assert bots.open(runs[1]) is not second
    tiny = OpenBots(1.0)
    assert tiny.open(runs[3]).bot.index is not None
    assert len(tiny) == 1


def test_a_bot_that_was_trained_again_is_opened_again(tmp_path: Path, finished: RunFolder) -> None:
    run = copied(finished, tmp_path)
    bots = OpenBots(1e9)
    before = bots.open(run)
    shutil.copytree(run.bot, tmp_path / "new")
    shutil.rmtree(run.bot)
    (tmp_path / "new").rename(run.bot)
    os.utime(run.bot)
    assert bots.open(run) is not before
    assert len(bots) == 1
