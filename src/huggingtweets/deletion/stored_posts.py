"""Remove posts from a run, a sweep or a download, and from every file of it that quotes them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import evaluation, publish, track
from huggingtweets.curation import Curated
from huggingtweets.errors import BotError, StorageError
from huggingtweets.evaluation import LikenessReport
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.privacy import deleted_posts
from huggingtweets.sources.store import Store
from huggingtweets.storage import files, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from huggingtweets.privacy.deleted_posts import PostIds
    from huggingtweets.storage.run_folder import RunFolder, RunRecord, Table

# "kept" is last: until it is rewritten, a repeated call still finds the posts to remove.
_TABLES: tuple[Table, ...] = ("posts", "dropped", "kept")
_PLACEHOLDER = "(removed: the post was deleted by its author)"


# -- runs ------------------------------------------------------------------------------------------


def in_run(run: RunFolder, ids: PostIds, found_ids: set[str], removed: list[Path]) -> int:
    """Remove the posts from a run and return their number.

    Args:
        run: run folder.
        ids: of the posts.
        found_ids: gets the ids of the posts found.
        removed: gets the older versions that held one, which are removed whole: they learnt it.
    """
    with run.locked():
        for version in run.versions().values():
            _remove_version(version, ids, found_ids, removed)
        record = run.record()
        tables = {name: run.table(name) for name in _TABLES}
        masks = {name: ids.mask(table) for name, table in tables.items()}
        gone = {name: table.filter(masks[name]) for name, table in tables.items()}
        left = {name: table.filter(~masks[name]) for name, table in tables.items()}
        found = pl.concat([table.select("author", "id") for table in gone.values()]).unique()
        deleted_posts.remember(deleted_posts.stable_id(*row) for row in found.iter_rows())
        found_ids.update(found["id"])
        if texts := gone["kept"]["text"].to_list():
            _remove_quotes(run, record, texts, left["kept"])
            shutil.rmtree(run.checkpoint_file.parent, ignore_errors=True)
        run.remove_leftovers()
        if found.height:
            track.discard_unsynced(run)  # raw artifacts include dropped posts
        for name in _TABLES:
            if not gone[name].is_empty():
                run.replace_table(name, left[name])
        height = left["kept"].height
        # includes posts that an interrupted call removed
        lost = record.counts.get("kept", height) - height
        if found.height or lost:
            _update_record(run, record, Curated(left["kept"], left["dropped"]), lost)
    return max(found.height, lost)


def _remove_version(
    version: RunFolder, ids: PostIds, found_ids: set[str], removed: list[Path]
) -> None:
    """Remove an older version if it holds one of the posts or can't be read."""
    try:
        table = pl.concat([version.table(name).select("author", "id") for name in _TABLES])
    except (BotError, pl.exceptions.PolarsError):
        found = None
    else:
        found = table.filter(ids.mask(table)).unique()
        if found.is_empty():
            return
        deleted_posts.remember(deleted_posts.stable_id(*row) for row in found.iter_rows())
        found_ids.update(found["id"])
    versions.discard(version.path)
    removed.append(version.path)


def _update_record(run: RunFolder, record: RunRecord, curated: Curated, lost: int) -> None:
    """Save the new counts and mark the bot as out of date."""
    changed = replace(
        record,
        counts=curated.counts,
        counts_by_author=curated.counts_by_author,
        masked=None if record.masked is None else curated.masked,
    )
    if lost:
        changed.forgotten += lost
        changed.forgotten_at = datetime.now(UTC).isoformat(timespec="seconds")
        changed.state = "prepared" if record.state == "training" else record.state
    if _report(run) is not None and (run.bot / "README.md").exists():
        publish.write_card(run, changed)
    run.save(changed)


