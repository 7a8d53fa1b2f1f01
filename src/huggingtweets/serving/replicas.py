"""The same bots on several replicas, which Ray Serve keeps on the machines of a Ray cluster.

All requests for a bot go to one replica, found by consistent hashing of the bot's name (Karger et
al. 1997), so a replica reads and keeps its share of the bots only, and few bots move when a replica
comes or goes. A request whose replica ends is sent to another one, once, together with what its
client has already received, from where it goes on. Requests are taken and checked in this process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, HuggingTweetsError, InputError, TrainingError
from huggingtweets.generation.completions import HandedOver, Part
from huggingtweets.serving.batch_scheduler import BusyError
from huggingtweets.serving.completions import (
    BotNames,
    CompletionService,
    PartQueue,
    ServiceOptions,
    abandon,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from huggingtweets.serving.batch_scheduler import Sink
    from huggingtweets.serving.completions import Asked, Order

_APP = "huggingtweets"
_ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
_MOST_OPEN = 256  # requests of a replica
_KINDS = {kind.__name__: kind for kind in (BusyError, BotError, InputError, TrainingError)}


@dataclass(frozen=True, slots=True)
class _Head:
    """The first answer of a replica: tokens and shown beginning of each prompt not ended."""

    prompts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last answer of a replica: copies, loops and masked posts of all prompts."""

    rejected: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of ours, as its kind and message: not all of our errors can be pickled."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: HuggingTweetsError) -> _Failure:
        names = (kind.__name__ for kind in type(error).__mro__)
        return cls(next((name for name in names if name in _KINDS), "TrainingError"), str(error))

    def error(self) -> HuggingTweetsError:
        return _KINDS[self.kind](self.message)


class Replica:
    """One process with bots; Ray Serve makes it.

    Args:
        options: what is served.
        generation: changes with each restart.
    """

    def __init__(self, options: ServiceOptions, generation: int) -> None:
        del generation
        self._service = options.open()
        self._service.start()

    def check_health(self) -> None:
        """Raise an error if the generation thread has ended; Ray Serve then starts a new replica.

        Raises:
            TrainingError: it has.
        """
        if problem := self._service.problem():
            raise TrainingError(f"This replica is {problem}.")

    def names(self) -> tuple[dict[str, int], frozenset[str], list[str]]:
        """Return the bots with their times, which are a fleet's, and the warnings."""
        return self._service.created, self._service.fleet, self._service.warnings

    async def complete(self, order: Order) -> AsyncIterator[_Head | Part | _Tail | _Failure]:
        """Yield a head, the parts of all completions, and a tail; or a failure, which ends it."""
        parts = PartQueue()
        try:
            asked = await asyncio.to_thread(self._service.submit, order, parts)
        except HuggingTweetsError as error:
            yield _Failure.of(error)
            return
        try:
            yield _Head(tuple((one.prompt_tokens, one.shown_prompt) for one in asked))
            async for part in parts.of(asked):
                yield part
        except HuggingTweetsError as error:
            yield _Failure.of(error)
            return
        finally:
            abandon(asked)
        counted = [(one.copies, one.loops, one.masked) for one in asked]
        yield _Tail(tuple(map(sum, zip(*counted, strict=True))) if counted else (0, 0, 0))  # type: ignore[arg-type]


class ReplicatedService(BotNames):
    """Lets replicas write for programs, as :class:`CompletionService` does by itself.

    Args:
        options: what is served; the folders must be at the same place on all machines.
        replicas: how many.

    Raises:
        InputError: Ray isn't installed or can't be reached, or a bot can't be used.
    """

    def __init__(self, options: ServiceOptions, replicas: int) -> None:
        super().__init__()
        self._options, self._replicas, self._generation = options, replicas, 0
        self._open: set[_RemoteOrder] = set()
        self._deploying = threading.Lock()
        self._ray, self._serve = _connect()
        self._cores = _cores_each(self._ray, replicas)
        self._serve.start(proxy_location="Disabled")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        self._handle = self._deploy()
        created, self.fleet, self.warnings = self._handle.names.remote().result()
        for name, made in created.items():
            self.add_name(name, made)

    @property
    def waiting(self) -> int:
        """Number of orders without an end yet; how many posts of them wait, the replicas know."""
        return len(self._open)

    def problem(self) -> str | None:
        """Return why no request can be answered now, or None."""
        if self.stopping:
            return "stopping"
        return None if self.running else "without a replica"

    @property
    def running(self) -> int:
        """Number of replicas that answer."""
        app = self._serve.status().applications.get(_APP)
        states = app.deployments["Replica"].replica_states if app else {}
        return sum(number for state, number in states.items() if state == "RUNNING")

    def start(self) -> None:
        """Do nothing: the replicas have started."""

    def stop(self) -> None:
        """End the replicas, and Ray if it was started here."""
        self.stopping = True
        with self._deploying:  # a call after Ray's end would start it again
            if self._ray.is_initialized():
                self._serve.delete(_APP)  # others may use Ray Serve on this cluster too
                self._ray.shutdown()

    def restart(self) -> None:
        """Replace the replicas, some at a time; each ends when its open requests have."""
        with self._deploying:
            if self.stopping:
                return
            self._generation += 1
            try:
                self._deploy()
            except (InputError, self._ray.exceptions.RayError) as error:
                logging.getLogger(__name__).warning("The replicas were not replaced: %s", error)

    def submit(self, order: Order, sink: Sink) -> Sequence[Asked]:
        """Send an order to the replica of its bot; see :meth:`CompletionService.submit`."""
        if self.stopping:
            raise BusyError("The server is stopping; try again in a moment.")
        remote = _RemoteOrder(self._handle, order, sink, self._count_retry)
        asked = remote.begin()
        self._open.add(remote)
        remote.go_on(self._open.discard)
        return asked

    def _count_retry(self) -> None:
        self.retried += 1

    def _deploy(self) -> Any:  # noqa: ANN401 - Ray's handle
        router = import_module("ray.serve.config").RequestRouterConfig(request_router_class=_ROUTER)
        deployment = self._serve.deployment(Replica).options(
            name="Replica",
            num_replicas=self._replicas,
            max_ongoing_requests=_MOST_OPEN,
            ray_actor_options={"num_cpus": self._cores},
            request_router_config=router,
            health_check_period_s=2,
            graceful_shutdown_timeout_s=30,
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        app = deployment.bind(self._options, self._generation)
        try:
            return self._serve.run(app, name=_APP, route_prefix=None)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-300:]
            raise InputError(f"The replicas can't be started: {reason}") from error


