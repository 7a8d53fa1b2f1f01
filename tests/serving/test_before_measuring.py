from __future__ import annotations

from typing import TYPE_CHECKING

from tests.serving.conftest import copy_run

from huggingtweets.serving.schemas import LOCAL_USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder


def test_a_bot_generates_posts_before_it_is_measured(
    start_service: Callable[..., Service], finished: RunFolder, tmp_path: Path
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    record = run.record()
    record.state = "trained"
    run.save(record)
    run.report_json.unlink()
    service = start_service()
    with run.locked():  # by the training process
        (bot,) = service.gallery(LOCAL_USER)
        assert (bot.state, bot.playable, bot.taken_for_author) == ("judging", True, None)
        assert service.newest_bot(LOCAL_USER) == "ann"
        assert service.newest_bot(LOCAL_USER, own=True) == ""  # a quiz needs the report
        assert len(list(service.write(LOCAL_USER, "ann", n=2))) == 2
        assert service.bot(LOCAL_USER, "ann").curve  # the training loss is drawn
        assert service.draw_picture(LOCAL_USER, "ann", "a post").startswith(b"\x89PNG")