def _remove_quotes(
    run: RunFolder, record: RunRecord, gone: Sequence[str], kept: pl.DataFrame
) -> None:
    """Remove posts, and generated copies of them, from the report, the favourites and the log."""
    is_copy = CopyIndex(gone).is_copy
    _remove_from_events(run, is_copy)
    _remove_from_list(run.favourites_file, is_copy)
    generations = _remove_from_list(run.generations_file, is_copy)
    report = _report(run)
    real = kept.filter(pl.col("split") == "held_out")["text"].to_list()
    if report is None or not generations or not real:
        run.report_page.unlink(missing_ok=True)  # may quote the posts and can't be rendered again
    else:
        longest = report.longest_copied_run
        if longest.source_text in gone or is_copy(longest.text):
            longest = replace(longest, text=_PLACEHOLDER, source_text=_PLACEHOLDER)
            report = replace(report, longest_copied_run=longest)
            files.write_json(run.report_json, report.to_json())
        names = record.names
        page = evaluation.render(report, generations, real, publish.title(names), names)
        files.write_text(run.report_page, page)


def _remove_from_list(file: Path, is_copy: Callable[[str], bool]) -> list[str]:
    """Remove copies from a file of generated posts and return the posts left."""
    generated = [str(text) for text in _json(file) or ()]
    left = [text for text in generated if not is_copy(text)]
    if len(left) < len(generated):
        files.write_json(file, left)
    return left


def _remove_from_events(run: RunFolder, is_copy: Callable[[str], bool]) -> None:
    """Replace samples that are copies in the log."""
    events = run.events()
    samples = [sample for event in events for sample in event.get("samples") or ()]
    copies = [sample for sample in samples if is_copy(sample["post"])]
    for sample in copies:
        sample["post"] = _PLACEHOLDER
    if copies:
        files.write_text(run.events_file, "".join(json.dumps(event) + "\n" for event in events))


def _report(run: RunFolder) -> LikenessReport | None:
    try:
        return LikenessReport.from_json(_json(run.report_json))
    except (TypeError, KeyError, AttributeError):
        return None


def _json(file: Path) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return files.read_json(file)
    except (OSError, ValueError):
        return None


# -- sweeps ----------------------------------------------------------------------------------------


def in_sweep(folder: Path, ids: PostIds, found_ids: set[str]) -> int:
    """Remove the posts from a sweep folder and return their number."""
    file, settings_file = folder / "data" / "authors.parquet", folder / "sweep.json"
    with files.locked(folder):
        files.make_private(folder)
        try:
            table, settings = pl.read_parquet(file), files.read_json(settings_file)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise StorageError(f"{folder} is damaged; no post was removed from it.") from error
        if "id" not in table.columns:
            raise StorageError(
                f"{folder} was made before sweeps stored post ids, so its posts can't be found. "
                "Delete the folder."
            )
        mask = ids.mask(table)
        gone = table.filter(mask)
        deleted_posts.remember(
            deleted_posts.stable_id(*row) for row in gone["author", "id"].iter_rows()
        )
        found_ids.update(gone["id"])
        if gone.is_empty():
            return 0
        # settings first: once the posts are removed, a repeated call wouldn't count them
        settings["forgotten"] = settings.get("forgotten", 0) + gone.height
        files.write_json(settings_file, settings)
        with files.atomic_write(file) as temporary:
            try:
                table.filter(~mask).write_parquet(temporary)
            except pl.exceptions.PolarsError as error:
                raise files.to_os_error(error) from error
    return gone.height


# -- downloads -------------------------------------------------------------------------------------


def in_store(folder: Path, ids: PostIds, found_ids: set[str]) -> int:
    """Remove the posts from an account's folder and return their number.

    Each becomes an empty line, because ``state.json`` refers to line numbers.
    """
    store = Store(folder)
    with store.locked():
        lines = store.posts_file.read_bytes().split(b"\n")
        gone = {}
        for number, line in enumerate(lines):
            author, post_id = author_and_id(line)
            if ids.has(author, post_id):
                gone[number] = (author, post_id)
        deleted_posts.remember(deleted_posts.stable_id(*post) for post in gone.values())
        found_ids.update(post_id for _, post_id in gone.values())
        if gone:
            left = (b"" if number in gone else line for number, line in enumerate(lines))
            with files.atomic_write(store.posts_file) as temporary:
                temporary.write_bytes(b"\n".join(left))
    return len(set(gone.values()))


def author_and_id(line: bytes) -> tuple[str, str]:
    """Return author and id of a line of ``posts.jsonl``, empty if it is damaged."""
    try:
        values = json.loads(line)
        return str(values["author"]), str(values["id"])
    except (ValueError, TypeError, KeyError):  # a line truncated by a crash
        return "", ""
