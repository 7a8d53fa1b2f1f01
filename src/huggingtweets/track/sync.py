"""Track one run folder: who it is in the tracker, and what is left beside it.

.. code-block:: text

    RUN/track/
      track.json    the run's id in the tracker, which tracker, the line for the user
      track.log     what the tracker printed
      *.json        notes that stand for posts and for the base
      wandb/        what W&B has yet to be sent
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from huggingtweets.errors import InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.track.adapter import Adapter
from huggingtweets.track.lineage import Lineage
from huggingtweets.track.training_logger import follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.track.protocol import Tracker

PROJECT = "huggingtweets"
TRACKERS = ("trackio", "wandb")


def folder(run: RunFolder) -> Path:
    """Where a run keeps what its tracking leaves."""
    return run.path / "track"


def note(run: RunFolder) -> dict[str, Any]:
    """``track.json``, empty where there is none yet."""
    try:
        found = json.loads((folder(run) / "track.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def discard_unsynced(run: RunFolder) -> None:
    """Remove what W&B has yet to be sent: it may quote posts, and tracking writes it anew."""
    shutil.rmtree(folder(run) / "wandb", ignore_errors=True)
    if values := note(run):
        files.write_json(folder(run) / "track.json", values | {"message": ""})


def is_installed(tracker: str) -> bool:
    """Whether a tracker's package is there; a folder that only has its name is not."""
    found = importlib.util.find_spec(tracker)
    return found is not None and found.origin is not None


def checked(tracker: str) -> str:
    """The tracker, if it can be used.

    Raises:
        InputError: it isn't known or not installed.
    """
    if tracker not in TRACKERS:
        raise InputError(f"There is no tracker {tracker!r}; choose trackio or wandb.")
    if not is_installed(tracker):
        raise InputError(
            f"{tracker} is not installed; get it with: pip install huggingtweets[{tracker}]"
        )
    return tracker


def send(
    run: RunFolder, to: str, over: Callable[[], bool], *, raw: bool | None = None, wait: float = 0
) -> str:
    """Tell a tracker all about a run, from the beginning; returns a line for the user, or "".

    Args:
        run: finished, or under way.
        to: ``trackio`` or ``wandb``.
        over: waits a moment and says whether the run has ended.
        raw: whether posts go along; None does so with trackio, which keeps them on this machine.
        wait: seconds to let another process end that tracks this run.

    Raises:
        InputError: the tracker isn't installed, the run is none, or is being tracked already.
    """
    checked(to)
    run.record()  # says what is wrong with it
    with files.wrap_os_errors(folder(run)):
        folder(run).mkdir(exist_ok=True)
    lock = files.file_lock(folder(run))
    try:
        lock.acquire(timeout=wait, blocking=wait > 0)
    except Timeout as error:
        raise StorageError(f"{run.path} is being tracked by another process.") from error
    try:
        name = str(note(run).get("id") or _new_id(run))
        values = {"id": name, "to": to, "project": PROJECT, "message": ""}
        files.write_json(folder(run) / "track.json", values)
        tracker = _tracker(to, folder(run))
        lineage = Lineage(run, folder(run), raw=to == "trackio" if raw is None else raw)
        follow(run, name, tracker, lineage, over)
        message = tracker.message()
        files.write_json(folder(run) / "track.json", values | {"message": message})
        return message
    finally:
        lock.release()


def _tracker(to: str, at: Path) -> Tracker:
    if to == "wandb":
        from huggingtweets.track._wandb import WandbService

        return Adapter(WandbService(os.environ.get("WANDB_PROJECT") or PROJECT, at.absolute()))
    from huggingtweets.track._trackio import TrackioService

    return Adapter(TrackioService(PROJECT))


def _new_id(run: RunFolder) -> str:
    """Eight digits that no other run folder has."""
    whole = f"{run.path.resolve()} {run.record().created_at}"
    return hashlib.sha256(whole.encode()).hexdigest()[:8]
