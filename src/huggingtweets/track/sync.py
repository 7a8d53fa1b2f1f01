"""Track one run folder, and keep the state of its tracking.

.. code-block:: text

    RUN/track/
      track.json    the run's id, the tracker, the message for the user
      track.log     the tracker's output
      *.json        digests of the base, and of posts that are not uploaded
      wandb/        W&B runs that are not yet synced
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from huggingtweets.errors import InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.storage.places import trackio_folder
from huggingtweets.track.adapter import Adapter
from huggingtweets.track.lineage import Lineage
from huggingtweets.track.training_logger import follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.track.protocol import Tracker

PROJECT = "huggingtweets"
_ADDRESS = re.compile(r"^W&B: (https?://\S+)$")
TRACKERS = ("trackio", "wandb")


def folder(run: RunFolder) -> Path:
    """The folder with the state of a run's tracking."""
    return run.path / "track"


def note(run: RunFolder) -> dict[str, Any]:
    """The content of ``track.json``, empty if there is none."""
    try:
        values = files.read_json(folder(run) / "track.json")
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def discard_unsynced(run: RunFolder) -> None:
    """Delete W&B's offline runs, which may quote posts; tracking again recreates them."""
    for name in ("wandb", "artifacts"):  # the latter by earlier versions
        shutil.rmtree(folder(run) / name, ignore_errors=True)
    if values := note(run):
        files.write_json(folder(run) / "track.json", values | {"message": ""})


def id_of(run: RunFolder) -> str:
    """The id under which a run is tracked, 8 hexadecimal digits."""
    return str(note(run).get("id") or _new_id(run))


def copies_elsewhere(run: RunFolder) -> list[str]:
    """Where a run was sent that this program can't delete from: W&B's addresses, or just its name.

    An offline run counts too, because ``wandb sync`` may have uploaded it.
    """
    values = note(run)
    if "wandb" not in (values.get("to"), *values.get("trackers", ())):
        return []
    addresses = {*values.get("urls", ()), *_ADDRESS.findall(str(values.get("message")))}
    return sorted(map(str, addresses)) or ["W&B, if its offline run was synced"]


def is_installed(tracker: str) -> bool:
    """Whether a tracker's package is installed; a mere folder of that name doesn't count."""
    spec = importlib.util.find_spec(tracker)
    return spec is not None and spec.origin is not None


def checked(tracker: str) -> str:
    """Return the tracker's name if it can be used.

    Raises:
        InputError: the tracker is unknown or not installed.
    """
    if tracker not in TRACKERS:
        raise InputError(f"There is no tracker {tracker!r}; choose trackio or wandb.")
    if not is_installed(tracker):
        raise InputError(
            f"{tracker} is not installed. Install it with: pip install 'huggingtweets[{tracker}]'"
        )
    return tracker


def send(
    run: RunFolder,
    to: str,
    run_ended: Callable[[], bool],
    *,
    raw: bool = False,
    wait: float = 0,
) -> str:
    """Log a run to a tracker from the beginning, and return a message for the user or "".

    Args:
        run: a finished or running run.
        to: ``trackio`` or ``wandb``.
        run_ended: waits a moment and returns whether the run has ended.
        raw: whether to include posts; by default the tracker gets their number and digest.
        wait: seconds to wait for another process that tracks this run.

    Raises:
        InputError: the tracker isn't installed.
        BotError: the folder is not a valid run folder.
        StorageError: another process tracks this run, or the tracker can't store it.
    """
    checked(to)
    run.record()  # raises if the run folder is damaged
    with files.wrap_os_errors(folder(run)):
        files.make_folder(folder(run))
    lock = files.file_lock(folder(run))
    try:
        lock.acquire(timeout=wait, blocking=wait > 0)
    except Timeout as error:
        raise StorageError(f"{run.path} is being tracked by another process.") from error
    try:
        name, earlier = id_of(run), note(run)
        values: dict[str, Any] = {"id": name, "to": to, "project": PROJECT, "message": ""}
        # all that were ever used, so that deleting finds them
        trackers = {to, str(earlier.get("to", to)), *map(str, earlier.get("trackers", ()))}
        urls = {*earlier.get("urls", ()), *_ADDRESS.findall(str(earlier.get("message")))}
        values |= {"trackers": sorted(trackers), "urls": sorted(map(str, urls))}
        if raw:
            where = trackio_folder() if to == "trackio" else "W&B"
            values["posts"] = f"The posts themselves are in {where}, too (--raw-artifacts)."
        files.write_json(folder(run) / "track.json", values)
        tracker = _open_tracker(to, folder(run))
        version = run.record().version
        job = name if version == 1 else f"{name}-v{version}"
        follow(run, job, tracker, Lineage(run, folder(run), raw=raw), run_ended)
        values["message"] = tracker.message()
        values["urls"] = sorted({*values["urls"], *_ADDRESS.findall(values["message"])})
        files.write_json(folder(run) / "track.json", values)
        return message_of(values)
    finally:
        lock.release()


def message_of(values: dict[str, Any]) -> str:
    """The lines of ``track.json`` for the user."""
    return "\n".join(str(values[key]) for key in ("message", "posts") if values.get(key))


def _open_tracker(to: str, at: Path) -> Tracker:
    if to == "wandb":
        from huggingtweets.track._wandb import WandbService

        return Adapter(WandbService(os.environ.get("WANDB_PROJECT") or PROJECT, at.absolute()))
    from huggingtweets.track._trackio import TrackioService

    return Adapter(TrackioService(PROJECT))


def _new_id(run: RunFolder) -> str:
    """A unique id of the run folder, 8 hexadecimal digits long."""
    key = f"{run.path.resolve()} {run.record().created_at}"
    return hashlib.sha256(key.encode()).hexdigest()[:8]
