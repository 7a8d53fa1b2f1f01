"""Every place on this machine where posts may lie. Whoever deletes posts walks this list.

Code that stores posts, or files made from them, in a new place adds it here and its deletion to
:mod:`huggingtweets.deletion`. ``tests/test_deleted_bytes.py`` searches a whole home folder.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.storage import files, fleets, versions
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.storage.run_folder import RunFolder, list_runs
from huggingtweets.storage.user_dirs import downloads_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Key = tuple[str, str]
"""Name of a run and the time it was made."""

APP = ".app"
"""Folder of the web app inside the runs folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of folder or file with posts.

    Attributes:
        holds: what is there, for people.
        find: returns what exists now, for a runs folder.
    """

    holds: str
    find: Callable[[Path], list[Path]]


def runs(out: Path) -> list[RunFolder]:
    """Return the runs in a runs folder, those of its visitors, and those in folders beside it.

    ``compare --same-size --out`` and ``fleet train`` make runs beside the runs folder.
    """
    visitors = sorted((out / APP / "visitors").glob("*/runs"))
    beside = [folder for folder in _folders(out.absolute().parent) if folder != out.absolute()]
    in_fleets = [fleet / fleets.AUTHORS for fleet in fleet_folders(out, out.absolute().parent)]
    found = []
    for folder in (out, *visitors, *beside, *in_fleets):
        with suppress(PermissionError):  # another user's folder beside
            found += list_runs(folder)
    return found


def merged_from(given: Iterable[RunFolder]) -> list[RunFolder]:
    """Return the bots that were merged from the bots of runs, or from such merged bots.

    They hold the same posts. Name and time tell a run, as its folder may have been moved.
    """
    given = list(given)
    nearby = dict.fromkeys(runs_folder_of(run.path) for run in given)
    others = _keys([run for out in nearby for run in runs(out)])
    wanted = {key for _, key, _ in _keys(given)}
    found: dict[Path, RunFolder] = {}
    before = -1
    while len(found) > before:  # a merged bot may have been merged again
        before = len(found)
        for run, key, parents in others:
            if not wanted.isdisjoint(parents):
                found[run.path.absolute()] = run
                wanted.add(key)
    return list(found.values())


def _keys(folders: list[RunFolder]) -> list[tuple[RunFolder, _Key, list[_Key]]]:
    """Return each readable run with its key and the keys of the bots it was merged from."""
    found = []
    for run in folders:
        with suppress(BotError):
            record = run.record()
            bots = record.merged.get("bots", ())
            parents = [(str(bot["name"]), str(bot["created_at"])) for bot in bots]
            found.append((run, (record.name, record.created_at), parents))
    return found


def sweeps(*parents: Path) -> list[Path]:
    """Return the sweep folders directly inside these folders."""
    found = (folder for parent in parents for folder in _folders(parent))
    return sorted({folder for folder in found if (folder / "sweep.json").is_file()})


def fleet_folders(*parents: Path) -> list[Path]:
    """Return the fleets directly inside these folders."""
    found = (folder for parent in parents for folder in _folders(parent))
    return sorted({folder for folder in found if (folder / fleets.SETTINGS).is_file()})


def runs_folder_of(run: Path) -> Path:
    """Return the runs folder to which a run belongs, also for the run of a visitor or a fleet."""
    path = run.absolute()
    if path.parent.name == versions.FOLDER and (path.parent.parent / "run.json").is_file():
        path = path.parent.parent  # an older version
    if (fleet := fleets.folder_of(path)) is not None:
        return fleet.path
    return next((folder.parent for folder in path.parents if folder.name == APP), path.parent)


def exports_of(run: Path) -> Path:
    """Return the folder of a run's zips, made for download; it may not exist."""
    parent = run.absolute().parent
    if parent.name == "runs" and parent.parent.parent == runs_folder_of(run) / APP / "visitors":
        return parent.parent / "exports" / run.name
    return parent / APP / "exports" / run.name


def trackio_folder() -> Path:
    """Return the folder of trackio's database; it may not exist."""
    if named := os.environ.get("TRACKIO_DIR"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(cache, "huggingface")).expanduser() / "trackio"


def _versions(run: RunFolder) -> list[Path]:
    kept = [version.path for version in run.versions().values()]
    return kept + [path for path in (run.staging.path,) if path.is_dir()]


def _folders(parent: Path) -> Iterator[Path]:
    """Yield the folders in a folder that aren't hidden and may be read."""
    try:
        yield from (p for p in sorted(parent.iterdir()) if p.name[0] != "." and p.is_dir())
    except OSError:
        return


def _homes(out: Path) -> list[Path]:
    """Return the web app's folder and its visitors' folders."""
    return [out / APP, *sorted((out / APP / "visitors").glob("*"))]


def _inside(name: str) -> Callable[[Path], list[Path]]:
    return lambda out: sorted(p for home in _homes(out) for p in (home / name).glob("*"))


def _all_leftovers(out: Path) -> list[Path]:
    parents = [out, out.parent, *(home / "runs" for home in _homes(out))]
    found = [path for parent in parents for path in files.leftovers(parent, in_use=True)]
    inside = [run.path for run in runs(out)] + sweeps(out, out.parent)
    inside += fleet_folders(out, out.parent)
    for folder in [*inside, *downloads_folder().glob("*/*")]:
        for child in (folder, *_folders(folder)):
            found += files.leftovers(child, in_use=True)
    return sorted(set(found))


PLACES = {
    "runs": Place(
        "posts, generated posts, reports, checkpoints, W&B's offline runs",
        lambda out: [run.path for run in runs(out)],
    ),
    "versions": Place(
        "older versions of bots, and what an update that was killed left",
        lambda out: [folder for run in runs(out) for folder in _versions(run)],
    ),
    "fleets": Place(
        "posts, bots and reports of finished authors by their SHA-256, and pages about them",
        lambda out: [FleetFolder(folder).objects for folder in fleet_folders(out, out.parent)],
    ),
    "sweeps": Place("the authors' posts", lambda out: sweeps(out, out.parent)),
    "downloads": Place(
        "the posts of an account",
        lambda _: [file.parent for file in sorted(downloads_folder().glob("*/*/posts.jsonl"))],
    ),
    "trackio": Place(
        "with --raw-artifacts, posts; always bots and generated posts",
        lambda _: [trackio_folder()] if trackio_folder().is_dir() else [],
    ),
    "exports": Place("zips of bots, kept for a day", _inside("exports")),
    "uploads": Place("files that visitors sent, until a bot is trained", _inside("uploads")),
    "arriving": Place(
        "files that are being sent", lambda out: sorted((out / APP / "arriving").glob("*"))
    ),
    "leftovers": Place("what a crash left half-written", _all_leftovers),
}
"""All places. Out of reach are W&B, the Hub, browsers, and the files that the user named, such as
the pages of ``explore --out``."""
