"""The first stages of a run: read, curate and split the posts, and create the run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import curation, sources
from huggingtweets.data import batching
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.nn import bases, devices, language_model
from huggingtweets.pipeline import small_bots
from huggingtweets.sources import ReadOptions
from huggingtweets.sources.in_child import read_posts_in_child
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    import polars as pl

    from huggingtweets.curation import Curated, CurationOptions
    from huggingtweets.pipeline.options import TrainOptions
    from huggingtweets.sources import Confirm

DEFAULT_MINUTES = 5.0
Specs = str | Path | Sequence[str | Path]
"""One source or several."""


def as_list(specs: Specs) -> Sequence[str | Path]:
    """Return one or several sources as a sequence."""
    return [specs] if isinstance(specs, str | Path) else specs


def read_posts(
    specs: Sequence[str | Path], reading: ReadOptions, listen: EventHandler
) -> tuple[pl.DataFrame, sources.CountLeftOut]:
    """Read the posts; return also what was left out, and whose handles are known."""
    listen(Event(stage="read", message=", ".join(str(spec) for spec in specs)))
    counting = sources.CountLeftOut(listen)
    posts = read_posts_in_child(specs, replace(reading, listen=counting))
    return posts, counting


def reading_of(
    options: TrainOptions, confirm: Confirm = sources.decline, limits: ReadOptions | None = None
) -> ReadOptions:
    """Return how a run reads its sources."""
    return replace(
        limits or ReadOptions(),
        text_column=options.text_column,
        speaker=options.speaker,
        join=options.join,
        keep_names=options.keep_names,
        author=options.author,
        i_am_the_author=options.i_am_the_author,
        forget=options.forget,
        confirm=confirm,
    )


def curate_posts(
    posts: pl.DataFrame, left_out: dict[str, int], options: CurationOptions, listen: EventHandler
) -> Curated:
    """Curate posts and tell how many are kept."""
    curated = replace(curation.curate(posts, options), left_out=left_out)
    listen(Event(stage="curate", counts=curated.counts, masked=curated.masked or None))
    return curated


def read_and_prepare(
    specs: Sequence[str | Path],
    options: TrainOptions,
    listen: EventHandler,
    reading: ReadOptions | None = None,
) -> RunFolder:
    """Read, curate and split the posts, check the options, then create the run folder."""
    if options.name:
        run_folder.check_name_is_free(RunFolder(options.out / options.name))
    started = time.monotonic()
    posts, read = read_posts(specs, reading or reading_of(options), listen)
    return _create(specs, posts, read, options, listen, started=started)


def prepare(
    specs: Specs,
    posts: pl.DataFrame,
    options: TrainOptions,
    base: tuple[language_model.LanguageModel, str],
    *,
    read: sources.CountLeftOut | None = None,
    newest: int | None = None,
) -> RunFolder:
    """Make a run folder from posts that were read already; :func:`resume` trains the bot.

    There is no time limit, so that the bot depends on the posts and the options alone.

    Args:
        specs: where the posts come from, for the record.
        posts: of the authors.
        options: of the run; ``base`` and ``minutes`` aren't used.
        base: the loaded base, which doesn't change, and its digest.
        read: what the sources left out, and whose handles are known.
        newest: train on this many of each author's newest posts; None for all.

    Raises:
        InputError: too few posts are left, or an option can't be used.
        StorageError: the folder exists or can't be written.
    """
    return _create(
        as_list(specs),
        posts,
        read or sources.CountLeftOut(ignore),
        options,
        ignore,
        started=time.monotonic(),
        base=base,
        newest=newest,
    )


def _create(
    specs: Sequence[str | Path],
    posts: pl.DataFrame,
    read: sources.CountLeftOut,
    options: TrainOptions,
    listen: EventHandler,
    *,
    started: float,
    base: tuple[language_model.LanguageModel, str] | None = None,
    newest: int | None = None,
) -> RunFolder:
    """Curate and split posts, check the options, then create the run folder.

    Args:
        specs: where the posts come from.
        posts: as read.
        read: what the sources left out, and whose handles are known.
        options: of the run.
        listen: called with every event.
        started: when reading began, in seconds of :func:`time.monotonic`.
        base: the loaded base and its digest, for a run without a time limit; None to load it.
        newest: without a time limit, train on this many of each author's newest posts.
    """
    device = devices.select_device(options.device, options.precision or options.recipe.precision)
    from huggingtweets.training import budget, layers

    curated = curate_posts(posts, read.total, options.curation, listen)
    if warning := batching.text_amount_warning(curated.kept):
        listen(Event(stage="curate", message=warning))
    if warning := batching.undated_warning(curated.kept, options.split):
        listen(Event(stage="curate", message=warning))
    kept = batching.split(
        curated.kept, holdout=options.holdout, rule=options.split, seed=options.seed
    )
    seconds = {"read and curate": round(time.monotonic() - started, 2)}
    minutes = None if base else minutes_of(options)
    if base is None:
        loaded = language_model.load(
            options.base, attention=options.recipe.attention(device.device)
        )
        base = loaded, loaded.digest()  # before the timed steps, which train
    model, digest = base
    layers.check(model.model, options.recipe.layers or 0)
    trained = model.parameters
    if options.recipe.adapter != "none":
        trained = small_bots.check_base(options.base, model, options.recipe)
    free_rate = options.recipe.base_width > 0  # the recipe's learning rate, not the user's
    options = replace(options, recipe=options.recipe.for_base(model.width))
    run_folder.check_space(options.out, trained)
    planned = None
    if minutes is not None:
        listen(Event(stage="read", message="timing a few training steps"))
        seconds_left = minutes * 60 - (time.monotonic() - started)
        planned = budget.plan_run(
            model, kept, options.recipe, device, seconds_left, free_rate=free_rate
        )
        options = replace(options, recipe=planned.recipe)
        newest = planned.posts
    kept = batching.with_newest_only(kept, newest)
    all_authors = posts["author"].unique(maintain_order=True)
    kept_authors = kept["author"].unique().to_list()
    authors = all_authors.filter(all_authors.is_in(kept_authors)).to_list()
    record = RunRecord(
        name=options.name or run_folder.unique_name(options.out, run_folder.folder_name(authors)),
        authors=authors,
        config=_config(specs, options, device)
        | {
            "minutes": minutes,
            "train_posts": newest,
            "plan": planned.message if planned else None,
            "base_digest": digest,
        },
        counts=curated.counts,
        counts_by_author=curated.counts_by_author,
        left_out=curated.left_out,
        chats=sources.chats_in(posts),
        masked=curated.masked,
        handles=[name for name in authors if name in read.handles],
        versions=devices.package_versions(),
        machine=device.as_dict(),
        seconds=seconds,
    )
    stored, dropped = (
        curation.without_masked(table, options.curation) for table in (posts, curated.dropped)
    )
    tables = {"posts": stored, "kept": kept, "dropped": dropped}
    return run_folder.create(options.out, record, tables)


def minutes_of(options: TrainOptions) -> float | None:
    """Return the time limit of a run; None for no limit."""
    if options.minutes is None and options.recipe.enough_steps:
        return DEFAULT_MINUTES
    return options.minutes


def _config(
    specs: Sequence[str | Path], options: TrainOptions, device: devices.ComputeDevice
) -> dict[str, Any]:
    """Return all options as plain values, with absolute paths so that a resumed run finds them."""
    values = asdict(options) | {
        "sources": [str(Path(s).absolute()) if Path(s).exists() else str(s) for s in specs],
        "out": str(options.out.absolute()),
        "device": device.device,
        "precision": device.precision,
        "forget": len(options.forget),  # only the number: the ids are not stored
    }
    if options.base not in bases.BUILT_IN and Path(options.base).expanduser().exists():
        values["base"] = str(Path(options.base).expanduser().absolute())
    return values
