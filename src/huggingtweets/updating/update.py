"""Update a bot with what its authors wrote since, and go back to an older version of it.

    read → what is new → curate → train on → judge → the better bot stays

The bot is trained further on the new posts, at half its learning rate, and with a replay of posts
that it knows only where that is asked for: bots forgot nothing without, and predicted the newest
posts worse with it (docs/research/updating.md). Its held-out posts stay the newest: those that were
held out before are learnt once newer ones take their place, and no learnt post is ever held out.
Of the held-out posts, the older half chooses the weights, and the newer half judges old and new.

All of it happens in ``RUN/update``. The bot in use doesn't change until one exchange
(:mod:`huggingtweets.storage.versions`).
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import curation, pipeline, sources, track
from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError, Interrupted
from huggingtweets.events import Event, EventHandler, counted, ignore
from huggingtweets.generation import bots
from huggingtweets.nn import devices, language_model, likelihood
from huggingtweets.pipeline import small_bots
from huggingtweets.sources import ReadOptions
from huggingtweets.storage import files, run_folder, versions
from huggingtweets.training import Interrupt, Recipe, TrainingTask, fit
from huggingtweets.updating.new_posts import NewPosts, TrainingPosts, halves, split_again
from huggingtweets.updating.options import UpdateOptions
from huggingtweets.updating.reading import curation_options, read_new, since

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.curation import Curated
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.sources import Confirm
    from huggingtweets.storage.run_folder import RunFolder, RunRecord
    from huggingtweets.training import TrainingResult

_LEAST_GAIN = 1e-4
"""In bits per byte; less is rounding."""

_RATE = 0.5
"""Of the learning rate with which the bot was trained (docs/research/updating.md)."""


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The outcome of an update.

    Attributes:
        run: the run folder.
        version: number of the current version.
        before: number of the version that was current before.
        new_posts: new posts that curation kept.
        edited: posts of the run that their author changed; they count as new ones, too.
        learnt: posts trained on that the bot didn't know; some new ones are held out at first.
        replayed: posts trained on that the bot knew.
        judged_on: number of held-out posts that judged.
        old: their bits per byte with the old bot.
        new: the same with the new one.
        seconds: of the whole update.
    """

    run: RunFolder
    version: int
    before: int
    new_posts: int
    edited: int
    learnt: int
    replayed: int
    judged_on: int
    old: float
    new: float
    seconds: float

    @property
    def better(self) -> bool:
        """Whether the new bot was better and is the current one now."""
        return self.version != self.before


def update(
    spec: str | Path,
    options: UpdateOptions | None = None,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
    confirm: Confirm = sources.decline,
    *,
    reading: ReadOptions | None = None,
) -> UpdateResult:
    """Train a bot further on its authors' new posts; keep the better bot, and the older one.

    Args:
        spec: run folder of a finished bot.
        options: options of the update.
        listen: called with every event.
        interrupt: handler of Ctrl-C.
        confirm: called before a source costs money.
        reading: the limits of reading, and who may cancel it; the rest comes from the run.

    Raises:
        InputError: there is nothing new, or a source or the bot can't be used; nothing changed.
        StorageError: another process uses the run.
        Interrupted: stopped by the user; nothing changed.
    """
    run = bots.find_run_folder(spec)
    before = run.record().version
    try:
        with run.locked():
            try:
                job = _Update(
                    run,
                    options or UpdateOptions(),
                    listen,
                    interrupt or Interrupt(),
                    replace(reading or ReadOptions(), confirm=confirm),
                )
                result = job.make()
            finally:
                with suppress(InputError):  # else the next process that locks the run does it
                    versions.remove_leftovers(run.path)
    except (Interrupted, KeyboardInterrupt) as error:
        is_done = run.record().version != before
        state = "the update is done" if is_done else "the bot is as it was"
        raise Interrupted(f"Stopped; {state}.") from error
    config = run.record().config
    if result.better:
        tracker, raw = config.get("track") or "none", bool(config.get("raw_artifacts"))
        with track.following(run, tracker, listen, raw=raw):
            pass
    return result


@dataclass(frozen=True, slots=True)
class _Material:
    """What an update works with: all posts, curated and split, and those that it trains on."""

    found: NewPosts
    left_out: dict[str, int]
    handles: set[str]
    curated: Curated
    kept: pl.DataFrame
    training: TrainingPosts
    new_posts: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """A trained bot beside the one it came from; bits per byte of ``posts`` held-out posts."""

    result: TrainingResult
    device: ComputeDevice
    posts: int
    old: float
    new: float

    @property
    def better(self) -> bool:
        """Whether the new bot is better by more than rounding."""
        return self.new < self.old - _LEAST_GAIN


