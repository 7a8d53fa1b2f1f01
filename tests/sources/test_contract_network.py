"""The contract of network sources: no post is lost, and no page is requested needlessly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.servers.local import Reply, Request, Server, as_json
from tests.sources.cases import Case, samples
from tests.sources.network_cases import NETWORK_CASES

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.cases import Network, Sample

    from huggingtweets.sources import Source

pytestmark = pytest.mark.parametrize(
    "case", [case for case in NETWORK_CASES if case.network], ids=lambda case: case.name
)


@dataclass
class _Watch:
    """Records the requests and can change the responses.

    Attributes:
        asked: the requests for posts.
        cut_after: number of complete responses before the connection breaks.
        status: of every response, instead of the server's own.
    """

    network: Network
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    cut_after: int | None = None
    status: int | None = None

    def seen(self, request: Request, reply: Reply) -> Reply:
        if self.status is not None:
            return as_json({"error": "no"}, self.status)
        if not self.network.hands_out(request.path):
            return reply
        self.asked.append((request.path, request.query))
        cut = self.cut_after is not None and len(self.asked) > self.cut_after
        return replace(reply, fault="cut") if cut else reply


@pytest.fixture
def watch(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Watch]:
    assert case.network
    found = _Watch(case.network)
    reply = Server.reply
    monkeypatch.setattr(
        Server, "reply", lambda server, request: found.seen(request, reply(server, request))
    )
    with case.running():
        yield found


def _three_pages(case: Case) -> list[Sample]:
    if case.network is None or case.network.page is None:
        pytest.skip("all posts come at once")
    return samples(2 * case.network.page + 5)


def _texts(source: Source) -> list[str]:
    return [post.text for post in source.posts()]


def _newest_first(posts: list[Sample]) -> list[str]:
    return [post.text for post in reversed(posts)]


def test_after_an_interruption_only_the_rest_is_requested(
    case: Case, watch: _Watch, tmp_path: Path
) -> None:
    wanted = _three_pages(case)
    source = case.write(tmp_path, wanted)
    watch.cut_after = 1
    with pytest.raises(SourceError) as caught:
        _texts(source)
    assert f"{watch.network.page} posts downloaded so far are in" in str(caught.value)
    first = watch.asked[0]
    watch.cut_after = None
    watch.asked.clear()
    assert _texts(source) == _newest_first(wanted)
    assert first not in watch.asked
    assert len(watch.asked) == 2


def test_an_update_requests_only_new_posts(case: Case, watch: _Watch, tmp_path: Path) -> None:
    wanted = _three_pages(case)
    assert _texts(case.write(tmp_path, wanted[:-2])) == _newest_first(wanted[:-2])
    watch.asked.clear()
    assert _texts(case.write(tmp_path, wanted)) == _newest_first(wanted)
    assert len(watch.asked) == 1


def test_a_post_that_is_handed_out_twice_is_there_once(
    case: Case, watch: _Watch, tmp_path: Path
) -> None:
    wanted = samples(24)
    assert _texts(case.write(tmp_path, [*wanted, *wanted])) == _newest_first(wanted)
    assert watch.asked


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_refusal_is_one_sentence(case: Case, watch: _Watch, tmp_path: Path, status: int) -> None:
    source = case.write(tmp_path, samples(3))
    watch.status = status
    with pytest.raises(SourceError) as caught:
        _texts(source)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
