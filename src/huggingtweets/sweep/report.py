"""What a sweep found, as numbers and as a page: ``report/sweep.json`` and ``report/sweep.html``.

Made from the study alone, as often as one likes, also while the sweep goes on. No post goes in.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, InputError
from huggingtweets.storage import files
from huggingtweets.sweep import objective, study
from huggingtweets.sweep.folder import SweepFolder, load_optuna
from huggingtweets.sweep.importance import importance
from huggingtweets.sweep.search_space import Choice, Space, space_of
from huggingtweets.sweep.trials import Row, Trials, read_trials, remove_author_effects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.sweep.folder import Settings
    from huggingtweets.sweep.objective import Objective

REGION = 0.1
"""Share of the complete trials whose recipes span the best region; at least three do."""


def write_report(path: Path, storage: str | None = None) -> dict[str, Any]:
    """Make the report of a sweep.

    Args:
        path: the sweep's folder.
        storage: the address with its password, where the sweep is kept in a database.

    Returns:
        What ``report/sweep.json`` then holds, see :func:`report_of`.

    Raises:
        BotError: there is no sweep, or none of its trials is over.
        StorageError: the report can't be written.
    """
    load_optuna()
    folder = SweepFolder(path)
    settings = folder.settings()
    trials = read_trials(settings, folder.storage(settings, storage))
    if not trials.rows:
        raise BotError(f"No trial of {path} is over yet, so there is nothing to report.")
    report = report_of(settings, trials)
    from huggingtweets.sweep import page as sweep_page

    page = sweep_page.render(report)
    files.write_json(folder.path / "report" / "sweep.json", report)
    files.write_text(folder.path / "report" / "sweep.html", page)
    return report


def report_of(settings: Settings, trials: Trials) -> dict[str, Any]:
    """What a sweep's trials say, as plain values.

    Args:
        settings: of the sweep.
        trials: of both its stages.

    Returns:
        ``sweep`` (name, authors, objective, base, posts, holdout, space), ``counts`` of trials,
        ``trials`` (:class:`~.sweep_trials.Row`, with its ``part`` of the loss in bits per byte),
        ``best`` and ``default`` (a trial's number, or None), ``gain`` (share that the best
        objective is under the default's, and of each author's bits per byte), ``importance``
        (shares by ``random_forest`` and ``fanova``), ``trust`` in it, ``region``, ``own_best``,
        ``impatience``.
    """
    space = space_of(settings.space)
    judged_by = objective.checked(settings.objective)
    parts = remove_author_effects(trials.rows)
    told = importance(trials.rows, parts, space)
    best = trials.complete[0] if trials.complete else None
    return {
        "sweep": {
            "name": settings.name,
            "authors": settings.authors,
            "objective": settings.objective,
            "base": Path(settings.base).name,  # paths hold people's names
            "posts": settings.posts,
            "holdout": settings.holdout,
            "seed": settings.seed,
            "space": settings.space,
        },
        "counts": dict(trials.counts),
        "trials": [row.as_json() | {"part": parts.get(_key(row))} for row in trials.rows],
        "best": _name(best),
        "default": _name(trials.default),
        "gain": _gain(best, trials.default),
        "importance": {"random_forest": dict(told.random_forest), "fanova": dict(told.fanova)},
        "trust": {
            "trials": told.trials,
            "out_of_bag_r2": told.out_of_bag_r2,
            "warnings": list(told.warnings),
        },
        "region": _region(trials.complete, space),
        "own_best": _own_best(settings.authors, trials),
        "impatience": _impatience(judged_by, settings.authors, trials),
    }


def _key(row: Row) -> tuple[str, int]:
    return row.stage, row.trial


def _name(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {"stage": row.stage, "trial": row.trial}


def _gain(best: Row | None, default: Row | None) -> dict[str, Any] | None:
    """By how much the best recipe is under the default one, as shares."""
    if best is None or default is None or best.objective is None or default.objective is None:
        return None
    now, before = best.bits_per_byte, default.bits_per_byte
    return {
        "objective": 1 - best.objective / default.objective,
        "authors": {author: 1 - now[author] / before[author] for author in before},
    }


def _region(complete: Sequence[Row], space: Space) -> dict[str, Any]:
    """Where the best trials lie, field by field."""
    count = max(study.FEWEST_TO_NARROW, math.ceil(REGION * len(complete)))
    best = complete[:count]
    fields: dict[str, dict[str, Any]] = {}
    for name, field in space.varied.items() if best else ():
        values = [row.recipe[name] for row in best]
        if isinstance(field, Choice):
            fields[name] = {
                "searched": list(field.values),
                "best": [value for value in field.values if value in values],
            }
        else:
            fields[name] = {
                "searched": [field.low, field.high],
                "best": [min(values), max(values)],
                "log": field.log,
            }
    return {"trials": [_name(row) for row in best], "fields": fields}


def _own_best(authors: Sequence[str], trials: Trials) -> list[dict[str, Any]]:
    """Each author's own best recipe, and how far the shared best one is from it.

    The one who would gain most by a recipe of their own comes first.
    """
    shared = trials.complete[0] if trials.complete else None
    default = trials.default
    found: list[dict[str, Any]] = []
    for author in authors:
        met = [row for row in trials.rows if author in row.bits_per_byte]
        if not met:
            continue
        own = min(met, key=lambda row: row.bits_per_byte[author])
        lowest = own.bits_per_byte[author]
        found.append(
            {
                "author": author,
                "own": lowest,
                "trial": _name(own),
                "recipe": own.as_json()["recipe"],
                "trials": len(met),
                "shared": shared.bits_per_byte[author] if shared else None,
                "default": default.bits_per_byte[author] if default else None,
                "distance": shared.bits_per_byte[author] / lowest - 1 if shared else None,
            }
        )
    return sorted(found, key=lambda one: -(one["distance"] or 0))


def _impatience(
    judged_by: Objective, authors: Sequence[str], trials: Trials
) -> dict[str, list[dict[str, Any]]]:
    """What is lost by training shorter.

    ``curves``: the objective of every complete trial after each of its epochs, the best so far, as
    the best weights are kept. ``allowed``: the best objective of all recipes with so many epochs or
    fewer, the fairer comparison: cutting a long training leaves its learning rate high.
    """
    curves = [
        {**(_name(row) or {}), "default": row.default, "points": _course(judged_by, authors, row)}
        for row in trials.complete
    ]
    allowed: list[dict[str, Any]] = []
    for epochs in sorted({row.recipe["epochs"] for row in trials.complete}):
        shorter = [row for row in trials.complete if row.recipe["epochs"] <= epochs]
        best = shorter[0]
        exactly = [row.seconds for row in trials.complete if row.recipe["epochs"] == epochs]
        allowed.append(
            {
                "epochs": epochs,
                "trials": len(exactly),
                "objective": best.objective,
                **(_name(best) or {}),
                "cost": (best.objective or 0) / (trials.complete[0].objective or 1) - 1,
                "seconds": round(statistics.median(exactly) / len(authors), 1),
            }
        )
    return {"curves": curves, "allowed": allowed}


def _course(judged_by: Objective, authors: Sequence[str], row: Row) -> list[list[float]]:
    """Epoch and objective; an author whose training ended early stays at its best."""
    last = max((epoch for points in row.curves.values() for epoch, _ in points), default=0)
    course = []
    for epoch in range(last + 1):
        lowest = [_lowest_until(row.curves.get(author, []), epoch) for author in authors]
        if all(math.isfinite(value) for value in lowest):
            course.append([epoch, objective.judge(judged_by, lowest)])
    return course


def _lowest_until(points: Sequence[tuple[int, float]], epoch: int) -> float:
    return min((value for at, value in points if at <= epoch), default=math.inf)


def latest(path: Path | None) -> Path:
    """The folder that was named, or ``sweep`` where none was.

    Raises:
        InputError: none was, and there is no sweep at ``sweep``.
    """
    if path is not None:
        return path
    from huggingtweets.sweep.sweep import DEFAULT_OUT

    if not SweepFolder(DEFAULT_OUT).settings_file.is_file():
        raise InputError(f"There is no sweep in {DEFAULT_OUT}; name its folder.")
    return DEFAULT_OUT
