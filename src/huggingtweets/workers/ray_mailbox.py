"""Messages from running jobs of a Ray cluster to the driver.

A job returns one answer, at its end. What it tells before goes through an actor, which keeps it
until the driver takes it; Ray's client can't stream what a task yields. A lost message costs only
what it told: a job never waits for the mailbox, nor does its answer go through it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_MESSAGES = 10_000
_LONGEST_WAIT_SECONDS = 30.0
"""After which a call returns nothing: a driver whose connection broke may have forgotten it."""
_RETRY_SECONDS = 5.0


class Mailbox:
    """The driver's end: takes messages as they arrive, in a thread that sleeps meanwhile.

    Args:
        ray: the module, connected to a cluster.
        receive: called in that thread with the sender and the message.
    """

    def __init__(self, ray: Any, receive: Callable[[str, Any], None]) -> None:  # noqa: ANN401 - a module
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._receive, self._closed = ray, receive, threading.Event()
        # beside the driver's end of the cluster, which must be there anyway; it takes no core
        near = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": near}
        self.address = ray.remote(**options)(_Messages).remote()
        """Argument of jobs, for :func:`send`."""
        self._thread = threading.Thread(target=self._take_all, name="ray-mailbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; the cluster must still be connected."""
        self._closed.set()
        with suppress(Exception):  # the cluster may be lost, with the actor
            self._ray.kill(self.address)
        self._thread.join(_RETRY_SECONDS)

    def _take_all(self) -> None:
        while not self._closed.is_set():
            try:
                messages = self._ray.get(self.address.take.remote())
            except Exception:  # noqa: BLE001 - Ray's client raises many kinds; trainings report them
                self._closed.wait(_RETRY_SECONDS)
                continue
            for sender, message in messages:
                self._receive(sender, message)


def send(address: Any, sender: str, message: Any) -> None:  # noqa: ANN401 - an actor; what pickles
    """Send a message from a job, without waiting for anything."""
    address.put.remote(sender, message)


class _Messages:
    """The actor. Its methods run in one event loop, so none is interrupted by another."""

    def __init__(self) -> None:
        self._messages: deque[tuple[str, Any]] = deque(maxlen=_MOST_MESSAGES)
        self._arrived = asyncio.Event()

    async def put(self, sender: str, message: Any) -> None:  # noqa: ANN401
        self._messages.append((sender, message))
        self._arrived.set()

    async def take(self) -> list[tuple[str, Any]]:
        """Wait for messages and return them."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), _LONGEST_WAIT_SECONDS)
        taken = list(self._messages)
        self._messages.clear()
        self._arrived.clear()
        return taken
