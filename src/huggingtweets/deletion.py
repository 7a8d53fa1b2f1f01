"""Forgetting deleted posts: in runs, in sweeps, in downloads, and for good.

In a run the posts leave its tables and whatever quotes them. What has learnt from them can't
unlearn: a half-trained state is removed, a finished bot is marked out of date, and training starts
over on what is left. A sweep can be read as before, but no more trials are added, as they would be
judged by other posts. Each step can be done again, so that the same call ends what was cut.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import evaluation, publish, track
from huggingtweets.curation import Curated
from huggingtweets.data import batching
from huggingtweets.errors import InputError, StorageError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.privacy import deleted_posts
from huggingtweets.privacy.deleted_posts import PostIds
from huggingtweets.sources.store import Store, downloads_folder
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder, RunRecord, Table

# The training posts last: while they are there, the same call finds what is still to be done.
_TABLES: tuple[Table, ...] = ("posts", "dropped", "kept")
_IN_PLACE = "(left out: the post was deleted by its author)"


@dataclass(slots=True)
class DeletionReport:
    """What became of posts that were to be forgotten.

    Attributes:
        runs: posts removed from each run that held some.
        sweeps: posts removed from each sweep's folder that held some.
        downloads: posts removed from each account's folder that held some.
        skipped: sentences on what could not be worked on.
        nowhere: ids that weren't found and that others' posts may have, too. They aren't
            remembered, as nobody could tell whose posts they mean.
        tracked: the tracker (``trackio``, ``wandb``) that a run of ``runs`` was told to; what that
            has, its user must delete there.
    """

    runs: dict[Path, int] = field(default_factory=dict)
    sweeps: dict[Path, int] = field(default_factory=dict)
    downloads: dict[Path, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)
    tracked: dict[Path, str] = field(default_factory=dict)


def forget(
    lines: frozenset[str], runs: Iterable[RunFolder], sweeps: Iterable[Path] = ()
) -> DeletionReport:
    """Forget posts in runs, sweeps and downloads, and remember that they are not to come back.

    Args:
        lines: the posts, as :mod:`huggingtweets.privacy.deleted_posts` writes them.
        runs: to look through; one that another process works on is skipped.
        sweeps: folders of sweeps, likewise.

    Raises:
        StorageError: nothing can be written down in the user's configuration.
    """
    done, ids = DeletionReport(), PostIds.of(lines)
    # First of all: whatever ends this, no source brings them back.
    deleted_posts.remember(line for line in lines if deleted_posts.is_unique(line))
    met: set[str] = set()
    for run in runs:
        _note(done.runs, run.path, done.skipped, partial(_in_run, run, ids, met))
        if run.path in done.runs and (tracker := track.note(run).get("to")):
            done.tracked[run.path] = str(tracker)
    for folder in sweeps:
        _note(done.sweeps, folder, done.skipped, partial(_in_sweep, folder, ids, met))
    for file in sorted(downloads_folder().glob("*/*/posts.jsonl")):
        _note(done.downloads, file.parent, done.skipped, partial(_in_store, file.parent, ids, met))
    done.nowhere = sorted(i for i in ids.ids if not deleted_posts.is_unique(i) and i not in met)
    return done


def start_over(run: RunFolder) -> None:
    """Make a run whose posts were forgotten ready to be trained on those that are left.

    Raises:
        TooLittleText: they are too few.
    """
    record = run.record()
    if not record.forgotten or record.state == "training":  # which has started over already
        return
    kept = run.table("kept").drop("split")
    batching.text_amount_warning(kept)
    config = record.config
    kept = batching.split(
        kept, holdout=config["holdout"], rule=config["split"], seed=config["seed"]
    )
    kept = batching.with_newest_only(kept, config.get("train_posts"))
    run.replace_table("kept", kept)
    run.human_file.unlink(missing_ok=True)  # people judged the bot that was
    left = set(kept["author"])
    state = "prepared" if record.state in ("trained", "done") else record.state
    authors = [author for author in record.authors if author in left]
    run.save(replace(record, authors=authors, state=state))


def _note(counts: dict[Path, int], path: Path, skipped: list[str], work: Callable[[], int]) -> None:
    try:
        number = work()
    except InputError as error:
        skipped.append(str(error))
        return
    if number:
        counts[path] = number


# -- runs ------------------------------------------------------------------------------------------


def _in_run(run: RunFolder, ids: PostIds, met: set[str]) -> int:
    """Remove the posts from a run; returns how many there were."""
    with run.locked():
        record = run.record()
        tables = {name: run.table(name) for name in _TABLES}
        chosen = {name: ids.mask(table) for name, table in tables.items()}
        gone = {name: table.filter(chosen[name]) for name, table in tables.items()}
        left = {name: table.filter(~chosen[name]) for name, table in tables.items()}
        found = pl.concat([table.select("author", "id") for table in gone.values()]).unique()
        deleted_posts.remember(deleted_posts.stable_id(*row) for row in found.iter_rows())
        met.update(found["id"])
        if texts := gone["kept"]["text"].to_list():
            _unquote(run, record, texts, left["kept"])
            shutil.rmtree(run.checkpoint_file.parent, ignore_errors=True)
        if found.height:
            track.discard_unsynced(run)  # where posts go along, those that were dropped do, too
        for name in _TABLES:
            if not gone[name].is_empty():
                run.replace_table(name, left[name])
        height = left["kept"].height
        lost = record.counts.get("kept", height) - height  # also of a call that was cut
        if found.height or lost:
            _mark(run, record, Curated(left["kept"], left["dropped"]), lost)
    return max(found.height, lost)


def _mark(run: RunFolder, record: RunRecord, curated: Curated, lost: int) -> None:
    """Write down what is left, and that whatever has learnt from the rest is out of date."""
    changed = replace(record, counts=curated.counts, counts_by_author=curated.counts_by_author)
    if lost:
        changed.forgotten += lost
        changed.forgotten_at = datetime.now(UTC).isoformat(timespec="seconds")
        changed.state = "prepared" if record.state == "training" else record.state
    if _report(run) is not None and (run.bot / "README.md").exists():
        publish.write_card(run, changed)
    run.save(changed)


def _unquote(run: RunFolder, record: RunRecord, gone: Sequence[str], kept: pl.DataFrame) -> None:
    """Take posts, and what copies them, out of the report, the favourites and the log."""
    copies = CopyIndex(gone).is_copy
    _unquote_events(run, copies)
    _unquote_list(run.favourites_file, copies)
    generations = _unquote_list(run.generations_file, copies)
    report = _report(run)
    real = kept.filter(pl.col("split") == "held_out")["text"].to_list()
    if report is None or not generations or not real:
        run.report_page.unlink(missing_ok=True)  # may quote them, and can't be drawn without
    else:
        longest = report.longest_copied_run
        if longest.source_text in gone or copies(longest.text):
            longest = replace(longest, text=_IN_PLACE, source_text=_IN_PLACE)
            report = replace(report, longest_copied_run=longest)
            files.write_json(run.report_json, report.to_json())
        page = evaluation.render(report, generations, real, publish.title(record.authors))
        files.write_text(run.report_page, page)


def _unquote_list(file: Path, copies: Callable[[str], bool]) -> list[str]:
    """Take what copies a post out of a file of generated ones; returns those that stay."""
    written = [str(text) for text in _json(file) or ()]
    left = [text for text in written if not copies(text)]
    if len(left) < len(written):
        files.write_json(file, left)
    return left


def _unquote_events(run: RunFolder, copies: Callable[[str], bool]) -> None:
    """Take samples that copy a post out of the log."""
    events = run.events()
    samples = [sample for event in events for sample in event.get("samples") or ()]
    quoting = [sample for sample in samples if copies(sample["post"])]
    for sample in quoting:
        sample["post"] = _IN_PLACE
    if quoting:
        files.write_text(run.events_file, "".join(json.dumps(event) + "\n" for event in events))


def _report(run: RunFolder) -> LikenessReport | None:
    try:
        return LikenessReport.from_json(_json(run.report_json))
    except (TypeError, KeyError, AttributeError):
        return None


def _json(file: Path) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None


# -- sweeps ----------------------------------------------------------------------------------------


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / "sweep.json").is_file()


def list_sweeps(*places: Path) -> list[Path]:
    """Folders of sweeps right in any of these places."""
    there = (folder for place in places if place.is_dir() for folder in place.iterdir())
    return sorted({folder for folder in there if folder.name[0] != "." and is_sweep(folder)})


def _in_sweep(folder: Path, ids: PostIds, met: set[str]) -> int:
    """Remove the posts from a sweep's folder; returns how many there were."""
    file, settings_file = folder / "data" / "authors.parquet", folder / "sweep.json"
    with files.locked(folder):
        try:
            table, settings = pl.read_parquet(file), json.loads(settings_file.read_text("utf-8"))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise StorageError(f"{folder} is damaged, so nothing was forgotten in it.") from error
        if "id" not in table.columns:
            raise StorageError(
                f"{folder} was made before sweeps kept the ids of posts, so they can't be found in "
                "it; remove it."
            )
        chosen = ids.mask(table)
        gone = table.filter(chosen)
        deleted_posts.remember(
            deleted_posts.stable_id(*row) for row in gone["author", "id"].iter_rows()
        )
        met.update(gone["id"])
        if gone.is_empty():
            return 0
        # the settings first: once the posts are gone, another call wouldn't find them
        settings["forgotten"] = settings.get("forgotten", 0) + gone.height
        files.write_json(settings_file, settings)
        with files.atomic_write(file) as temporary:
            try:
                table.filter(~chosen).write_parquet(temporary)
            except pl.exceptions.PolarsError as error:
                raise files.to_os_error(error) from error
    return gone.height


# -- downloads -------------------------------------------------------------------------------------


def _in_store(folder: Path, ids: PostIds, met: set[str]) -> int:
    """Remove the posts from an account's folder; returns how many there were.

    An empty line stays in the place of each, as the state counts lines.
    """
    store = Store(folder)
    with store.locked():
        lines = store.posts_file.read_bytes().split(b"\n")
        gone = {}
        for number, line in enumerate(lines):
            author, name = _author_and_id(line)
            if ids.has(author, name):
                gone[number] = (author, name)
        deleted_posts.remember(deleted_posts.stable_id(*one) for one in gone.values())
        met.update(name for _, name in gone.values())
        if gone:
            left = (b"" if number in gone else line for number, line in enumerate(lines))
            with files.atomic_write(store.posts_file) as temporary:
                temporary.write_bytes(b"\n".join(left))
    return len(set(gone.values()))


def _author_and_id(line: bytes) -> tuple[str, str]:
    try:
        values = json.loads(line)
        return str(values["author"]), str(values["id"])
    except (ValueError, TypeError, KeyError):  # what a crash left of a line
        return "", ""
