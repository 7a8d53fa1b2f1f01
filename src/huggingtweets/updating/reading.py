"""Read what a bot's authors wrote since, from its own sources or from given ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import sources
from huggingtweets.curation import CurationOptions
from huggingtweets.errors import InputError, SourceError
from huggingtweets.events import Event, EventHandler
from huggingtweets.privacy import deleted_posts, masking
from huggingtweets.sources.in_child import read_posts_in_child
from huggingtweets.updating.new_posts import NewPosts, what_is_new

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.sources import ReadOptions
    from huggingtweets.storage.run_folder import RunFolder, RunRecord
    from huggingtweets.updating.options import UpdateOptions

_SHOWN_IDS = 10


def read_new(
    run: RunFolder,
    record: RunRecord,
    options: UpdateOptions,
    listen: EventHandler,
    reading: ReadOptions,
) -> tuple[NewPosts, sources.CountLeftOut]:
    """Read the sources of an update and compare their posts with the run's.

    Args:
        run: a finished run.
        record: its ``run.json``.
        options: of the update.
        listen: called with every event; gets a warning about posts that are gone.
        reading: the limits of reading, and who may cancel it or confirm what it costs.

    Returns:
        What is new, and what the sources left out.

    Raises:
        InputError: a source can't be read, has posts of others, or nothing is new.
    """
    counting = sources.CountLeftOut(listen)
    specs = list(options.sources) or _own_sources(run, record)
    before = run.table("posts")
    listen(Event(stage="read", message=", ".join(map(str, specs))))
    read = read_posts_in_child(specs, _reading(record, options, counting, reading))
    strangers = set(read["author"]) - set(record.authors) - set(before["author"])
    if strangers:
        raise InputError(_of_strangers(sorted(strangers), specs, run, record))
    found = what_is_new(before, read, curation_options(record.config))
    if not options.sources:
        _warn_of_missing(found, listen)
    if found.new.is_empty() and found.edited.is_empty():
        raise InputError(f"There is nothing new {since(run, options)}; the bot stays as it is.")
    if found.fingerprint() == record.tried:
        raise InputError(
            f"There is nothing new {since(run, options)} but posts that an update already tried "
            "without gain; the bot stays as it is."
        )
    return found, counting


def since(run: RunFolder, options: UpdateOptions) -> str:
    """Say where new posts were looked for, and after which day, such as "since 2015-12-15"."""
    newest = run.table("posts")["created_at"].max()
    after = f" since {newest:%Y-%m-%d}" if isinstance(newest, datetime) else ""
    where = "the given source" if options.sources else f"the source of {run.path}"
    return f"in {where}{after}"


def curation_options(config: Mapping[str, Any]) -> CurationOptions:
    """Return the options with which a run's posts were curated."""
    stored = config.get("curation") or {}
    return CurationOptions(
        keep_newlines=bool(stored.get("keep_newlines")),
        near_duplicates=stored.get("near_duplicates", 0.9),
        mask=masking.level_of(config),
    )


def _reading(
    record: RunRecord,
    options: UpdateOptions,
    counting: sources.CountLeftOut,
    limits: ReadOptions,
) -> ReadOptions:
    """Return how to read: as the run did, but for what only fits its own sources."""
    config = record.config
    own_column = None if options.sources else config.get("text_column")
    return replace(
        limits,
        text_column=options.text_column or own_column,
        speaker=options.speaker or (config.get("speaker") if record.chats else None),
        join=bool(config.get("join")),
        keep_names=bool(config.get("keep_names")),
        author=options.author or config.get("author"),
        i_am_the_author=bool(config.get("i_am_the_author")),
        listen=counting,
    )


def own_sources(record: RunRecord) -> tuple[list[str], list[str]]:
    """Return the sources that a bot was trained from: those that can be read again, and the rest.

    Files given to updates don't count, as they held only what was new then.
    """
    added = record.config.get("update_sources", ())
    specs = [str(spec) for spec in record.config["sources"] if spec not in added]
    gone = [spec for spec in specs if Path(spec).is_absolute() and not Path(spec).exists()]
    return [spec for spec in specs if spec not in gone], gone


def _own_sources(run: RunFolder, record: RunRecord) -> list[str]:
    """Return the sources that a bot was trained from, all of which are still there."""
    specs, gone = own_sources(record)
    for spec in gone:
        raise SourceError(
            f"{spec}, from which {run.path} was made, is gone. Give the new posts with --source."
        )
    return specs


def _warn_of_missing(found: NewPosts, listen: EventHandler) -> None:
    """Warn of posts that are gone from the run's sources: their author may have deleted them."""
    ids = [deleted_posts.stable_id(*row) for row in found.missing.iter_rows()]
    if not ids:
        return
    posts = "1 post is" if len(ids) == 1 else f"{len(ids):,} posts are"
    more = f" and {len(ids) - _SHOWN_IDS:,} more" if len(ids) > _SHOWN_IDS else ""
    message = (
        f"{posts} no longer in the source ({', '.join(ids[:_SHOWN_IDS])}{more}); if the author "
        "deleted them, remove them with: huggingtweets forget IDS"
    )
    listen(Event(stage="curate", message=message))  # shown as a warning


def _of_strangers(
    strangers: Sequence[str], specs: Sequence[str | Path], run: RunFolder, record: RunRecord
) -> str:
    shown = ", ".join(strangers[:3]) + (" and others" if len(strangers) > 3 else "")
    names = " and ".join(map(str, specs))
    theirs = " or ".join(f"--as {name}" for name in record.authors[:3])
    return (
        f"{names} has posts of {shown}, but {run.path} imitates {' & '.join(record.names)}. If "
        f"these are the same person, add {theirs}."
    )