class _Update:
    """One update of a locked run."""

    def __init__(
        self,
        run: RunFolder,
        options: UpdateOptions,
        listen: EventHandler,
        interrupt: Interrupt,
        reading: ReadOptions,
    ) -> None:
        self.run, self.options, self.listen = run, options, listen
        self.interrupt, self.reading = interrupt, reading
        self.record, self.started = run.record(), time.monotonic()
        check(run, self.record)
        self.number = 1 + max([self.record.version, *versions.numbers(run.path)])
        """Of the version that is made."""

    def make(self) -> UpdateResult:
        """Make the new version, judge it, and keep the better one."""
        material = self._prepare()
        seconds = {"read and curate": round(time.monotonic() - self.started, 2)}
        judged = self._train_and_judge(material)
        if judged.better:
            record = self._next_record(material, judged)
            record.seconds = seconds | {"train": judged.result.seconds}
            self._adopt(record, material)
        else:
            self.record.tried = material.found.fingerprint()
            self.run.save(self.record)
        size = TrainingPosts.size
        return UpdateResult(
            run=self.run,
            version=self.number if judged.better else self.record.version,
            before=self.record.version,
            new_posts=material.new_posts,
            edited=material.found.edited.height,
            learnt=size(material.training.learnt),
            replayed=size(material.training.replayed),
            judged_on=judged.posts,
            old=judged.old,
            new=judged.new,
            seconds=round(time.monotonic() - self.started, 1),
        )

    def _prepare(self) -> _Material:
        """Read, curate and split the posts; there is something to learn."""
        run, record = self.run, self.record
        found, counting = read_new(run, record, self.options, self.listen, self.reading)
        curated = curation.curate(found.posts, curation_options(record.config))
        before = run.table("kept")
        kept = split_again(curated.kept, before, record.config)
        training = TrainingPosts.of(kept, before, found, record, self.options.replay)
        changed = pl.concat([found.new, found.edited])
        new_posts = kept.join(changed, on=["author", "id"], how="semi").height
        learnt, replayed = map(training.size, (training.learnt, training.replayed))
        if not (new_posts and learnt):
            why = "can be learnt yet, as all are held out" if new_posts else "is kept by curation"
            raise InputError(
                f"There is nothing new {since(run, self.options)} to learn: of "
                f"{counted(changed.height, 'new post')} none {why}; the bot stays as it is."
            )
        self.listen(Event(stage="curate", counts=curated.counts, masked=curated.masked or None))
        message = (
            f"{counted(new_posts, 'new post')}; training on {counted(learnt, 'post')} that the bot "
            f"didn't know{f' and {replayed:,} that it knew' if replayed else ''}"
        )
        self.listen(Event(stage="train", message=message))
        return _Material(
            found, counting.total, counting.handles, curated, kept, training, new_posts
        )

    def _train_and_judge(self, material: _Material) -> _Judged:
        """Train a copy of the bot; measure both on the newer half of the held-out posts."""
        config, staging = self.record.config, self.run.staging
        device = devices.select_device(config["device"], config["precision"])
        recipe = update_recipe(Recipe(**config["recipe"]))
        small = small_bots.to_train_further(self.run, recipe)
        recipe = small.recipe
        held_out = batching.texts_by_author(material.kept, "held_out", self.record.authors)
        choosing, judging = halves(held_out)
        old = bots.load_from_run(self.run)
        run_folder.check_space(self.run.path, old.parameters, remedy="Free some space.")
        old_bits = likelihood.bits_per_byte(old.to(device), judging)
        del old
        bot = small.load(recipe.attention(device.device))
        files.make_folder(staging.path)
        task = TrainingTask(
            base=bot,
            train=material.training.texts(),
            held_out=choosing,
            recipe=recipe,
            machine=device,
            seed=config["seed"] + self.number,
            checkpoint_file=staging.checkpoint_file,  # for sets of weights; it is never resumed
            checkpoint_seconds=math.inf,
            compiled=config.get("compiled"),
            interrupt=self.interrupt,
            start=small.pairs,
        )
        result = fit(task, self._log)
        shutil.rmtree(staging.checkpoint_file.parent, ignore_errors=True)
        with files.atomic_write_dir(staging.bot) as temporary:
            small.save(bot, result, temporary)
        del bot, task
        saved = language_model.load(staging.bot).to(device)
        new_bits = likelihood.bits_per_byte(saved, judging)
        return _Judged(result, device, len(judging), old_bits, new_bits)

    def _log(self, event: Event) -> None:
        self.run.staging.append_event(event.as_dict())
        self.listen(event)

    def _next_record(self, material: _Material, judged: _Judged) -> RunRecord:
        """Return run.json of the new version."""
        before, curated = self.record, material.curated
        handles = before.handles
        if handles is not None:
            handles = [a for a in before.authors if a in {*handles, *material.handles}]
        return replace(
            before,
            config=_with_sources(before.config, self.options.sources),
            counts=curated.counts,
            counts_by_author=curated.counts_by_author,
            left_out=self._left_out(material.left_out),
            handles=handles,
            chats=sorted({*before.chats, *sources.chats_in(material.found.posts)}),
            masked=None if before.masked is None else curated.masked,
            versions=devices.package_versions(),
            machine=judged.device.as_dict(),
            result=judged.result.record(),
            state="trained",
            version=self.number,
            tried=None,
            update={
                "from_version": before.version,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "new_posts": material.new_posts,
                "edited": material.found.edited.height,
                "replayed": TrainingPosts.size(material.training.replayed),
                "judged_on": judged.posts,
                "old": round(judged.old, 6),
                "new": round(judged.new, 6),
            },
        )

    def _left_out(self, now: dict[str, int]) -> dict[str, int]:
        """Return what the sources left out: own ones were read anew, given ones add to that."""
        if not self.options.sources:
            return now
        total = Counter(self.record.left_out)
        total.update(now)
        return dict(total)

    def _adopt(self, record: RunRecord, material: _Material) -> None:
        """Complete the new version, measure it, and make it the current one."""
        run, staging, started = self.run, self.run.staging, time.monotonic()
        options = curation_options(record.config)
        staging.replace_table("posts", curation.without_masked(material.found.posts, options))
        dropped = curation.without_masked(material.curated.dropped, options)
        staging.replace_table("dropped", dropped)
        staging.replace_table("kept", material.kept)
        staging.save(record)
        for file in (run.published_file, run.track_file):  # the card names both
            if file.is_file():
                copy = staging.path / file.relative_to(run.path)
                files.write_text(copy, file.read_text("utf-8"))
        pipeline.evaluate_locked(staging, self._log)
        record.state = "done"
        record.seconds["evaluate"] = round(time.monotonic() - started, 2)
        staging.save(record)
        versions.exchange(run.path, staging.path, self.record.version)
        for number in versions.numbers(run.path)[: -self.options.keep]:
            versions.discard(run.versions()[number].path)


