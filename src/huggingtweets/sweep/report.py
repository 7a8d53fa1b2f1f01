"""The report of a sweep: ``report/sweep.json`` and ``report/sweep.html``.

It is made from the study and contains no post. It can also be made while the sweep is running.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, InputError, StorageError
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
"""Share of the complete trials, the best, that span the best region; at least three."""


def write_report(path: Path, storage: str | None = None) -> dict[str, Any]:
    """Write the report of a sweep.

    Args:
        path: the sweep folder.
        storage: SQL address with its password, if the sweep is stored in a database.

    Returns:
        The contents of ``report/sweep.json``, see :func:`report_of`.

    Raises:
        BotError: there is no sweep, or no trial is finished.
        StorageError: the report can't be written, or the sweep's storage is damaged.
    """
    load_optuna()
    folder = SweepFolder(path)
    settings = folder.settings()
    try:
        trials = read_trials(settings, folder.storage(settings, storage))
        if not trials.rows:
            raise BotError(f"No trial of {path} is finished yet, so there is nothing to report.")
        report = report_of(settings, trials)
    except (LookupError, TypeError) as error:  # a readable storage whose trials lack a value
        raise StorageError(
            f"The trials of {path} are damaged ({error}). Start another sweep with --out."
        ) from error
    from huggingtweets.sweep import page as sweep_page

    page = sweep_page.render(report)
    files.write_json(folder.path / "report" / "sweep.json", report)
    files.write_text(folder.path / "report" / "sweep.html", page)
    return report


def report_of(settings: Settings, trials: Trials) -> dict[str, Any]:
    """Compute the report as plain values.

    Args:
        settings: settings of the sweep.
        trials: trials of both stages.

    Returns:
        ``sweep`` (name, authors, objective, base, posts, holdout, space), ``counts`` of trials,
        ``trials`` (:class:`~.trials.Row`, with its effect ``part`` in bits per byte), ``best`` and
        ``default`` (a trial's stage and number, or None), ``gain`` (relative reduction of the
        default's objective, and of each author's bits per byte), ``importance`` (shares by
        ``random_forest`` and ``fanova``), ``trust`` in it, ``region``, ``own_best``,
        ``impatience`` (cost of early stopping).
    """
    space = space_of(settings.space)
    objective_name = objective.checked(settings.objective)
    parts = remove_author_effects(trials.rows)
    importances = importance(trials.rows, parts, space)
    best = trials.complete[0] if trials.complete else None
    return {
        "sweep": {
            "name": settings.name,
            "authors": settings.authors,
            "objective": settings.objective,
            "base": Path(settings.base).name,  # paths may contain people's names
            "posts": settings.posts,
            "holdout": settings.holdout,
            "seed": settings.seed,
            "space": settings.space,
        },
        "counts": dict(trials.counts),
        "trials": [row.as_json() | {"part": parts.get(_key(row))} for row in trials.rows],
        "best": _trial_id(best),
        "default": _trial_id(trials.default),
        "gain": _gain(best, trials.default),
        "importance": {
            "random_forest": dict(importances.random_forest),
            "fanova": dict(importances.fanova),
        },
        "trust": {
            "trials": importances.trials,
            "out_of_bag_r2": importances.out_of_bag_r2,
            "warnings": list(importances.warnings),
        },
        "region": _region(trials.complete, space),
        "own_best": _own_best(settings.authors, trials),
        "impatience": _early_stopping_cost(objective_name, settings.authors, trials),
    }


def _key(row: Row) -> tuple[str, int]:
    return row.stage, row.trial


def _trial_id(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {"stage": row.stage, "trial": row.trial}


def _gain(best: Row | None, default: Row | None) -> dict[str, Any] | None:
    """Return the relative reduction of the default recipe's loss by the best recipe."""
    if best is None or default is None or best.objective is None or default.objective is None:
        return None
    now, before = best.bits_per_byte, default.bits_per_byte
    return {
        "objective": 1 - best.objective / default.objective,
        "authors": {author: 1 - now[author] / before[author] for author in before},
    }


def _region(complete: Sequence[Row], space: Space) -> dict[str, Any]:
    """Return the range of each field over the best trials."""
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
    return {"trials": [_trial_id(row) for row in best], "fields": fields}


def _own_best(authors: Sequence[str], trials: Trials) -> list[dict[str, Any]]:
    """Return each author's own best recipe and the excess of the shared best over it.

    The author who would gain most from an own recipe comes first.
    """
    shared = trials.complete[0] if trials.complete else None
    default = trials.default
    result: list[dict[str, Any]] = []
    for author in authors:
        evaluated = [row for row in trials.rows if author in row.bits_per_byte]
        if not evaluated:
            continue
        own = min(evaluated, key=lambda row: row.bits_per_byte[author])
        lowest = own.bits_per_byte[author]
        result.append(
            {
                "author": author,
                "own": lowest,
                "trial": _trial_id(own),
                "recipe": own.as_json()["recipe"],
                "trials": len(evaluated),
                "shared": shared.bits_per_byte[author] if shared else None,
                "default": default.bits_per_byte[author] if default else None,
                "distance": shared.bits_per_byte[author] / lowest - 1 if shared else None,
            }
        )
    return sorted(result, key=lambda row: -(row["distance"] or 0))


def _early_stopping_cost(
    objective_name: Objective, authors: Sequence[str], trials: Trials
) -> dict[str, list[dict[str, Any]]]:
    """Compute the cost of shorter training.

    ``curves``: the objective of each complete trial after each epoch, with each author's best
    weights so far. ``allowed``: the best objective of all recipes with at most that many epochs.
    The second comparison is fairer, because a long training stopped early has a high learning rate.
    """
    curves = [
        {
            **(_trial_id(row) or {}),
            "default": row.default,
            "points": _objective_curve(objective_name, authors, row),
        }
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
                **(_trial_id(best) or {}),
                "cost": (best.objective or 0) / (trials.complete[0].objective or 1) - 1,
                "seconds": round(statistics.median(exactly) / len(authors), 1),
            }
        )
    return {"curves": curves, "allowed": allowed}


def _objective_curve(
    objective_name: Objective, authors: Sequence[str], row: Row
) -> list[list[float]]:
    """Return pairs of epoch and objective; an author who ended early stays at the best value."""
    last = max((epoch for points in row.curves.values() for epoch, _ in points), default=0)
    curve = []
    for epoch in range(last + 1):
        lowest = [_lowest_until(row.curves.get(author, []), epoch) for author in authors]
        if all(math.isfinite(value) for value in lowest):
            curve.append([epoch, objective.judge(objective_name, lowest)])
    return curve


def _lowest_until(points: Sequence[tuple[int, float]], epoch: int) -> float:
    return min((value for when, value in points if when <= epoch), default=math.inf)


def latest(path: Path | None) -> Path:
    """Return ``path``, or the default sweep folder.

    Raises:
        InputError: ``path`` is None and there is no sweep in the default folder.
    """
    if path is not None:
        return path
    from huggingtweets.sweep.sweep import DEFAULT_OUT

    if not SweepFolder(DEFAULT_OUT).settings_file.is_file():
        raise InputError(f"There is no sweep in {DEFAULT_OUT}. Name its folder.")
    return DEFAULT_OUT
