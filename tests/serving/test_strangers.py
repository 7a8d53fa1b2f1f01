"""What visitors of a shared server can't do to it and to each other, without training."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from tests.servers.mastodon import USER, MastodonServer, status
from tests.serving.conftest import ANN, BOB

from huggingtweets.errors import InputError, SourceError
from huggingtweets.serving.schemas import LOCAL_USER, SAMPLE, TrainingRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service

    Start = Callable[..., Service]


def test_only_the_owner_alone_reads_accounts_on_this_machine(
    start_service: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    with MastodonServer([status(n) for n in range(30, 0, -1)]) as server:
        order = TrainingRequest((f"mastodon:@{USER}@{server.host}",))
        with pytest.raises(SourceError, match="not on the public internet"):
            start_service(shared=True, out=tmp_path / "b").inspect(ANN, order)
        assert server.asked == []
        tested = start_service(shared=True, local_accounts=True, out=tmp_path / "c")
        assert tested.inspect(ANN, order).counts["downloaded"] == 30
        assert start_service().inspect(LOCAL_USER, order).counts["downloaded"] == 30


def test_one_person_with_eleven_cookies_takes_a_fair_share_of_the_queue(
    start_service: Start,
) -> None:
    service = start_service(shared=True, most_waiting_per_client=9)
    cookies = [f"crowd-{number:02}-0123456789" for number in range(11)]
    order = TrainingRequest((SAMPLE,))
    queued = 0
    for visitor in cookies:
        try:
            service.submit(visitor, order, "203.0.113.1")
            queued += 1
        except InputError as error:
            assert "from your network address" in str(error)
    assert queued == 9
    name = service.submit(BOB, order, "203.0.113.2")
    assert service.status(BOB, name).place == 2  # after the one that came first
    files = [file.read_text() for file in (service.home / "jobs").glob("*.json")]
    assert not any("203.0.113" in text for text in files)  # the queue stores no addresses


@pytest.mark.parametrize("content", [b"", b"too short"])
def test_a_secret_that_is_too_short_is_made_anew(
    tmp_path: Path, start_service: Start, content: bytes
) -> None:
    home = tmp_path / "runs" / ".app"
    home.mkdir(parents=True)
    (home / "secret").write_bytes(content)
    secret = start_service().secret()
    assert len(secret) == 32
    assert (home / "secret").read_bytes() == secret
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert not list(home.glob(".secret.*"))
