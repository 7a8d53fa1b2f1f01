"""Tracking in a separate process, so that it can't disturb the training.

The process may fail, hang or be killed without any effect on the training, which never imports a
tracker's package.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.events import Event, EventHandler
from huggingtweets.processes import ChildProcess
from huggingtweets.storage import files
from huggingtweets.track.sync import checked, folder, is_installed, message_of, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.storage.run_folder import RunFolder

DEFAULT = "HUGGINGTWEETS_TRACK"
"""Environment variable with the default tracker."""

_SECONDS_TO_END = 5.0
_detached: list[ChildProcess] = []  # still running; kept because Python warns of lost processes


def choose(name: str | None) -> str:
    """The tracker of a new run: ``trackio``, ``wandb`` or ``none``.

    Args:
        name: of a tracker; None for the default, which is trackio if it is installed.

    Raises:
        InputError: the tracker is unknown or not installed.
    """
    name = name or os.environ.get(DEFAULT)
    if name is None:
        return "trackio" if is_installed("trackio") else "none"
    if name == "none":
        return name
    try:
        return checked(name)
    except InputError as error:
        raise InputError(f"{error} Or use --track none.") from error


@contextmanager
def following(
    run: RunFolder, to: str, listen: EventHandler, *, raw: bool = False
) -> Iterator[None]:
    """Track a run while the context is active, and report the outcome as an event.

    Args:
        run: the run that this process trains.
        to: a tracker from :func:`choose`.
        listen: receives the event.
        raw: whether to upload posts; see :func:`~huggingtweets.track.sync.send`.
    """
    process = _start(run, to, raw) if to != "none" else None
    try:
        yield
    except BaseException:
        _detach(process, seconds=0)
        raise
    ended = _detach(process, seconds=_SECONDS_TO_END)
    if to != "none" and (message := _message(run, to, process, ended=ended)):
        listen(Event(stage="track", message=message))


def _start(run: RunFolder, to: str, raw: bool) -> ChildProcess | None:
    """Start tracking; None when the process can't be started."""
    posts = ["--raw-artifacts"] if raw else []
    arguments = [str(run.path), "--to", to, *posts]
    with suppress(OSError):
        files.make_folder(folder(run))
        with open(folder(run) / "track.log", "wb", opener=files.private_opener) as log:
            one_thread = {"OMP_NUM_THREADS": "1"}
            keys = ["WANDB_*"] if to == "wandb" else []
            return ChildProcess(
                "huggingtweets.track", arguments, log, environment=one_thread, inherit=keys
            )
    return None


def _detach(process: ChildProcess | None, seconds: float) -> bool:
    """Tell the process that the run has ended; return whether it has ended too."""
    if process is None:
        return True
    process.request_stop()
    if process.wait(seconds) is None:
        _detached.append(process)
        return False
    return True


def _message(run: RunFolder, to: str, process: ChildProcess | None, *, ended: bool) -> str:
    if not ended:
        return f"Tracking continues in the background; its log is {folder(run) / 'track.log'}."
    if process is None or process.exit_code:
        return f"Tracking failed; repeat it with: huggingtweets track {run.path} --to {to}"
    return message_of(note(run))