def check(run: RunFolder, record: RunRecord) -> None:
    """Check that a bot can be updated.

    Raises:
        BotError: it was merged, isn't finished, or learnt posts that were deleted since.
    """
    if record.merged:
        raise BotError(
            f"{run.path} was merged from other bots, so it can't be updated itself. Update those, "
            f"then merge them again: huggingtweets {run.renewal()}"
        )
    if record.forgotten:
        raise BotError(
            f"{run.path} learnt posts that were deleted since, which an update can't undo. Train "
            f"it again first: huggingtweets {run.renewal()}"
        )
    if record.state != "done":
        raise BotError(
            f"{run.path} is not finished ({record.state}). Resume it with: "
            f"huggingtweets train --resume {run.path}"
        )


def update_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of an update: the bot's own, slower, with a way back to the old weights."""
    augment = "none" if recipe.augment == "paraphrase" else recipe.augment
    rate = recipe.learning_rate * _RATE
    return replace(recipe, way_back=True, augment=augment, learning_rate=rate)


def _with_sources(config: Mapping[str, Any], given: Sequence[str | Path]) -> dict[str, Any]:
    """Add the given sources, so that opting out and deleting find them.

    The next update doesn't read them again, unless the bot was trained from them.
    """
    paths = [str(Path(s).absolute()) if Path(s).exists() else str(s) for s in given]
    added = list(config.get("update_sources", ()))
    new = [path for path in dict.fromkeys(paths) if path not in config["sources"]]
    if not new:
        return dict(config)
    return dict(config) | {
        "sources": [*config["sources"], *new],
        "update_sources": [*added, *new],
    }
