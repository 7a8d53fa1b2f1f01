"""The stages in order, and nothing else.

    read → curate → split → train → save the bot → likeness report → picture → card

Each stage leaves its result in the run folder, so a run that was stopped goes on from there.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets import curation, deletion, evaluation, publish, sources, track
from huggingtweets.curation import CurationOptions
from huggingtweets.data import batching
from huggingtweets.errors import (
    BotError,
    HuggingTweetsError,
    InputError,
    Interrupted,
    StorageError,
)
from huggingtweets.evaluation import HumanJudgements
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.generation import bots
from huggingtweets.generation.writer import Sampling
from huggingtweets.nn import bases, devices, language_model
from huggingtweets.sources import ReadOptions
from huggingtweets.storage import files, run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord
from huggingtweets.training import RECIPES, Interrupt, Recipe, TrainingTask, budget, fit, layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from huggingtweets.curation import Curated
    from huggingtweets.data.batching import SplitRule
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.sources import Confirm

DEFAULT_OUT = Path("runs")
DEFAULT_MINUTES = 5.0
Specs = str | Path | Sequence[str | Path]
"""One source or several."""


@dataclass(frozen=True)
class TrainOptions:
    """What the user may choose; everything has a default.

    Attributes:
        base: a built-in one (:mod:`huggingtweets.nn.bases`), a model folder, a GGUF file or a
            Hub id.
            The default is the first built-in one whose weights are on this machine.
        recipe: hyper-parameters.
        minutes: that the whole run may take; layers, posts and epochs are chosen so that it does.
            None takes 5 where the recipe leaves the epochs open, else there is no limit.
        name: of the run folder; None takes the authors' handles.
        out: folder that holds the runs.
        seed: decides the order of posts, dropout and the report's generations.
        holdout: share of each author's posts that are only measured, over 0 and under 1.
        split: ``newest`` or ``random`` posts are held out.
        curation: what is dropped and cleaned.
        text_column: column with the text, for tables whose column isn't found.
        speaker: the one whose messages are posts, for exports of chats.
        author: the name of the one whose posts all sources are; None takes each source's own.
        i_am_the_author: read accounts although they ask not to be read.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest there is.
        precision: ``bf16``, ``fp32`` or None for the recipe's or the machine's.
        compiled: whether to use ``torch.compile``; None where it pays.
        checkpoint_seconds: at most so much training is lost when the process dies.
        forget: posts to leave out, as lines of :mod:`huggingtweets.privacy.deleted_posts`.
        track: ``trackio``, ``wandb``, ``none`` or None for trackio where it is installed.
        raw_artifacts: whether posts go to the tracker; None sends them to trackio only.
    """

    base: str = field(default_factory=bases.default)
    recipe: Recipe = field(default_factory=lambda: RECIPES["fast"])
    minutes: float | None = None
    name: str | None = None
    out: Path = DEFAULT_OUT
    seed: int = 0
    holdout: float = 0.1
    split: SplitRule = "newest"
    curation: CurationOptions = field(default_factory=CurationOptions)
    text_column: str | None = None
    speaker: str | None = None
    author: str | None = None
    i_am_the_author: bool = False
    device: str | None = None
    precision: str | None = None
    compiled: bool | None = None
    checkpoint_seconds: float = 30.0
    forget: frozenset[str] = frozenset()
    track: str | None = None
    raw_artifacts: bool | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.holdout < 1:
            faults.append(f"--holdout must be over 0 and under 1, not {self.holdout}")
        if self.split not in ("newest", "random"):
            faults.append(f"--split must be newest or random, not {self.split!r}")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            faults.append(f"--minutes must be over 0, not {self.minutes}")
        if not self.checkpoint_seconds > 0:
            faults.append(f"--checkpoint-seconds must be over 0, not {self.checkpoint_seconds}")
        if not 0 <= self.seed < 2**63:
            faults.append(f"--seed must be from 0 to 2^63 - 1, not {self.seed}")
        if self.name is not None and not re.fullmatch(r"[\w][\w.+-]{0,99}", self.name):
            faults.append(f"--name must be letters, digits and . _ + - only, not {self.name!r}")
        if faults:
            raise InputError("; ".join(faults) + ".")


def train(
    specs: Specs,
    options: TrainOptions | None = None,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
    confirm: Confirm = sources.decline,
) -> RunFolder:
    """Make a bot from one or several sources.

    Args:
        specs: files, folders or accounts.
        options: everything that may be chosen.
        listen: is told every event.
        interrupt: what Ctrl-C does.
        confirm: is asked before a source costs money.

    Raises:
        InputError: a source, the base or an option can't be used; no run folder is left behind.
        TrainingError: training failed; the run folder says so.
        Interrupted: stopped by the user; :func:`resume` goes on.
    """
    options = options or TrainOptions()
    options = replace(options, track=track.choose(options.track))
    made = _prepare(_as_list(specs), options, listen, confirm)
    return _run_remaining_stages(made, listen, interrupt)


def resume(
    path: Path | str, listen: EventHandler = ignore, interrupt: Interrupt | None = None
) -> RunFolder:
    """Go on with a run that was stopped, from its last checkpoint.

    A run whose posts were deleted by their author starts over on those that are left.

    Raises:
        BotError: there is no such run, or it is done.
    """
    found = RunFolder(Path(path))
    record = found.record()
    if record.state == "done" and not record.forgotten:
        raise BotError(f"{path} is done; there is nothing to resume.")
    return _run_remaining_stages(found, listen, interrupt)


def curate(
    specs: Specs,
    options: CurationOptions | None = None,
    reading: ReadOptions | None = None,
    listen: EventHandler = ignore,
) -> Curated:
    """The first two stages alone; nothing is written.

    Args:
        specs: files, folders or accounts.
        options: what is dropped and cleaned.
        reading: how the sources are read.
        listen: is told every event.

    Raises:
        SourceError: a source can't be read.
    """
    posts = _read(_as_list(specs), reading or ReadOptions(), listen)
    return _curate(posts, options or CurationOptions(), listen)


def evaluate(where: RunFolder | Path | str, listen: EventHandler = ignore) -> LikenessReport:
    """Make the likeness report of a run from what is on disk, and write it there.

    Raises:
        BotError: the run has no bot or its posts are gone.
        BaseModelError: the base it is compared with can't be loaded.
    """
    found = where if isinstance(where, RunFolder) else bots.find_run_folder(where)
    record = found.record()
    bot = bots.load_from_run(found)
    kept = found.table("kept")
    held_out = batching.texts_by_author(kept, "held_out", record.authors)
    if not all(held_out.values()):
        raise BotError(
            f"All posts that {found.path} was to be judged by were deleted by their author; "
            f"train it again: huggingtweets train --resume {found.path}"
        )
    used = devices.select_device(record.config["device"], record.config["precision"])
    measured = evaluation.measure(
        bot.to(used),
        language_model.load(record.config["base"]).to(used),
        batching.texts_by_author(kept, "train", record.authors),
        held_out,
        history=record.result.get("history", ()),
        seed=record.config["seed"],
        listen=listen,
    )
    report = replace(measured.report, human=_human(found))
    _write_report(found, report, measured.generations, held_out)
    writer = bots.with_copy_index(bot.to(used), found).writer(Sampling(seed=record.config["seed"]))
    listen(Event(stage="evaluate", message="a picture of what it writes"))
    publish.write_picture(found, writer)  # before the card, which shows it
    publish.write_card(found, record)
    return report


def add_human(found: RunFolder, human: HumanJudgements) -> LikenessReport:
    """Put what people said in a quiz into a run's likeness report, beside what was said before.

    Raises:
        BotError: there is no report yet, or a part of the run is damaged.
        StorageError: another process works on the run.
    """
    with found.locked():
        before, record = _human(found), found.record()
        human = before + human if before else human
        report = replace(publish.read_report(found), human=human)
        held_out = batching.texts_by_author(found.table("kept"), "held_out", record.authors)
        try:
            generations = json.loads(found.generations_file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BotError(
                f"{found.generations_file} is missing or damaged; make it anew with: "
                f"huggingtweets evaluate {found.path}"
            ) from error
        files.write_json(found.human_file, asdict(human))
        _write_report(found, report, generations, held_out)
    return report


def _human(found: RunFolder) -> HumanJudgements | None:
    """What people said of the bot so far."""
    try:
        return HumanJudgements(**json.loads(found.human_file.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise BotError(f"{found.human_file} is damaged; delete it.") from error


def _write_report(
    found: RunFolder,
    report: LikenessReport,
    generations: list[str],
    held_out: dict[str, list[str]],
) -> None:
    real = [text for texts in held_out.values() for text in texts]
    title = publish.title(report.authors)
    files.write_json(found.report_json, report.to_json())
    files.write_json(found.generations_file, generations)
    files.write_text(found.report_page, evaluation.render(report, generations, real, title))


def _as_list(specs: Specs) -> Sequence[str | Path]:
    return [specs] if isinstance(specs, str | Path) else specs


def _read(specs: Sequence[str | Path], reading: ReadOptions, listen: EventHandler) -> pl.DataFrame:
    listen(Event(stage="read", message=", ".join(str(spec) for spec in specs)))
    return sources.read_posts(specs, replace(reading, listen=listen))


def _reading(options: TrainOptions, confirm: Confirm) -> ReadOptions:
    return ReadOptions(
        text_column=options.text_column,
        speaker=options.speaker,
        author=options.author,
        i_am_the_author=options.i_am_the_author,
        forget=options.forget,
        confirm=confirm,
    )


def _curate(posts: pl.DataFrame, options: CurationOptions, listen: EventHandler) -> Curated:
    curated = curation.curate(posts, options)
    listen(Event(stage="curate", counts=curated.counts))
    return curated


def _prepare(
    specs: Sequence[str | Path],
    options: TrainOptions,
    listen: EventHandler,
    confirm: Confirm = sources.decline,
) -> RunFolder:
    """Read, curate and split, check all that can be checked, then make the run folder."""
    if options.name:
        _check_free(RunFolder(options.out / options.name))
    started = time.monotonic()
    where = devices.select_device(options.device, options.precision or options.recipe.precision)
    seconds: dict[str, float] = {}
    with _timed(seconds, "read and curate"):
        posts = _read(specs, _reading(options, confirm), listen)
        curated = _curate(posts, options.curation, listen)
        if warning := batching.text_amount_warning(curated.kept):
            listen(Event(stage="curate", message=warning))
        kept = batching.split(
            curated.kept, holdout=options.holdout, rule=options.split, seed=options.seed
        )
    base = language_model.load(options.base, attention=options.recipe.attention(where.device))
    layers.check(base.model, options.recipe.layers or 0)
    free_rate = options.recipe.base_width > 0  # as the recipe has it, not named by the user
    options = replace(options, recipe=options.recipe.for_base(base.width))
    _check_space(options.out, base.parameters)
    minutes, planned = _minutes(options), None
    if minutes is not None:
        listen(Event(stage="read", message="timing a few training steps"))
        left = minutes * 60 - (time.monotonic() - started)
        planned = budget.plan_run(base, kept, options.recipe, where, left, free_rate=free_rate)
        options = replace(options, recipe=planned.recipe)
        kept = batching.with_newest_only(kept, planned.posts)
    read = posts["author"].unique(maintain_order=True)
    authors = read.filter(read.is_in(kept["author"].unique().to_list())).to_list()
    record = RunRecord(
        name=options.name or run_folder.unique_name(options.out, _folder_name(authors)),
        authors=authors,
        config=_config(specs, options, where)
        | {
            "minutes": minutes,
            "train_posts": planned.posts if planned else None,
            "plan": planned.message if planned else None,
        },
        counts=curated.counts,
        counts_by_author=curated.counts_by_author,
        versions=devices.package_versions(),
        machine=where.as_dict(),
        seconds=seconds,
    )
    tables = {"posts": posts, "kept": kept, "dropped": curated.dropped}
    return run_folder.create(options.out, record, tables)


def _minutes(options: TrainOptions) -> float | None:
    """Minutes that a run may take; None for no limit."""
    if options.minutes is None and options.recipe.enough_steps:
        return DEFAULT_MINUTES
    return options.minutes


def _check_free(wanted: RunFolder) -> None:
    """Refuse a name that is taken, before anything is read."""
    if wanted.path.exists():
        unfinished = wanted.record_file.is_file() and wanted.record().state != "done"
        go_on = (
            f", or go on with: huggingtweets train --resume {wanted.path}" if unfinished else "."
        )
        raise StorageError(f"{wanted.path} is already there; choose another --name{go_on}")


def _run_remaining_stages(
    found: RunFolder, listen: EventHandler, interrupt: Interrupt | None
) -> RunFolder:
    """Train and evaluate, whichever is still to be done, with the outcome in ``run.json``."""

    def log(event: Event) -> None:
        found.append_event(event.as_dict())
        listen(event)

    config = found.record().config
    to, raw = config.get("track") or "none", config.get("raw_artifacts")
    with found.locked(), track.following(found, to, listen, raw=raw):
        try:
            deletion.start_over(found)
            if found.record().state != "trained":
                _train(found, log, interrupt or Interrupt())
            with _timed_stage(found, "evaluate"):
                evaluate(found, log)
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(str(error) or "Stopped.", found.path) from error
        except HuggingTweetsError as error:
            if error.exit_code == 1:
                _update(found, state="failed", error=str(error))
            raise
        _update(found, state="done", error=None)
    return found


def _train(found: RunFolder, listen: EventHandler, interrupt: Interrupt) -> None:
    """Fine-tune and save the bot; afterwards the checkpoint is of no more use."""
    record = found.record()
    config, kept = record.config, found.table("kept")
    recipe = Recipe(**config["recipe"])
    where = devices.select_device(config["device"], config["precision"])
    held_out = batching.texts_by_author(kept, "held_out", record.authors)
    task = TrainingTask(
        base=language_model.load(config["base"], attention=recipe.attention(where.device)),
        train=list(batching.texts_by_author(kept, "train", record.authors).values()),
        held_out=[text for texts in held_out.values() for text in texts],
        recipe=recipe,
        machine=where,
        seed=config["seed"],
        checkpoint_file=found.checkpoint_file,
        checkpoint_seconds=config["checkpoint_seconds"],
        compiled=config.get("compiled"),
        interrupt=interrupt,
    )
    _update(found, state="training", error=None)
    if config.get("plan") and record.state == "prepared":
        listen(Event(stage="train", message=config["plan"]))
    trained = fit(task, listen)
    with files.atomic_write_dir(found.bot) as temporary:
        task.base.save(temporary)
    record = found.record()
    record.state, record.result = "trained", asdict(trained)
    record.forgotten, record.forgotten_at = 0, None
    record.seconds["train"] = trained.seconds
    found.save(record)
    shutil.rmtree(found.checkpoint_file.parent, ignore_errors=True)


def _update(found: RunFolder, **values: Any) -> None:  # noqa: ANN401 - fields of Record
    record = found.record()
    for name, value in values.items():
        setattr(record, name, value)
    found.save(record)


@contextmanager
def _timed_stage(found: RunFolder, stage: str) -> Iterator[None]:
    """Put the seconds of a stage into the run's record."""
    seconds: dict[str, float] = {}
    with _timed(seconds, stage):
        yield
    _update(found, seconds=found.record().seconds | seconds)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 2)


