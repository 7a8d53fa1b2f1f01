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
import traceback
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import HuggingTweetsError, OptedOutError
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Files = dict[str, bytes]
"""Contents by path relative to a folder."""

Answer = dict[str, Any]
"""``failed`` and ``skipped``: None or a sentence; on a cluster ``files`` too."""

_NOT_SENT = (".lock",)


def runner() -> Callable[[dict[str, str]], Answer]:
    """Return the function that runs the jobs of a local worker; a job names its run folder."""
    return lambda job: train(Path(job["run"]))


def train(run: Path) -> Answer:
    """Train and measure the bot of a run folder; whatever fails is this author's failure alone."""
    from huggingtweets import pipeline

    try:
        pipeline.resume(run)
    except OptedOutError as error:
        return {"failed": None, "skipped": str(error)}
    except HuggingTweetsError as error:
        return {"failed": str(error), "skipped": None}
    except Exception as error:  # noqa: BLE001 - a fault with one author's posts costs nobody else
        traceback.print_exc()
        reason = " ".join(str(error).split())[:200]
        return {"failed": f"{type(error).__name__}: {reason}", "skipped": None}
    return {"failed": None, "skipped": None}


def train_remotely(sent: Files, base: tuple[str, Files] | None) -> Answer:
    """Train on a machine of a cluster.

    Args:
        sent: the files of a prepared run folder.
        base: name and files of a base that is a folder of the driver's machine; None for one that
            every machine has or can load.
    """
    with _scratch() as folder:
        run = RunFolder(folder / "run")
        write_files(sent, run.path)
        record = run.record()
        given = {name: record.config[name] for name in ("base", "out")}
        record.config["out"] = str(folder)
        if base is not None:
            record.config["base"] = str(folder / base[0])
            write_files(base[1], folder / base[0])
        run.save(record)
        if fault := _other_base(record.config["base"], record.config.get("base_digest")):
            return {"failed": fault, "skipped": None}
        answer = train(run.path)
        if answer["failed"] is None and answer["skipped"] is None:
            _name_as_there(run, given)
            answer["files"] = read_files(run.path)
        return answer


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


def _other_base(base: str, digest: str | None) -> str | None:
    """Return a sentence if this machine has another base of that name."""
    from huggingtweets.nn import language_model

    try:
        if digest is None or language_model.load(base).digest() == digest:
            return None
    except HuggingTweetsError as error:
        return str(error)
    return (
        f"The base {base} on this machine of the cluster isn't the fleet's; install the same "
        "version of huggingtweets on all machines."
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


def read_files(folder: Path) -> Files:
    """Read all files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _NOT_SENT
    }


def write_files(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder, ``run.json`` last.

    Raises:
        ValueError: a path leaves the folder.
        StorageError: they can't be written.
    """
    for name in sorted(contents, key=lambda name: (name == "run.json", name)):
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"{name} leaves the folder")
        with files.atomic_write(folder / name) as temporary:
            temporary.write_bytes(contents[name])
