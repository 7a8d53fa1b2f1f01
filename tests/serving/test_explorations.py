"""Explorations of visitors' own bots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import ANN, BOB

from huggingtweets.errors import BotError, InputError, Interrupted
from huggingtweets.serving.explorations import MOST_BOTS

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.serving.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_only_its_owner_sees_the_page_and_only_while_the_run_has_its_posts(
    shared: Service,
) -> None:
    found = shared.explore(ANN, ["ann"])
    assert found.names == ("ann",)
    assert found.posts > 250
    assert sum(share for share, _, _ in found.topics) == pytest.approx(1)
    assert found.nearest == []
    assert any("two authors" in note for note in found.notes)
    page = shared.exploration_page(ANN, found.id)
    assert page is not None
    assert found.topics[0][1].split(" ")[0] in page
    assert shared.exploration_page(BOB, found.id) is None
    assert shared.exploration_page(ANN, "unknown") is None

    run = shared._workspaces.own_run(ANN, "ann")
    record = run.record()
    record.forgotten = 1
    run.save(record)
    assert shared.exploration_page(ANN, found.id) is None
    assert not shared._explorations._pages  # its posts are not kept longer


def test_others_bots_and_too_many_are_refused(shared: Service, tmp_path: Path) -> None:
    with pytest.raises(BotError, match="no bot 'ann'"):
        shared.explore(BOB, ["ann"])
    for names in ([], [f"bot{number}" for number in range(MOST_BOTS + 1)]):
        with pytest.raises((InputError, BotError)) as refused:
            shared.explore(ANN, names)
        assert str(tmp_path) not in str(refused.value)


def test_a_visitor_who_leaves_ends_it(shared: Service) -> None:
    with pytest.raises(Interrupted):
        shared.explore(ANN, ["ann"], lambda: True)
