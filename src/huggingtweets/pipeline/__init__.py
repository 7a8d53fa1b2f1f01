"""The pipeline: all stages of a run, in order.

    read → curate → split → train → save the bot → likeness report → picture → card

Each stage saves its result in the run folder, so an interrupted run resumes from there.
"""

from __future__ import annotations

import gc
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import augmentation, deletion, evaluation, publish, sources, track
from huggingtweets.curation import CurationOptions
from huggingtweets.data import batching
from huggingtweets.errors import (
    BotError,
    HuggingTweetsError,
    Interrupted,
)
from huggingtweets.evaluation import HumanJudgements, sense
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.generation import bots
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn import bases, devices, language_model
from huggingtweets.pipeline import small_bots
from huggingtweets.pipeline.options import DEFAULT_OUT, TrainOptions
from huggingtweets.pipeline.preparing import (
    Specs,
    as_list,
    curate_posts,
    prepare,
    read_and_prepare,
    read_posts,
    reading_of,
)
from huggingtweets.privacy import opt_out
from huggingtweets.sources import ReadOptions
from huggingtweets.storage import files, run_folder
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import Interrupt, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.curation import Curated
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.sources import Confirm
    from huggingtweets.storage.run_folder import RunRecord

__all__ = [
    "DEFAULT_OUT",
    "TrainOptions",
    "add_human",
    "curate",
    "evaluate",
    "prepare",
    "resume",
    "train",
]


def train(
    specs: Specs,
    options: TrainOptions | None = None,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
    confirm: Confirm = sources.decline,
    *,
    reading: ReadOptions | None = None,
) -> RunFolder:
    """Make a bot from one or several sources.

    Args:
        specs: files, folders or accounts.
        options: options of the run.
        listen: called with every event.
        interrupt: handler of Ctrl-C.
        confirm: called before a source costs money.
        reading: the limits of reading, and who may cancel it; the rest comes from ``options``.

    Raises:
        InputError: a source, the base or an option can't be used; no run folder is created.
        TrainingError: training failed; ``run.json`` holds the error.
        Interrupted: stopped by the user; :func:`resume` continues.
    """
    options = options or TrainOptions()
    options = replace(options, track=track.choose(options.track))
    if options.base == bases.POCKET and (message := bases.missing_weights()):
        listen(Event(stage="read", message=message))
    reading = reading_of(options, confirm, reading)
    run = read_and_prepare(as_list(specs), options, listen, reading)
    return _run_remaining_stages(run, listen, interrupt)


def resume(
    path: Path | str, listen: EventHandler = ignore, interrupt: Interrupt | None = None
) -> RunFolder:
    """Continue an interrupted run from its last checkpoint.

    A run whose posts were deleted by their author starts over on the posts left.

    Raises:
        BotError: there is no such run, or it is finished.
        OptedOutError: an author asked not to be imitated.
    """
    run = RunFolder(run_folder.named(Path(path)))
    record = run.record()
    opt_out.check_run(record)
    if record.state == "done" and not record.forgotten:
        raise BotError(f"{path} is finished; there is nothing to resume.")
    if record.merged and record.forgotten:
        raise BotError(
            f"{path} was merged from other bots and is out of date. Train them again, then merge "
            f"them again: huggingtweets {run.renewal()}"
        )
    return _run_remaining_stages(run, listen, interrupt)


def curate(
    specs: Specs,
    options: CurationOptions | None = None,
    reading: ReadOptions | None = None,
    listen: EventHandler = ignore,
) -> Curated:
    """Run only the first two stages; nothing is written.

    Args:
        specs: files, folders or accounts.
        options: options of curation.
        reading: options of reading.
        listen: called with every event.

    Raises:
        SourceError: a source can't be read.
    """
    posts, read = read_posts(as_list(specs), reading or ReadOptions(), listen)
    return curate_posts(posts, read.total, options or CurationOptions(), listen)


def evaluate(where: RunFolder | Path | str, listen: EventHandler = ignore) -> LikenessReport:
    """Measure the bot of a run and write its likeness report, picture and card.

    Raises:
        BotError: the run has no bot or its posts are gone.
        BaseModelError: the base that the bot is compared with can't be loaded.
        StorageError: the run is in use by another process.
    """
    run = where if isinstance(where, RunFolder) else bots.find_run_folder(where)
    with run.locked():
        return evaluate_locked(run, listen)


def evaluate_locked(run: RunFolder, listen: EventHandler = ignore) -> LikenessReport:
    """Do the same for a run that this process has locked, or for a version that it makes."""
    record = run.record()
    bot = bots.load_from_run(run)
    kept = run.table("kept")
    held_out = batching.texts_by_author(kept, "held_out", record.authors)
    if record.merged:  # all that one bot held out may be what another learnt
        held_out = {author: posts for author, posts in held_out.items() if posts}
    if not held_out or not all(held_out.values()):
        raise BotError(
            f"All held-out posts of {run.path} were deleted by their author. "
            f"Train it again: huggingtweets train --resume {run.path}"
        )
    device = devices.select_device(record.config["device"], record.config["precision"])
    result = evaluation.measure(
        bot.to(device),
        language_model.load(record.config["base"]).to(device),
        batching.texts_by_author(kept, "train", record.authors),
        held_out,
        base_bits=_bits_of_base(record),
        load_judge=partial(sense.load_judge, device),
        history=record.result.get("history", ()),
        seed=record.config["seed"],
        listen=listen,
    )
    report = replace(result.report, human=_read_human(run))
    _write_report(run, report, result.generations, held_out)
    writer = bots.with_copy_index(bot.to(device), run).writer(Sampling(seed=record.config["seed"]))
    listen(Event(stage="evaluate", message="picture of a generated post"))
    publish.write_picture(run, writer)  # before the card, which shows it
    publish.write_card(run, record)
    return report


