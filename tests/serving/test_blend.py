"""Two bots of a server that write together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import copy_run

from huggingtweets.errors import BotError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder


def test_two_bots_are_mixed_while_they_write(
    tmp_path: Path, start_service: Callable[..., Service], finished: RunFolder
) -> None:
    for name in ("ann", "eve"):
        copy_run(finished, tmp_path / "runs", name)
    service = start_service()
    alone = [post.text for post in service.write("me", "ann", n=2, seed=3)]
    mixed = list(service.write("me", "ann", n=2, seed=3, blend="eve", share=0.25))
    assert [post.text for post in mixed] == alone  # the same bot twice
    assert all(post.copied is not None for post in mixed)
    assert len(service.open_bots) == 2
    links = service.share_links("me", "ann", "A post.", "eve")
    assert links == service.share_links("me", "ann", "A post.")
    with pytest.raises(InputError, match="share must be a number from 0 to 1"):
        service.write("me", "ann", blend="eve", share=2)
    with pytest.raises(BotError):
        service.write("me", "ann", blend="nobody")
