"""What a worker does for one author: train and measure the bot of a prepared run folder.

A local worker works in the fleet's folder, where an interrupted training continues from its
checkpoint. A worker on a cluster gets the run folder's files and sends back those of the finished
run; posts don't stay on its machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import workers
from huggingtweets.errors import HuggingTweetsError, OptedOutError
from huggingtweets.events import ignore
from huggingtweets.fleet import sent_base
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.workers import ray_cluster, ray_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.events import Event, EventHandler
    from huggingtweets.fleet.sent_base import Files, SentBase

Answer = dict[str, Any]
"""``failed`` and ``skipped``: None or a sentence; on a cluster ``files`` too."""

_SECONDS_BETWEEN_REPORTS = 1.0


def runner() -> Callable[[dict[str, str]], Answer]:
    """Return the function that runs the jobs of a local worker; a job names its run folder."""

    def run(job: dict[str, str]) -> Answer:
        with workers.ending_without_memory():
            return train(Path(job["run"]))
        raise AssertionError  # the process has ended

    return run


def train(run: Path, listen: EventHandler = ignore) -> Answer:
    """Train and measure the bot of a run folder; whatever fails is this author's failure alone.

    Raises:
        NoMemoryError: the memory of this process ran out, which isn't the author's failure.
    """
    from huggingtweets import pipeline

    try:
        pipeline.resume(run, listen)
    except OptedOutError as error:
        return {"failed": None, "skipped": str(error)}
    except HuggingTweetsError as error:
        workers.check_memory(error)
        return {"failed": str(error), "skipped": None}
    except Exception as error:  # noqa: BLE001 - a fault with one author's posts costs nobody else
        workers.check_memory(error)
        traceback.print_exc()
        reason = " ".join(str(error).split())[:200]
        return {"failed": f"{type(error).__name__}: {reason}", "skipped": None}
    return {"failed": None, "skipped": None}


def train_remotely(sent: Files, base: SentBase, mailbox: Any, sender: str) -> Answer:  # noqa: ANN401 - an actor
    """Train on a machine of a cluster.

    Args:
        sent: the files of a prepared run folder.
        base: the fleet's base.
        mailbox: gets the events of the training, for whoever watches.
        sender: what the mailbox knows this training by.
    """
    with workers.ending_without_memory(), _scratch() as folder:
        run = RunFolder(folder / "run")
        sent_base.write_files(sent, run.path)
        record = run.record()
        given = {name: record.config[name] for name in ("base", "out")}
        try:
            here = sent_base.on_this_machine(base, ray_cluster.fetch)
            fault = _other_base(here, record.config.get("base_digest"))
        except HuggingTweetsError as error:
            workers.check_memory(error)
            fault = str(error)
        if fault:
            return {"failed": fault, "skipped": None}
        record.config |= {"base": here, "out": str(folder)}
        run.save(record)
        answer = train(run.path, _Reports(mailbox, sender))
        if answer["failed"] is None and answer["skipped"] is None:
            _name_as_there(run, given)
            answer["files"] = sent_base.read_files(run.path, lambda name: name != ".lock")
        return answer
    raise AssertionError  # the process has ended


class _Reports:
    """Sends events to the driver, at most once a second; the finished run has all of them."""

    def __init__(self, mailbox: Any, sender: str) -> None:  # noqa: ANN401 - an actor
        self._mailbox, self._sender = mailbox, sender
        self._events: list[dict[str, Any]] = []
        self._sent = float("-inf")

    def __call__(self, event: Event) -> None:
        self._events.append(event.as_dict())
        if time.monotonic() > self._sent + _SECONDS_BETWEEN_REPORTS:
            ray_mailbox.send(self._mailbox, self._sender, self._events)
            self._events, self._sent = [], time.monotonic()


def _name_as_there(run: RunFolder, given: dict[str, Any]) -> None:
    """Name the base in the run and the bot as on the driver's machine, not as on this one."""
    from huggingtweets import publish
    from huggingtweets.nn import adapters

    record = run.record()
    is_elsewhere = record.config["base"] != given["base"]
    record.config |= given
    run.save(record)
    if is_elsewhere and run.is_small:
        adapter = replace(adapters.read(run.bot), base=given["base"])
        adapters.write(adapter, run.bot)
    if is_elsewhere:
        publish.write_card(run, record)


@lru_cache(maxsize=8)
def _other_base(base: str, digest: str | None) -> str | None:
    """Return a sentence if the weights here aren't the driver's; checked once in each process.

    Raises:
        BaseModelError: the base can't be loaded here.
    """
    from huggingtweets.nn import language_model

    if digest is None or language_model.load(base).digest() == digest:
        return None
    return (
        "The base has other weights on this machine of the cluster than on yours; install the same "
        "versions of huggingtweets and its packages on all machines."
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a private folder, and remove those that killed workers left behind."""
    user = getattr(os, "getuid", lambda: 0)()
    parent = Path(tempfile.gettempdir()) / f"huggingtweets-fleet-{user}"
    files.make_folder(parent)
    files.make_private(parent)
    files.remove_abandoned(parent)
    folder = parent / f".run.{files.writer()}.{secrets.token_hex(4)}.tmp"
    folder.mkdir(0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
