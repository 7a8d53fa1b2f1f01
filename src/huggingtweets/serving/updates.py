"""Updates of visitors' bots: what can be updated, what a worker does, and what the page says."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, HuggingTweetsError, InputError
from huggingtweets.events import Event, EventHandler, counted
from huggingtweets.serving.schemas import SAMPLE, UpdateOffer
from huggingtweets.updating import history
from huggingtweets.updating.options import UpdateOptions
from huggingtweets.updating.reading import own_sources
from huggingtweets.updating.update import check, update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.serving.schemas import UpdateRequest
    from huggingtweets.sources import ReadOptions
    from huggingtweets.storage.run_folder import RunFolder, RunRecord
    from huggingtweets.training import Interrupt
    from huggingtweets.updating.history import Version
    from huggingtweets.updating.update import UpdateResult


def offer(run: RunFolder, record: RunRecord) -> UpdateOffer:
    """What the bot's page offers its owner."""
    try:
        check(run, record)
        readable, gone = own_sources(record)
    except BotError as error:
        return UpdateOffer(obstacle=str(error))
    return UpdateOffer(_names(readable), _names(gone))


def versions(run: RunFolder) -> tuple[Version, ...]:
    """The versions of a bot, newest first; empty if there is only one."""
    try:
        found = history.list_versions(run.path)
    except (HuggingTweetsError, OSError):  # damaged, or exchanged meanwhile
        return ()
    return tuple(reversed(found)) if len(found) > 1 else ()


def check_request(run: RunFolder, request: UpdateRequest) -> None:
    """Check that a bot can be updated as requested.

    Raises:
        BotError: the bot can't be updated.
        InputError: no file is given, and no source of the bot can be read again.
    """
    record = run.record()
    check(run, record)
    readable, gone = own_sources(record)
    if not request.sources and not readable:
        names = " and ".join(_names(gone))
        raise InputError(f"{names} isn't kept here; add a newer export of the posts first.")


def run_update(
    run: RunFolder,
    request: UpdateRequest,
    specs: Sequence[str | Path],
    *,
    listen: EventHandler,
    interrupt: Interrupt,
    reading: ReadOptions,
) -> str:
    """Update a bot and say in one sentence what came of it.

    Args:
        run: of the bot.
        request: of its owner.
        specs: the request's sources as the pipeline reads them.
        listen: called with every event.
        interrupt: stops the training.
        reading: the limits of reading, and who may cancel it.

    Raises:
        InputError: there is nothing new, or a source or the bot can't be used; nothing changed.
        Interrupted: stopped by the visitor; nothing changed.
    """
    check_request(run, request)
    record, warnings = run.record(), []
    if not specs:
        readable, gone = own_sources(record)
        specs = readable if gone else ()  # those that are left; all are the default

    def note_warnings(event: Event) -> None:
        if event.is_warning:
            warnings.append(event.message)
        listen(event)

    options = UpdateOptions(
        specs, author=request.author or None, text_column=record.config.get("text_column")
    )
    try:
        result = update(run.path, options, note_warnings, interrupt, reading=reading)
    except InputError as error:
        if warnings:
            raise type(error)(" ".join((str(error), *warnings))) from error
        raise
    return " ".join((outcome(result), *warnings))


def outcome(result: UpdateResult) -> str:
    """What came of an update, in one sentence."""
    posts = counted(result.new_posts, "new post")
    judges = counted(result.judged_on, "newest held-out post")
    if result.better:
        return (
            f"It learnt from {posts} and is better, with {result.new:.3f} bits per byte on the "
            f"{judges} instead of {result.old:.3f}, so it is now version {result.version}."
        )
    return (
        f"It learnt from {posts} but is no better, with {result.new:.3f} bits per byte on the "
        f"{judges} instead of {result.old:.3f}, so the bot stays as it was."
    )


def _names(specs: Sequence[str]) -> tuple[str, ...]:
    """The names of sources as people read them, without folders."""
    from huggingtweets.sample import sample_path

    sample = str(sample_path())
    return tuple(
        SAMPLE if spec == sample else PurePath(spec).name if PurePath(spec).is_absolute() else spec
        for spec in specs
    )
