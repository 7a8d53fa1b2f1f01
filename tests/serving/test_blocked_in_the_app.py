"""The web app blocks bots whose author opted out or deleted posts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import ANN, BOB, copy_run, runs_folder_of

from huggingtweets import deletion
from huggingtweets.errors import BotError, OptedOutError
from huggingtweets.privacy import opt_out
from huggingtweets.serving.schemas import LOCAL_USER, UpdateRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder


@pytest.mark.parametrize(
    "use",
    [
        lambda service, me, name: service.write(me, name, n=1),
        lambda service, me, name: service.share_links(me, name, "hello"),
        lambda service, me, name: service.set_picture(me, name, "hello"),
        lambda service, me, name: service.favourite(me, name, "hello"),
        lambda service, me, name: service.new_quiz(me, name, 2),
        lambda service, me, name: service.export(me, name),
        lambda service, me, name: service.publish(me, name, "me/ann", "hf_x", True, True),
        lambda service, me, name: service.picture(me, name),
        lambda service, me, name: service.report_page(me, name),
        lambda service, me, name: service.update(me, name, UpdateRequest()),
        lambda service, me, name: service.roll_back(me, name, 1),
    ],
    ids=[
        "write",
        "share",
        "set_picture",
        "favourite",
        "quiz",
        "export",
        "publish",
        "picture",
        "report",
        "update",
        "roll_back",
    ],
)
def test_an_opted_out_authors_bot_does_nothing(
    tmp_path: Path,
    start_service: Callable[..., Service],
    finished: RunFolder,
    config: Path,
    use: Callable[[Service, str, str], object],
) -> None:
    assert not config.exists()
    copy_run(finished, tmp_path / "runs")
    service = start_service()
    list(service.write(LOCAL_USER, "ann", n=1))  # it is open already
    opt_out.add(["@ann"])
    with pytest.raises(OptedOutError, match=r"^@ann asked not to be imitated .* is not used\.$"):
        use(service, LOCAL_USER, "ann")
    (shown,) = service.gallery(LOCAL_USER)
    assert shown.out_of_date == "blocked: an author asked not to be imitated; please delete it"
    page = service.bot(LOCAL_USER, "ann")
    assert (page.report, page.favourites, service.card(LOCAL_USER, "ann")) == (None, (), "")
    assert service.newest_bot(LOCAL_USER) == ""
    service.delete(LOCAL_USER, "ann")
    assert service.gallery(LOCAL_USER) == []


def test_an_out_of_date_bot_is_not_passed_on(
    tmp_path: Path,
    start_service: Callable[..., Service],
    finished: RunFolder,
    config: Path,
) -> None:
    assert not config.exists()
    run = copy_run(finished, runs_folder_of(tmp_path / "runs", ANN))
    service = start_service(shared=True, share_gallery=True)
    (seen,) = service.gallery(BOB)
    deletion.forget(frozenset({"@ann 3"}), [run])
    told = "The bot ann is out of date: 1 post was deleted by their author since"
    with pytest.raises(BotError, match=told):
        service.publish(ANN, "ann", "me/ann", "hf_x", True, True)
    with pytest.raises(BotError, match=told):
        service.export(ANN, "ann")
    with pytest.raises(BotError, match=told):
        service.share_links(ANN, "ann", "hello")
    assert len(list(service.write(ANN, "ann", n=1, seed=1))) <= 1  # its owner may look at it
    assert service.gallery(BOB) == []
    with pytest.raises(BotError, match=told):
        service.write(BOB, seen.name)
    with pytest.raises(BotError, match=told):
        service.bot(BOB, seen.name)
