"""Wait for slow work in a way that ends when the visitor leaves."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_SECONDS = 1.0


def until_done(work: Callable[[Callable[[], bool]], T]) -> Iterator[T | None]:
    """Run work in a thread; yield None once a second, then its result.

    Gradio closes an event's generator when the visitor has left, which it notices at a ``yield``.

    Args:
        work: gets a function that returns True as soon as the generator is closed.

    Raises:
        Exception: what the work raised.
    """
    left = threading.Event()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(left.is_set))
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            future.set_exception(error)

    threading.Thread(target=run, name="work", daemon=True).start()
    try:
        while True:
            try:
                result = future.result(_SECONDS)
            except TimeoutError:
                if future.done():  # the work itself raised it
                    raise
                yield None
            else:
                yield result
                return
    finally:
        left.set()
