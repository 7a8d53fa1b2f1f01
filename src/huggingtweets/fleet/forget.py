"""Remove an author everywhere in a fleet, and say what is left to do elsewhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from huggingtweets import deletion
from huggingtweets.errors import BotError
from huggingtweets.fleet import page
from huggingtweets.fleet.preparing import author_hash
from huggingtweets.fleet.progress import read_progress
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder, list_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.deletion import DeletionReport
    from huggingtweets.storage.fleets import FleetFolder


def forget(
    fleet: FleetFolder, authors: Sequence[str], *, keep_downloads: bool = False
) -> DeletionReport:
    """Remove authors with their posts, bots and reports; the fleet never trains them again.

    Args:
        fleet: the fleet; it may be in training.
        authors: names or handles, or names of run folders.
        keep_downloads: keep the accounts' downloads.

    Raises:
        BotError: the fleet has no such author; nothing was removed.
        StorageError: a run is in use, or it can't be removed.
    """
    fleet.settings()
    chosen = {author: _runs_of(fleet, author) for author in authors}
    done = deletion.DeletionReport()
    for author, names in chosen.items():
        _remember(fleet, author, names)
        for name in names:
            run = RunFolder(fleet.authors / name)
            if run.path.is_dir():
                one = deletion.delete(run, keep_downloads=keep_downloads)
                done.removed += one.removed
                done.tracked_runs += one.tracked_runs
                done.out_of_reach += one.out_of_reach
            if fleet.stored_file(name).exists():  # of a copy, or of a call that was interrupted
                fleet.drop(name)
                done.removed.append(fleet.stored_file(name))
    fleet.remove_unused()
    files.remove(fleet.log)  # a traceback may name an author
    _write_pages(fleet, {name for names in chosen.values() for name in names})
    done.out_of_reach.append(f"copies of {fleet.path} on other disks and machines")
    done.out_of_reach = list(dict.fromkeys(done.out_of_reach))
    return done


def _runs_of(fleet: FleetFolder, author: str) -> list[str]:
    """Return the names of an author's runs; empty if a call that was interrupted removed them."""
    wanted = author_hash(author)
    names = set()
    for run in list_runs(fleet.authors):
        with suppress(BotError):
            if run.path.name == author or wanted in map(author_hash, run.record().authors):
                names.add(run.path.name)
    for name in fleet.names():
        with suppress(BotError):
            if name == author or wanted in map(author_hash, fleet.stored(name).authors):
                names.add(name)
    if not names and wanted not in fleet.settings().get("forgotten", ()):
        raise BotError(
            f"{fleet.path} has no author {author!r}. Nothing was removed; "
            f"huggingtweets fleet show {fleet.path} lists them."
        )
    return sorted(names)


def _remember(fleet: FleetFolder, author: str, names: Sequence[str]) -> None:
    """Store the author's hash first, so that a training that goes on doesn't make the bot again."""
    authors = {author}
    for name in names:
        with suppress(BotError):
            authors.update(RunFolder(fleet.authors / name).record().authors)
    with fleet.updating_settings() as values:
        hashes = {*values.get("forgotten", ()), *map(author_hash, authors)}
        values["forgotten"] = sorted(hashes)
        values["sources"] = [
            source
            for source in values.get("sources", ())
            if not source["author"] or author_hash(source["author"]) not in hashes
        ]
        values["read"] = {
            key: runs
            for key, runs in values.get("read", {}).items()
            if hashes.isdisjoint(map(author_hash, runs))
        }


def _write_pages(fleet: FleetFolder, names: set[str]) -> None:
    progress = read_progress(fleet)
    progress.authors = {
        key: author for key, author in progress.authors.items() if author.name not in names
    }
    files.write_json(fleet.progress_file, asdict(progress))
    if fleet.page.is_file():
        page.write(fleet, progress)
