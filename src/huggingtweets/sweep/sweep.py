"""A sweep over recipes: each trial trains one recipe on every author.

    sources → curate, split, store → trials (ask → train each author → tell) → the best recipe

:func:`sweep` starts or resumes one. :mod:`huggingtweets.sweep.folder` describes its files, and
:mod:`huggingtweets.sweep.loop` how trials are run and pruned.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.events import EventHandler, ignore
from huggingtweets.nn import bases, devices, language_model
from huggingtweets.privacy import opt_out
from huggingtweets.sources import ReadOptions
from huggingtweets.storage import files
from huggingtweets.sweep import objective, search_space, workers
from huggingtweets.sweep import study as sweep_study
from huggingtweets.sweep.folder import (
    Settings,
    SweepFolder,
    load_optuna,
    redacted_storage_url,
    values_of,
)
from huggingtweets.training import Interrupt
from huggingtweets.workers import check as check_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import optuna

    from huggingtweets.sweep.loop import SweepProgress
    from huggingtweets.sweep.search_space import Space

DEFAULT_OUT = Path("sweep")
DEFAULT_TRIALS = 50


def _ignore(step: SweepProgress) -> None:
    del step


@dataclass(frozen=True)
class SweepOptions:
    """Options of :func:`sweep`.

    Attributes:
        space: the search space.
        objective: what to minimise over authors: robust, mean, median or worst.
        base: the base.
        holdout: share of each author's posts to hold out.
        posts: most training posts of each author, the newest; None for all.
        seed: seed of the trainings and of the search.
        out: the sweep folder.
        storage: a journal file or an SQL address; None for a journal in the folder.
        trials: total number of trials; None for no limit.
        minutes: time limit of this session; None for no limit.
        workers: ``local:N``, ``ray`` or ``ray://HOST:PORT``.
        narrow: search the region of this share of the first sweep's trials, the best; None for
            the whole space.
        speaker: whose messages are the posts, for exports of chats.
        join: whether messages of a chat that follow each other within two minutes are one post.
        keep_names: whether the names of the other people of a chat stay in the posts.
    """

    space: Space = field(default_factory=lambda: search_space.DEFAULT)
    objective: str = "robust"
    base: str = language_model.POCKET
    holdout: float = 0.2
    posts: int | None = None
    seed: int = 0
    out: Path = DEFAULT_OUT
    storage: str | None = None
    trials: int | None = None
    minutes: float | None = None
    workers: str = "local:1"
    narrow: float | None = None
    speaker: str | None = None
    join: bool = False
    keep_names: bool = False

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {expected}, not {value}"
            for name, value, expected, is_valid in (
                ("--holdout", self.holdout, "over 0 and under 1", 0 < self.holdout < 1),
                ("--posts", self.posts, "1 or more", self.posts is None or self.posts > 0),
                ("--trials", self.trials, "1 or more", self.trials is None or self.trials > 0),
                ("--minutes", self.minutes, "over 0", self.minutes is None or self.minutes > 0),
                ("--seed", self.seed, "from 0 to 2^63 - 1", 0 <= self.seed < 2**63),
                (
                    "--narrow",
                    self.narrow,
                    "over 0 and at most 1",
                    self.narrow is None or 0 < self.narrow <= 1,
                ),
            )
            if not is_valid
        ]
        if faults:
            raise InputError("; ".join(faults) + ".")
        objective.checked(self.objective)


@dataclass(frozen=True)
class SweepResult:
    """The result of a session.

    Attributes:
        folder: the sweep folder.
        study: name of the study.
        stopped: whether the user stopped it.
        result: see :func:`result_of`.
    """

    folder: SweepFolder
    study: str
    stopped: bool
    result: dict[str, Any]


def sweep(
    specs: Sequence[str | Path],
    options: SweepOptions | None = None,
    listen: EventHandler = ignore,
    tell: Callable[[SweepProgress], None] = _ignore,
    interrupt: Interrupt | None = None,
) -> SweepResult:
    """Start a sweep, or resume the one in ``options.out``.

    Args:
        specs: sources of the authors' posts; empty to resume.
        options: options of the sweep.
        listen: called with every event of reading.
        tell: called with every progress update of the sweep.
        interrupt: handler of Ctrl-C.

    Raises:
        InputError: an option or source can't be used; no folder is created.
        TrainingError: the workers can't train.
    """
    options = options or SweepOptions()
    load_optuna()
    check_workers(options.workers)
    folder = SweepFolder(options.out)
    if folder.settings_file.is_file():
        settings = folder.settings()
        opt_out.check(settings.authors)
        if settings.forgotten:
            raise InputError(
                f"{settings.forgotten:,} posts of {options.out} were deleted by their authors "
                "since it started, so new trials wouldn't be comparable with earlier ones. Start "
                "another sweep with --out; `sweep report` still works for this one."
            )
        if specs:
            _check_unchanged(settings, specs, options)
        elif (
            options.storage is not None
            and redacted_storage_url(options.storage) != settings.storage
        ):
            raise InputError(
                f"{options.out} is stored in {settings.storage}, not in that --storage."
            )
    else:
        settings = _prepare(folder, specs, options, listen)
    with files.locked(folder.path):
        return _run_session(folder, settings, options, tell, interrupt or Interrupt())


def _prepare(
    folder: SweepFolder, specs: Sequence[str | Path], options: SweepOptions, listen: EventHandler
) -> Settings:
    """Read the posts and check the options, then create the folder."""
    from huggingtweets.sweep.posts import fingerprint, read_authors

    if not specs:
        raise InputError(f"{folder.path} has no sweep yet. Name the AUTHORS of a new one.")
    if options.narrow is not None:
        raise InputError(f"--narrow needs a first sweep, and {folder.path} has none yet.")
    storage = redacted_storage_url(options.storage)
    posts = read_authors(
        specs,
        holdout=options.holdout,
        newest=options.posts,
        reading=ReadOptions(
            speaker=options.speaker, join=options.join, keep_names=options.keep_names
        ),
        listen=listen,
    )
    width = language_model.load(options.base).width
    options.space.default(width)  # raises before the folder is created
    device = devices.select_device()
    settings = Settings(
        name=folder.path.absolute().name,
        sources=_absolute(specs),
        authors=posts["author"].unique(maintain_order=True).to_list(),
        fingerprint=fingerprint(posts),
        space=options.space.as_json(),
        objective=options.objective,
        base=options.base if options.base in bases.BUILT_IN else _absolute([options.base])[0],
        base_width=width,
        holdout=options.holdout,
        posts=options.posts,
        seed=options.seed,
        device=device.device,
        precision=device.precision,
        storage=storage,
        speaker=options.speaker,
        join=options.join,
        keep_names=options.keep_names,
    )
    if "://" in storage:  # raises before the folder is created
        folder.storage(settings, options.storage)
    folder.create(settings, posts)
    return settings


def _check_unchanged(
    settings: Settings, specs: Sequence[str | Path], options: SweepOptions
) -> None:
    """Check that the options are those that the sweep was started with."""
    base = options.base if options.base in bases.BUILT_IN else _absolute([options.base])[0]
    compared = {
        "AUTHORS": (_absolute(specs), settings.sources),
        "--space": (options.space.as_json(), settings.space),
        "--objective": (options.objective, settings.objective),
        "--base": (base, settings.base),
        "--holdout": (options.holdout, settings.holdout),
        "--posts": (options.posts, settings.posts),
        "--seed": (options.seed, settings.seed),
        "--from": (options.speaker, settings.speaker),
        "--join": (options.join, settings.join),
        "--keep-names": (options.keep_names, settings.keep_names),
        "--storage": (redacted_storage_url(options.storage), settings.storage),
    }
    if changed := [name for name, (now, saved) in compared.items() if now != saved]:
        raise InputError(
            f"{options.out} has a sweep that was started with another {', '.join(changed)}. "
            f"Resume it with --resume {options.out}, or choose another --out."
        )


def _absolute(specs: Sequence[str | Path]) -> list[str]:
    return [str(Path(s).absolute()) if Path(s).exists() else str(s) for s in specs]


def _run_session(
    folder: SweepFolder,
    settings: Settings,
    options: SweepOptions,
    tell: Callable[[SweepProgress], None],
    interrupt: Interrupt,
) -> SweepResult:
    from huggingtweets.sweep.loop import Limit, Loop

    storage = folder.storage(settings, options.storage)
    study = sweep_study.open_study(storage, settings, search_space.space_of(settings.space))
    if options.narrow is not None:
        study = sweep_study.open_narrow(storage, settings, options.narrow)
    trials = options.trials
    if trials is None and options.minutes is None:
        trials = DEFAULT_TRIALS
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    with closing(workers.open_workers(options.workers, folder.authors_file)) as pool:
        stopped = Loop(study, settings, pool, tell, interrupt).run(Limit(trials, until))
    return SweepResult(folder, study.study_name, stopped, result_of(study, settings, storage))


def result_of(
    study: optuna.Study, settings: Settings, storage: optuna.storages.BaseStorage
) -> dict[str, Any]:
    """Summarise a study as plain values.

    Returns:
        ``trials`` (numbers of complete, pruned, failed and queued ones), ``best`` and ``default``
        (None, or trial number, objective, recipe, bits per byte of each author and their mean) and
        ``gain`` (relative reduction of the default recipe's objective).
    """
    import optuna

    trials = [t for t in study.get_trials(deepcopy=False) if "from" not in t.user_attrs]
    first = optuna.load_study(study_name=settings.name, storage=storage)
    complete = sorted(
        sweep_study.complete_trials(study), key=lambda trial: (trial.value, trial.number)
    )
    default = next(
        (t for t in sweep_study.complete_trials(first) if t.user_attrs.get("default")), None
    )
    states = [trial.state.name for trial in trials]
    best = _as_dict(complete[0], settings) if complete else None
    baseline = _as_dict(default, settings) if default else None
    return {
        "study": study.study_name,
        "objective": settings.objective,
        "authors": settings.authors,
        "trials": {
            "complete": states.count("COMPLETE"),
            "pruned": states.count("PRUNED"),
            "failed": sum("given_up" in trial.user_attrs for trial in trials),
            "queued": states.count("WAITING"),
        },
        "best": best,
        "default": baseline,
        "gain": 1 - best["objective"] / baseline["objective"] if best and baseline else None,
    }


def _as_dict(trial: optuna.trial.FrozenTrial, settings: Settings) -> dict[str, Any]:
    values = values_of(trial)
    return {
        "trial": trial.number,
        "objective": trial.value,
        "recipe": trial.user_attrs["recipe"],
        "bits_per_byte": {author: values[author] for author in settings.authors},
        "mean": statistics.fmean(values.values()),
    }


def resume(
    folder: Path,
    options: SweepOptions,
    tell: Callable[[SweepProgress], None] = _ignore,
    interrupt: Interrupt | None = None,
) -> SweepResult:
    """Resume a sweep with the settings it was started with.

    Args:
        folder: the sweep folder.
        options: only ``trials``, ``minutes``, ``workers``, ``narrow`` and a storage password are
            used.
        tell: called with every progress update.
        interrupt: handler of Ctrl-C.

    Raises:
        BotError: there is no sweep in the folder.
    """
    SweepFolder(folder).settings()
    return sweep([], replace(options, out=folder), tell=tell, interrupt=interrupt)
