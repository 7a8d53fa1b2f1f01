"""Bots on two replicas that Ray Serve keeps on this machine, one of which is killed under load."""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.fleets import write_fleet
from tests.helpers.openai_api import ask
from tests.serving.conftest import until
from tests.serving.test_fleet import completion

from huggingtweets.errors import InputError
from huggingtweets.generation.batch_engine import BatchEngine
from huggingtweets.serving import replicas as replicas_module
from huggingtweets.serving.completions import ServiceOptions
from huggingtweets.serving.replicas import Replica, ReplicatedService
from huggingtweets.web.openai_api.app import Access

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

    from huggingtweets.generation.batch_engine import Row
    from huggingtweets.serving.completions import Order

AUTHORS = ("ann", "bob", "cat", "dan", "eve", "fay")
CLIENTS, REQUESTS, POSTS = 8, 2, 4

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray Serve's own


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> ServiceOptions:
    """In fp32, so that a post doesn't depend on what else is in the batch."""
    folder = write_fleet(tmp_path_factory.mktemp("fleet"), tiny_base, AUTHORS)
    return ServiceOptions(fleet=folder, precision="fp32")


def slow_replica(folder: Path) -> type[Replica]:
    """A replica of which each token takes 20 ms, so that it can be killed between two.

    A class in a function is sent to the cluster whole; there the tests can't be imported.

    Args:
        folder: has a folder of each replica, with a file for each order that it works on.
    """

    class SlowReplica(Replica):
        def __init__(self, options: ServiceOptions, generation: int) -> None:
            step = BatchEngine.step

            def slow_step(engine: BatchEngine) -> list[tuple[Row, str]]:
                time.sleep(0.02)
                return step(engine)

            BatchEngine.step = slow_step  # type: ignore[assignment,method-assign]
            super().__init__(options, generation)

        async def complete(self, order: Order) -> AsyncIterator[Any]:
            import ray

            own = folder / str(ray.get_runtime_context().get_actor_name())
            own.mkdir(exist_ok=True)
            mark = own / uuid.uuid4().hex
            mark.touch()
            try:
                async for item in super().complete(order):
                    yield item
            finally:
                mark.unlink()

    return SlowReplica


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which replicas note what they work on."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def service(options: ServiceOptions, work: Path) -> Iterator[ReplicatedService]:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicas_module, "Replica", slow_replica(work))
        made = ReplicatedService(options, 2)
        yield made
        made.stop()


def replicas() -> list[str]:
    import ray

    names = ray.util.list_named_actors(all_namespaces=True)
    return [actor["name"] for actor in names if "#Replica#" in actor["name"]]


def test_replicas_write_what_one_server_writes(
    service: ReplicatedService, options: ServiceOptions
) -> None:
    wanted = [completion(author, n=2, logprobs=1) for author in AUTHORS]
    own = options.open()
    own.start()
    try:
        expected = ask(own, Access(), *wanted)
        assert service.created == own.created
        assert service.fleet == own.fleet
    finally:
        own.stop()
    found = ask(service, Access(), *wanted)
    for one, other in zip(found, expected, strict=True):
        assert one.json()["choices"] == other.json()["choices"]
        assert one.json()["usage"] == other.json()["usage"]
    assert len(replicas()) == 2


def test_what_a_replica_refuses_is_refused(service: ReplicatedService) -> None:
    unknown, long = ask(
        service, Access(), completion("gus"), completion("ann", prompt="kite " * 100)
    )
    assert unknown.status_code == 404
    assert long.status_code == 400
    assert "tokens and the model reads at most 64" in long.json()["error"]["message"]


def test_a_client_that_leaves_ends_its_order(service: ReplicatedService) -> None:
    import httpx

    async def leave() -> None:
        import asyncio

        from huggingtweets.web.openai_api.app import make_app

        transport = httpx.ASGITransport(make_app(service, Access()))
        async with httpx.AsyncClient(transport=transport) as one:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.send(completion("ann", n=128)), 0.2)

    import asyncio

    asyncio.run(leave())
    until(lambda: not service.waiting, "the order's end")


@pytest.mark.cluster
def test_a_replica_that_is_killed_under_load_loses_no_answer(
    service: ReplicatedService, work: Path
) -> None:
    """Each request is sent to another replica at most once, streams go on where they were."""
    import ray

    streams = [(i // REQUESTS + i) % 2 == 0 for i in range(CLIENTS * REQUESTS)]
    wanted = [
        completion(AUTHORS[i // REQUESTS % len(AUTHORS)], seed=i, n=POSTS, stream=stream)
        for i, stream in enumerate(streams)
    ]

    def ask_all(found: dict[int, httpx.Response]) -> list[threading.Thread]:
        def client(number: int) -> None:
            for turn in range(REQUESTS):
                i = number * REQUESTS + turn
                (found[i],) = ask(service, Access(), wanted[i])

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    expected: dict[int, httpx.Response] = {}
    for thread in ask_all(expected):
        thread.join()
    found: dict[int, httpx.Response] = {}
    clients = ask_all(found)
    until(lambda: service.waiting == CLIENTS, "requests that are being answered")
    time.sleep(0.2)
    ray.kill(ray.get_actor(next(work.glob("*/*")).parent.name, namespace="serve"))
    for thread in clients:
        thread.join()
    assert service.retried > 0
    for i, before in expected.items():
        assert found[i].status_code == 200
        if streams[i]:
            assert set(finishes(found[i].text)) == set(range(POSTS))
            assert found[i].text.endswith("data: [DONE]\n\n")
        else:
            assert found[i].json()["choices"] == before.json()["choices"]
    until(lambda: service.running == 2, "a new replica")
    assert service.problem() is None


def finishes(stream: str) -> dict[int, str]:
    """Why each completion of a stream ended."""
    events = [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: {")]
    assert not any("error" in event for event in events)
    choices = [choice for event in events for choice in event["choices"]]
    ends = [(choice["index"], choice["finish_reason"]) for choice in choices]
    ended = [(index, reason) for index, reason in ends if reason]
    assert len(ended) == len(dict(ended))  # each ends once
    return dict(ended)


@pytest.mark.cluster
def test_replicas_are_replaced_without_losing_an_answer(service: ReplicatedService) -> None:
    before = set(replicas())
    stopped = threading.Event()
    statuses: list[int] = []

    def client() -> None:
        while not stopped.is_set():
            answers = ask(service, Access(), *(completion(author) for author in AUTHORS))
            statuses.extend(answer.status_code for answer in answers)

    thread = threading.Thread(target=client)
    thread.start()
    try:
        service.restart()
        until(lambda: not before & set(replicas()), "the old replicas' end")
    finally:
        stopped.set()
        thread.join()
    assert set(statuses) == {200}
    assert service.running == 2


def test_more_replicas_than_cores_are_refused(service: ReplicatedService) -> None:
    from huggingtweets.serving.replicas import _cores_each

    class Cluster:
        ended = False

        def nodes(self) -> list[dict[str, object]]:
            return [{"Alive": True, "Resources": {"CPU": cores}} for cores in (4.0, 3.0)]

        def shutdown(self) -> None:
            self.ended = True

    del service
    cluster = Cluster()
    assert [_cores_each(cluster, number) for number in (1, 2, 3, 7)] == [4, 3, 2, 1]
    with pytest.raises(InputError, match="needs as many cores, and the Ray cluster has 7"):
        _cores_each(cluster, 8)
    assert cluster.ended