AnyService = CompletionService | ReplicatedService
"""What the API serves."""


@dataclass(eq=False)
class _RemoteCompletions:
    """Completions of one prompt that a replica writes."""

    order: _RemoteOrder
    prompt_tokens: int
    shown_prompt: str
    copies: int = 0
    loops: int = 0
    masked: int = 0

    @property
    def abandoned(self) -> bool:
        return self.order.abandoned

    @abandoned.setter
    def abandoned(self, _: bool) -> None:
        self.order.abandon()

    def unfinished(self) -> list[Part]:
        """Nothing: the replica has sent all ends."""
        return []


class _RemoteOrder:
    """An order that a replica writes, and another one if that ends."""

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - Ray's
        order: Order,
        sink: Sink,
        on_retry: Callable[[], None],
    ) -> None:
        self._handle, self._order, self._sink = handle, order, sink
        self._on_retry = on_retry
        self._had: dict[int, HandedOver] = {}
        self._asked: list[_RemoteCompletions] = []
        self._response: Any = None
        self._items = self._answers()
        self.abandoned = False

    def begin(self) -> Sequence[_RemoteCompletions]:
        """Wait until a replica has accepted the order.

        Raises:
            HuggingTweetsError: it has refused it.
        """
        head = next(self._items)
        assert isinstance(head, _Head)  # noqa: S101 - it comes first
        self._asked = [_RemoteCompletions(self, tokens, shown) for tokens, shown in head.prompts]
        return self._asked

    def go_on(self, at_end: Callable[[_RemoteOrder], None]) -> None:
        """Pass the parts on in a thread of their own."""

        def run() -> None:
            try:
                self._pass_on()
            finally:
                at_end(self)

        threading.Thread(target=run, name="remote order", daemon=True).start()

    def abandon(self) -> None:
        """Tell the replica that nobody reads this any more."""
        self.abandoned = True
        if self._response is not None:
            self._response.cancel()

    def _pass_on(self) -> None:
        try:
            for item in self._items:
                if isinstance(item, Part):
                    self._sink.put(item)
                elif isinstance(item, _Tail):  # one client's, so it doesn't matter which prompt's
                    first = self._asked[0]
                    first.copies, first.loops, first.masked = item.rejected
        except HuggingTweetsError as error:
            self._sink.put(error)
            return
        for _ in self._asked:
            self._sink.put(None)

    def _answers(self) -> Iterator[_Head | Part | _Tail]:
        """Yield the answers of a replica; when it ends, go on with those of another, once."""
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError
        from ray.serve.exceptions import RayServeException

        for is_last in (False, True):
            try:
                yield from self._answers_of_one()
            except TaskCancelledError:
                return
            except RayTaskError as error:  # it made an error, as another one would
                raise TrainingError(f"Generation failed: {str(error.cause)[:200]}") from error
            except (RayError, RayServeException) as error:
                if is_last:
                    raise TrainingError(
                        "Two replicas ended while they wrote this. Try again."
                    ) from error
                self._on_retry()
            else:
                return

    def _answers_of_one(self) -> Iterator[_Head | Part | _Tail]:
        # by its name, a bot's requests find its replica
        to_one = self._handle.options(stream=True, session_id=self._order.name)
        self._response = to_one.complete.remote(replace(self._order, handed_over=dict(self._had)))
        for item in self._response:
            if isinstance(item, _Failure):
                raise item.error()
            if isinstance(item, Part):
                self._had[item.choice] = self._had.get(item.choice, HandedOver()) + item
            yield item


def _connect() -> tuple[Any, Any]:
    """Join the Ray cluster of this machine or of $RAY_ADDRESS, or start one.

    Raises:
        InputError: a package is missing, or the cluster can't be reached.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise InputError(
            f"serve --ray must run on a machine of the cluster, and $RAY_ADDRESS is {address}. Run "
            "it there with RAY_ADDRESS=auto."
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = import_module("ray")
        serve: Any = import_module("ray.serve")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
    except ImportError as error:
        raise InputError(
            "--ray needs Ray Serve. Install it with: pip install 'huggingtweets[ray-serve]'"
        ) from error
    own = {} if address else {"include_dashboard": False}
    if not ray.is_initialized():
        try:
            ray.init(logging_level="ERROR", log_to_driver=False, **own)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"The Ray cluster can't be reached: {reason[:200]}.") from error
    return ray, serve


def _cores_each(ray: Any, replicas: int) -> int:  # noqa: ANN401 - a module
    """Return the cores of a replica: an equal share of all, and no more than a machine has.

    Raises:
        InputError: there are fewer cores than replicas.
    """
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if sum(cores) < replicas:
        ray.shutdown()
        raise InputError(
            f"--replicas {replicas} needs as many cores, and the Ray cluster has {sum(cores)}."
        )
    each = sum(cores) // replicas
    while each > 1 and sum(number // each for number in cores) < replicas:
        each -= 1
    return each
