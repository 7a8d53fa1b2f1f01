"""Remove posts, runs and opted-out authors from every place of :mod:`huggingtweets.storage.places`.

Deleted posts are kept from being read again. In a run, they are removed from its tables and from
every file that quotes them. A model can't unlearn them, so the checkpoint is removed, a finished
bot is marked out of date, and training starts over on the posts left. A sweep can still be reported
on but takes no more trials, which would be measured on other posts than the earlier ones. Every
step is idempotent: the same call completes one that was interrupted.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from filelock import Timeout

from huggingtweets import track
from huggingtweets.data import batching
from huggingtweets.deletion import stored_posts
from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.privacy import deleted_posts
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.publish import export
from huggingtweets.publish.publication import Publication
from huggingtweets.sources.store import Store
from huggingtweets.storage import files, fleets, places
from huggingtweets.storage.run_folder import RunFolder, RunRecord, list_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from huggingtweets.privacy.opt_out import OptOut

_SECONDS_TO_TRACK = 60.0


@dataclass(slots=True)
class DeletionReport:
    """The result of a deletion.

    Attributes:
        runs: number of posts removed from each run that held some.
        sweeps: number of posts removed from each sweep folder that held some.
        downloads: number of posts removed from each account folder that held some.
        skipped: error messages of the folders that could not be changed.
        nowhere: ids that weren't found and that aren't unique across authors. They aren't
            remembered, because they could mean anybody's posts.
        tracked: for each run of ``runs`` that W&B may hold, ``wandb``; the user must delete it
            there.
        tracked_runs: number of runs removed from trackio on this machine.
        removed: folders and files that were removed as a whole.
        out_of_reach: where copies may be that this program can't remove.
    """

    runs: dict[Path, int] = field(default_factory=dict)
    sweeps: dict[Path, int] = field(default_factory=dict)
    downloads: dict[Path, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)
    tracked: dict[Path, str] = field(default_factory=dict)
    tracked_runs: int = 0
    removed: list[Path] = field(default_factory=list)
    out_of_reach: list[str] = field(default_factory=list)


def forget(
    lines: frozenset[str],
    runs: Iterable[RunFolder],
    sweeps: Iterable[Path] = (),
    *,
    out: Path | None = None,
    in_use: Iterable[Path] = (),
) -> DeletionReport:
    """Remove posts from runs, sweeps and downloads, and record that they must not be read again.

    Args:
        lines: the posts, as :mod:`huggingtweets.privacy.deleted_posts` writes them.
        runs: run folders to search; one in use by another process is skipped.
        sweeps: sweep folders to search, likewise.
        out: runs folder whose uploads, exports and leftovers of crashes are removed, too.
        in_use: uploads that a training waits for. It will leave the posts out.

    Raises:
        StorageError: the user's configuration can't be written.
    """
    done, ids, runs = DeletionReport(), PostIds.parse(lines), list(runs)
    # First, so that the posts stay deleted even if this call is interrupted.
    deleted_posts.remember(line for line in lines if deleted_posts.is_unique(line))
    found_ids: set[str] = set()
    changed: set[str] = set()
    for run in _with_merged(runs):
        removed: list[Path] = []  # older versions
        remove = partial(_in_untracked_run, run, ids, found_ids, removed)
        _record(done.runs, run.path, done.skipped, remove)
        done.removed += removed
        if run.path in done.runs or removed:
            changed.add(track.id_of(run))
            _name_copies(done, run)
            _remove(done, places.exports_of(run.path))
            if track.copies_elsewhere(run):
                done.tracked[run.path] = "wandb"
    for folder in {fleet.path for run in runs if (fleet := fleets.folder_of(run.path))}:
        fleets.FleetFolder(folder).remove_unused()  # a crash may have left what held a post
    _in_trackio(done, _is_of(changed), partial(_holds, ids))
    if out is not None:
        _remove_transient(done, out, in_use)
    for folder in sweeps:
        _record(
            done.sweeps,
            folder,
            done.skipped,
            partial(stored_posts.in_sweep, folder, ids, found_ids),
        )
    for folder in places.PLACES["downloads"].find(Path()):
        remove = partial(stored_posts.in_store, folder, ids, found_ids)
        _record(done.downloads, folder, done.skipped, remove)
    done.nowhere = sorted(
        post_id
        for post_id in ids.ids
        if not deleted_posts.is_unique(post_id) and post_id not in found_ids
    )
    return done


def _with_merged(runs: Iterable[RunFolder]) -> list[RunFolder]:
    """Return runs, each once, with the bots that were merged from theirs: they hold its posts."""
    given = list(runs)
    found = {run.path.absolute(): run for run in given}
    for merged in places.merged_from(given):
        found.setdefault(merged.path.absolute(), merged)
    return list(found.values())


def delete(run: RunFolder, *, keep_downloads: bool = False) -> DeletionReport:
    """Delete a run: its folder, its exports, its tracked copies, and downloads no other run uses.

    Args:
        run: a run folder that no process uses; it may be damaged.
        keep_downloads: keep the accounts' downloads, which may have cost money.

    Raises:
        StorageError: the run is in use or being tracked, or it can't be deleted.
    """
    done = DeletionReport()
    with run.locked(), _not_tracked(run):
        tracked_as = {track.id_of(run)} if _is_readable(run) else set()
        stores = [] if keep_downloads else _own_downloads(run)
        _name_copies(done, run)
        done.out_of_reach += [
            f"the merged bot {merged.path}, which holds its posts, too"
            for merged in places.merged_from([run])
        ]
        _in_trackio(done, _is_of(tracked_as))
        if done.skipped:
            raise StorageError(" ".join([f"{run.path} was not deleted.", *done.skipped]))
        trash = run.path.with_name(f".{run.path.name}.deleted")
        with files.wrap_os_errors(run.path):
            shutil.rmtree(trash, ignore_errors=True)
            run.path.rename(trash)  # atomic, so that nobody sees a half-deleted run
    if (fleet := fleets.folder_of(run.path)) is not None:
        fleet.drop(run.path.name)
    with files.wrap_os_errors(run.path):
        shutil.rmtree(trash)
    done.removed.append(run.path)
    for store in stores:
        with store.locked():
            _remove(done, store.path)
    _remove(done, places.exports_of(run.path))
    for left in files.leftovers(run.path.parent):
        if left.name.startswith(f".{run.path.name}."):
            _remove(done, left)
    return done


def delete_sweep(folder: Path) -> DeletionReport:
    """Delete a sweep folder.

    Raises:
        StorageError: the sweep is in use, or it can't be deleted.
    """
    done = DeletionReport()
    with files.locked(folder):
        _remove(done, folder)
    return done


def delete_fleet(folder: Path, *, keep_downloads: bool = False) -> DeletionReport:
    """Delete a fleet's folder with all its runs, each as :func:`delete` does.

    Raises:
        StorageError: the fleet or a run is in use, or it can't be deleted.
    """
    done = DeletionReport()
    with files.locked(folder):
        for run in list_runs(folder / fleets.AUTHORS):
            one = delete(run, keep_downloads=keep_downloads)
            done.removed += one.removed
            done.tracked_runs += one.tracked_runs
            done.out_of_reach += one.out_of_reach
        _remove(done, folder)
    done.out_of_reach = list(dict.fromkeys(done.out_of_reach))
    return done


def opt_out_copies(opted_out: OptOut) -> DeletionReport:
    """Remove downloads and tracked runs of authors who opted out; runs and sweeps stay, blocked.

    Args:
        opted_out: the list.
    """
    done = DeletionReport()

    def is_theirs(config: dict[str, Any]) -> bool:
        record = RunRecord("", config.get("authors") or [], config, {}, {})
        return bool(opted_out.names_in(record))

    def holds_theirs(table: Path) -> bool:
        authors = _column(table, "author")
        return any(opted_out.contains(author) for author in authors)

    _in_trackio(done, is_theirs, holds_theirs)
    for folder in places.PLACES["downloads"].find(Path()):
        posts = (folder / "posts.jsonl").read_bytes().split(b"\n")
        authors = {stored_posts.author_and_id(line)[0] for line in posts} - {""}
        if any(opted_out.contains(author) for author in authors):
            try:
                with Store(folder).locked():
                    _remove(done, folder)
            except StorageError as error:
                done.skipped.append(str(error))
    return done


def _remove(done: DeletionReport, path: Path) -> None:
    """Remove a folder or file, if it is there."""
    try:
        if files.remove(path):
            done.removed.append(path)
    except StorageError as error:
        done.skipped.append(str(error))


def _remove_transient(done: DeletionReport, out: Path, in_use: Iterable[Path]) -> None:
    """Remove uploads that no training waits for, and what crashes left behind."""
    waiting = {file.parent for file in in_use}
    for name in ("uploads", "arriving", "leftovers"):
        for path in places.PLACES[name].find(out):
            if path in waiting:
                done.out_of_reach.append(
                    f"{path}, until a bot is trained on it, which leaves the posts out"
                )
            else:
                _remove(done, path)
    app = out / places.APP
    if app.is_dir() and files.is_locked(app):
        done.out_of_reach.append(f"the memory of the web app that runs on {out}; restart it")


def _is_of(names: set[str]) -> Callable[[dict[str, Any]], bool]:
    """Return a function that tells whether a tracked job belongs to runs with these ids."""
    return lambda config: str(config.get("id", "")).partition("-")[0] in names


def _in_trackio(
    done: DeletionReport,
    is_chosen: Callable[[dict[str, Any]], bool],
    holds: Callable[[Path], bool] = lambda _: False,
) -> None:
    try:
        done.tracked_runs += track.remove_from_trackio(is_chosen, holds)
    except StorageError as error:
        done.skipped.append(str(error))


def _holds(ids: PostIds, table: Path) -> bool:
    """Whether a Parquet file holds one of the posts."""
    posts = zip(_column(table, "author"), _column(table, "id"), strict=False)
    return any(ids.has(author, post_id) for author, post_id in posts)


def _column(file: Path, name: str) -> list[str]:
    """Return a column of a Parquet file of posts; empty if it is none."""
    try:
        with file.open("rb") as opened:
            if opened.read(4) != b"PAR1":
                return []
        return pl.read_parquet(file, columns=[name])[name].cast(pl.String).fill_null("").to_list()
    except (OSError, pl.exceptions.PolarsError):
        return []


def _name_copies(done: DeletionReport, run: RunFolder) -> None:
    """Name the copies of a run that are out of reach."""
    if not _is_readable(run):
        return
    config = run.record().config
    for source in map(str, config.get("sources", ())):
        if Path(source).is_absolute() and Path(source).exists():
            done.out_of_reach.append(f"your own file {source}")
        elif source.startswith("hf:"):
            name = source.removeprefix("hf:").partition("[")[0].partition(":")[0]
            done.out_of_reach.append(f"the cached dataset {name}: hf cache rm dataset/{name}")
    base = Path(str(config.get("base")))
    if (base / "curve.svg").is_file():  # made by ``pretrain``
        done.out_of_reach.append(f"the base {base}, if it was made from the same posts")
    with suppress(BotError):
        if (published := Publication.of(run)) is not None:
            done.out_of_reach.append(f"the published bot {published.url}")
        if (published := Publication.of(run, space=True)) is not None:
            done.out_of_reach.append(f"the published page {published.url}")
    done.out_of_reach += export.copies_of(run)
    done.out_of_reach += track.copies_elsewhere(run)
    done.out_of_reach = list(dict.fromkeys(done.out_of_reach))


def _is_readable(run: RunFolder) -> bool:
    try:
        run.record()
    except BotError:
        return False
    return True


def _in_untracked_run(
    run: RunFolder, ids: PostIds, found_ids: set[str], removed: list[Path]
) -> int:
    with _not_tracked(run):  # it might still copy the posts, with --raw-artifacts
        return stored_posts.in_run(run, ids, found_ids, removed)


@contextmanager
def _not_tracked(run: RunFolder) -> Iterator[None]:
    """Wait until no process tracks a run any more.

    Raises:
        StorageError: one does after a minute.
    """
    folder = track.folder(run)
    if not folder.is_dir():
        yield
        return
    lock = files.file_lock(folder)
    try:
        lock.acquire(timeout=_SECONDS_TO_TRACK, blocking=True)
    except Timeout as error:
        raise StorageError(
            f"{run.path} is being tracked by another process; try again in a moment."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _own_downloads(run: RunFolder) -> list[Store]:
    """Return the downloads with posts of a run and of no other run."""
    others: set[str] = set()
    for other in places.runs(places.runs_folder_of(run.path)):
        if other.path.absolute() != run.path.absolute():
            others |= _post_ids(other)
    own = _post_ids(run)
    stores = [Store(folder) for folder in places.PLACES["downloads"].find(Path())]
    found = []
    for store in stores:
        lines = store.posts_file.read_bytes().split(b"\n")
        ids = {stored_posts.author_and_id(line)[1] for line in lines} - {""}
        if ids & own and not ids & others:
            found.append(store)
    return found


def _post_ids(run: RunFolder) -> set[str]:
    return set(_column(run.path / "data" / "posts.parquet", "id"))


def start_over(run: RunFolder) -> None:
    """Prepare a run whose posts were deleted for training on the posts left.

    Raises:
        InsufficientTextError: too few posts are left.
    """
    record = run.record()
    if not record.forgotten or record.state == "training":  # training has already started over
        return
    kept = run.table("kept").drop("split")
    batching.text_amount_warning(kept)
    config = record.config
    kept = batching.split(
        kept, holdout=config["holdout"], rule=config["split"], seed=config["seed"]
    )
    kept = batching.with_newest_only(kept, config.get("train_posts"))
    run.replace_table("kept", kept)
    run.human_file.unlink(missing_ok=True)  # the answers were about the previous bot
    left = set(kept["author"])
    state = "prepared" if record.state in ("trained", "done") else record.state
    authors = [author for author in record.authors if author in left]
    run.save(replace(record, authors=authors, state=state))


def _record(
    counts: dict[Path, int], path: Path, skipped: list[str], delete: Callable[[], int]
) -> None:
    """Run ``delete`` and store its count, or its error."""
    try:
        number = delete()
    except InputError as error:
        skipped.append(str(error))
        return
    if number:
        counts[path] = number