def _config(
    specs: Sequence[str | Path], options: TrainOptions, where: devices.ComputeDevice
) -> dict[str, Any]:
    """All options as plain values, with paths made absolute so that a resumed run finds them."""
    values = asdict(options) | {
        "sources": [str(Path(s).absolute()) if Path(s).exists() else str(s) for s in specs],
        "out": str(options.out.absolute()),
        "device": where.device,
        "precision": where.precision,
        "forget": len(options.forget),  # which ones is nothing to keep
    }
    if options.base not in bases.BUILT_IN and Path(options.base).expanduser().exists():
        values["base"] = str(Path(options.base).expanduser().absolute())
    return values


def _check_space(out: Path, parameters: int) -> None:
    """Refuse a run that the disk has no room for before anything is written.

    A checkpoint holds fp32 weights and two moments, 12 bytes a parameter, the best weights take up
    to 4, and both stand twice while they are replaced; base and bot take up to 4 each.
    """
    needed = parameters * (2 * (12 + 4) + 4 + 4)
    existing = next(
        folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists()
    )
    with files.wrap_os_errors(out):
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise StorageError(
            f"Can't write to {out}: the disk is full but for {free / 1e6:,.0f} MB and this run "
            f"needs {needed / 1e6:,.0f} MB; free some space or choose another --out."
        )


def _folder_name(authors: Sequence[str]) -> str:
    """A folder name made of the authors' handles."""
    name = re.sub(r"[^\w.-]+", "_", "+".join(authors).replace("+", "-and-"))
    return name.strip("._-")[:80] or "bot"
