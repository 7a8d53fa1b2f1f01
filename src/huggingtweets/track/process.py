"""Tracking beside the training, in a process of its own that nobody waits for.

It may fail, hang or be killed: the training neither knows it nor loads a tracker's package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.events import Event, EventHandler
from huggingtweets.track.sync import checked, folder, is_installed, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.storage.run_folder import RunFolder

DEFAULT = "HUGGINGTWEETS_TRACK"
"""Environment variable that names the tracker of those who ask for none."""

_SECONDS_TO_END = 5.0
_left: list[subprocess.Popen[bytes]] = []  # still at work; kept, as Python warns of lost ones


def choose(asked: str | None) -> str:
    """The tracker of a new run: ``trackio``, ``wandb`` or ``none``.

    Args:
        asked: for one by name, or None for the default: trackio where it is installed.

    Raises:
        InputError: it isn't known or not installed.
    """
    wanted = asked or os.environ.get(DEFAULT)
    if wanted is None:
        return "trackio" if is_installed("trackio") else "none"
    if wanted == "none":
        return wanted
    try:
        return checked(wanted)
    except InputError as error:
        raise InputError(f"{error} Or use --track none.") from error


@contextmanager
def following(
    run: RunFolder, to: str, listen: EventHandler, *, raw: bool | None = None
) -> Iterator[None]:
    """Track a run from here on; at the end one line tells what the user should know.

    Args:
        run: being worked on by this process.
        to: what :func:`choose` said.
        listen: is told the line.
        raw: whether posts go along; see :func:`~huggingtweets.track.sync.send`.
    """
    process = _start(run, to, raw) if to != "none" else None
    try:
        yield
    except BaseException:
        _detach(process, seconds=0)
        raise
    ended = _detach(process, seconds=_SECONDS_TO_END)
    if to != "none" and (line := _line(run, to, process, ended=ended)):
        listen(Event(stage="track", message=line))


def _start(run: RunFolder, to: str, raw: bool | None) -> subprocess.Popen[bytes] | None:
    """Start tracking; its standard input ends when this process does, however that comes about."""
    posts = [] if raw is None else ["--raw-artifacts" if raw else "--no-raw-artifacts"]
    # -P: nothing in the folder the user happens to be in is taken for a package
    command = [sys.executable, "-P", "-m", "huggingtweets.track", str(run.path), "--to", to, *posts]
    with suppress(OSError):
        folder(run).mkdir(exist_ok=True)
        with (folder(run) / "track.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the training
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
    return None


def _detach(process: subprocess.Popen[bytes] | None, seconds: float) -> bool:
    """Say that the run has ended; returns whether its tracking has, too."""
    if process is None:
        return True
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _left.append(process)
        return False
    return True


def _line(run: RunFolder, to: str, process: subprocess.Popen[bytes] | None, *, ended: bool) -> str:
    if not ended:
        return f"Tracking goes on in the background; its log is {folder(run) / 'track.log'}."
    if process is None or process.returncode:
        return f"Tracking stopped early; huggingtweets track {run.path} --to {to} sends it again."
    return str(note(run).get("message") or "")
