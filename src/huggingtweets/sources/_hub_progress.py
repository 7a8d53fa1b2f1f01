"""The library's progress bars as events: one line that moves, like everything else that is read."""

from __future__ import annotations

import threading
from typing import Any

from huggingtweets.events import Event, EventHandler

_BYTES = ("huggingface_hub.http_get", "huggingface_hub.xet_get")
"""Names of the bars that count what is on disk; others count files, or bytes of the network."""

_STEPS = 20  # events of a whole download; a log gets a line for each


def progress(dataset: str, total: int, listen: EventHandler) -> type[Any]:
    """Make a progress bar for the library that draws nothing and tells ``listen`` instead.

    Args:
        dataset: whose files are downloaded.
        total: bytes of all of them.
        listen: is told each twentieth.
    """
    from huggingface_hub.utils.tqdm import tqdm

    lock = threading.Lock()  # Xet tells from threads of its own
    done, told = 0, 0

    def count(size: float) -> None:
        nonlocal done, told
        with lock:
            done += int(size)
            if total and done * _STEPS // total > told:
                told = done * _STEPS // total
                text = f"{dataset}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
                listen(Event(stage="read", message=text))

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
            self._counts = options.get("name") in _BYTES
            options["disable"] = True
            super().__init__(*args, **options)  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                count(n or 0)

    return Bar
