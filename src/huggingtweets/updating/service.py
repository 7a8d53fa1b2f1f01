"""Update a bot again and again, until somebody stops it."""

from __future__ import annotations

import re
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from huggingtweets import signals
from huggingtweets.errors import InputError, Interrupted
from huggingtweets.events import counted, ignore
from huggingtweets.generation import bots
from huggingtweets.updating import history
from huggingtweets.updating.update import update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from huggingtweets.sources import Confirm
    from huggingtweets.updating.options import UpdateOptions
    from huggingtweets.updating.update import UpdateResult

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(weeks=52)


def parse_interval(text: str) -> timedelta:
    """Parse an interval such as ``30m``, ``12h``, ``1d`` or ``1w``.

    Raises:
        InputError: it is none, or longer than a year.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text.strip().lower())
    interval = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if interval is None or interval > _LONGEST:
        raise InputError(
            f"--every must be a number with m, h, d or w, such as 12h or 1d, and at most a year, "
            f"not {text[:80]!r}."
        )
    return interval


def serve(
    spec: str | Path,
    options: UpdateOptions,
    every: timedelta,
    log: Callable[[dict[str, Any]], None],
    confirm: Confirm,
    *,
    on_hub: bool = False,
) -> None:
    """Update a bot now and then at each interval; return on Ctrl-C and SIGTERM.

    A round that fails is logged and leaves the bot as it was; the next one tries again.

    Args:
        spec: run folder.
        options: options of each update.
        every: time from the start of one round to that of the next.
        log: gets the time, the state (``updated``, ``kept``, ``refused``, ``failed`` or
            ``stopped``), a message and, if there is one, the result of each round.
        confirm: called before a source costs money.
        on_hub: whether to refresh the published bot after each update.

    Raises:
        InputError: there is no such bot.
    """
    bots.find_run_folder(spec)  # a mistyped name ends the service at once
    due = time.monotonic()
    with _stop_on_signals():
        try:
            while True:
                log(_entry(*_round(spec, options, confirm, on_hub=on_hub)))
                due = max(due + every.total_seconds(), time.monotonic())
                _wait_until(due)
        except (Interrupted, KeyboardInterrupt):
            log(_entry("stopped", "stopped"))


def message_of(result: UpdateResult) -> str:
    """Describe the outcome of an update in one line."""
    posts = counted(result.new_posts, "new post")
    bits = f"{result.old:.3f} -> {result.new:.3f} bits per byte"
    if result.better:
        return f"version {result.version}, {posts}, {bits}, {result.seconds:.0f} s"
    return f"version {result.version} stays, {posts} didn't help, {bits}, {result.seconds:.0f} s"


def _round(
    spec: str | Path, options: UpdateOptions, confirm: Confirm, *, on_hub: bool
) -> tuple[str, str, UpdateResult | None]:
    """Update once; return the state, a message and the result."""
    try:
        result = update(spec, options, ignore, confirm=confirm)
    except (Interrupted, KeyboardInterrupt):
        raise
    except InputError as error:
        return "refused", str(error), None
    except Exception as error:  # noqa: BLE001 - no failure of a round may end the service
        return "failed", str(error) or type(error).__name__, None
    message = message_of(result)
    if on_hub and result.better:
        try:
            message += f", {history.publish_again(result.run).url}"
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - likewise; the update itself is done
            message += f"; not published: {error}"
    return "updated" if result.better else "kept", message, result


def _entry(state: str, message: str, result: UpdateResult | None = None) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": state,
        "message": " ".join(message.split()),
        "result": result,
    }


def _wait_until(due: float) -> None:
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, 60.0))  # a laptop that slept is late by a minute at most


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM into what Ctrl-C raises; a training stops after its current step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signals.interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