def _bits_of_base(record: RunRecord) -> dict[str, float] | None:
    """What the base needed for the held-out posts when training began; None if that isn't known."""
    history = record.result.get("history", ())
    from_base = not (record.merged or record.update or record.forgotten)
    if not (from_base and len(record.authors) == 1 and history and history[0]["step"] == 0):
        return None
    return {record.authors[0]: history[0]["held_out_bits_per_byte"]}


def add_human(run: RunFolder, human: HumanJudgements) -> LikenessReport:
    """Add the answers of a quiz to a run's likeness report.

    Raises:
        BotError: there is no report yet, or a file of the run is damaged.
        StorageError: the run is in use by another process.
    """
    with run.locked():
        earlier, record = _read_human(run), run.record()
        human = earlier + human if earlier else human
        report = replace(publish.read_report(run), human=human)
        held_out = batching.texts_by_author(run.table("kept"), "held_out", record.authors)
        try:
            generations = files.read_json(run.generations_file)
        except (OSError, ValueError) as error:
            raise BotError(
                f"{run.generations_file} is missing or damaged. Recreate it with: "
                f"huggingtweets evaluate {run.path}"
            ) from error
        files.write_json(run.human_file, asdict(human))
        _write_report(run, report, generations, held_out)
    return report


def _read_human(run: RunFolder) -> HumanJudgements | None:
    """Read the answers of earlier quizzes."""
    try:
        return HumanJudgements(**files.read_json(run.human_file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise BotError(f"{run.human_file} is damaged. Delete it.") from error


def _write_report(
    run: RunFolder,
    report: LikenessReport,
    generations: list[str],
    held_out: dict[str, list[str]],
) -> None:
    real = [text for texts in held_out.values() for text in texts]
    names = run.record().names
    page = evaluation.render(report, generations, real, publish.title(names), names)
    files.write_json(run.report_json, report.to_json())
    files.write_json(run.generations_file, generations)
    files.write_text(run.report_page, page)


def _run_remaining_stages(
    run: RunFolder, listen: EventHandler, interrupt: Interrupt | None
) -> RunFolder:
    """Run the stages that aren't done yet and save the final state in ``run.json``."""

    def log(event: Event) -> None:
        run.append_event(event.as_dict())
        listen(event)

    config = run.record().config
    tracker, raw = config.get("track") or "none", bool(config.get("raw_artifacts"))
    with run.locked(), track.following(run, tracker, listen, raw=raw):
        try:
            deletion.start_over(run)
            if run.record().state != "trained":
                _train(run, log, interrupt or Interrupt())
                gc.collect()
                devices.trim_heap()  # the report loads three models
            with _timed_stage(run, "evaluate"):
                report = evaluate_locked(run, log)
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(str(error) or "Stopped.", run.path) from error
        except HuggingTweetsError as error:
            if error.exit_code == 1:
                _update(run, state="failed", error=str(error))
            raise
        result = run.record().result or {"best": report.bits_per_byte.bot}
        _update(run, state="done", error=None, result=result)
    return run


def _train(run: RunFolder, listen: EventHandler, interrupt: Interrupt) -> None:
    """Fine-tune and save the bot, then delete the checkpoint."""
    from huggingtweets.training import TrainingTask, fit

    record = run.record()
    config, kept = record.config, run.table("kept")
    recipe = Recipe(**config["recipe"])
    device = devices.select_device(config["device"], config["precision"])
    held_out = batching.texts_by_author(kept, "held_out", record.authors)
    base = language_model.load(config["base"], attention=recipe.attention(device.device))
    digest = base.digest() if recipe.adapter != "none" else ""
    train = batching.texts_by_author(kept, "train", record.authors)
    _update(run, state="training", error=None)
    if config.get("plan") and record.state == "prepared":
        listen(Event(stage="train", message=config["plan"]))
    counts: dict[str, int] = {}
    if recipe.augment == "paraphrase":
        added = augmentation.paraphrases(
            base, train, run.paraphrases_file, device, seed=config["seed"], listen=listen
        )
        counts = {"paraphrases": sum(map(len, added.values()))}
        train = {author: posts + added[author] for author, posts in train.items()}
    task = TrainingTask(
        base=base,
        train=list(train.values()),
        held_out=[text for texts in held_out.values() for text in texts],
        recipe=recipe,
        machine=device,
        seed=config["seed"],
        checkpoint_file=run.checkpoint_file,
        checkpoint_seconds=config["checkpoint_seconds"],
        compiled=config.get("compiled"),
        interrupt=interrupt,
    )
    result = fit(task, listen)
    with files.atomic_write_dir(run.bot) as temporary:
        small_bots.save(task.base, result, config["base"], digest, temporary)
    record = run.record()
    record.state, record.result = "trained", result.record() | counts
    record.forgotten, record.forgotten_at = 0, None
    record.update, record.shrunk = {}, {}  # it was trained from the base
    record.seconds["train"] = result.seconds
    run.save(record)
    shutil.rmtree(run.checkpoint_file.parent, ignore_errors=True)


def _update(run: RunFolder, **values: Any) -> None:  # noqa: ANN401 - fields of RunRecord
    record = run.record()
    for name, value in values.items():
        setattr(record, name, value)
    run.save(record)


@contextmanager
def _timed_stage(run: RunFolder, stage: str) -> Iterator[None]:
    """Store the duration of a stage in ``run.json``."""
    seconds: dict[str, float] = {}
    with _timed(seconds, stage):
        yield
    _update(run, seconds=run.record().seconds | seconds)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 2)
