"""The hashtags that the Play page offers, and posts with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.serving.conftest import copy_run

from huggingtweets.errors import InputError
from huggingtweets.serving import bot_views
from huggingtweets.serving.workspaces import RunAccess
from huggingtweets.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder


def test_a_server_offers_the_tags_and_writes_posts_with_them(
    tmp_path: Path, start_service: Callable[..., Service], finished: RunFolder
) -> None:
    copy_run(finished, tmp_path / "runs", "ann")
    service = start_service()
    assert service.bot("me", "ann").hashtags == ("harbourlife",)
    posts = list(service.write("me", "ann", "We", n=3, seed=1, hashtag="HarbourLife"))
    assert len(posts) == 3
    assert all("#harbourlife" in post.text and post.prompt == "We" for post in posts)
    for hashtag, said in (("kites", "most frequent are #harbourlife"), ("a b", "one word")):
        with pytest.raises(InputError, match=said):
            service.write("me", "ann", hashtag=hashtag)


def test_a_tag_of_one_post_is_offered_to_its_owner_alone(
    tmp_path: Path, finished: RunFolder
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    texts = ["a #once", "b #often", "c #often"]
    run.replace_table("kept", pl.DataFrame({"author": "ann", "text": texts, "split": "train"}))
    access = RunAccess(run, mine=True)
    assert bot_views.hashtags_of(access) == ("often", "once")
    assert bot_views.hashtags_of(replace(access, mine=False)) == ("often",)
    (run.path / "data" / "kept.parquet").unlink()
    assert bot_views.hashtags_of(access) == ()


def test_chips_show_tags_of_any_script_and_nothing_without_tags() -> None:
    html = render("hashtags", tags=["Mars", "हिन्दी"])
    assert html.count('data-do="tag"') == 2
    assert 'data-tag="हिन्दी"' in html
    assert render("hashtags", tags=[]).strip() == ""
