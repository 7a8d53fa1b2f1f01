"""The trials of a sweep as plain rows, for reports.

A trial has an objective only once it has evaluated all authors. To compare incomplete trials,
:func:`remove_author_effects` splits each value into an author effect and a trial effect, because
some authors are easier than others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.sweep import study
from huggingtweets.sweep.folder import outcomes_of, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from huggingtweets.sweep.folder import Settings

State = Literal["complete", "pruned", "failed"]

_ITERATIONS = 200  # of alternating means; each at least halves the error


@dataclass(frozen=True)
class Row:
    """One finished trial.

    Attributes:
        trial: number in its study.
        stage: ``first``, or ``narrow`` for the search in the best region.
        state: ``complete``; ``pruned`` if it could no longer win; ``failed`` if the loss became
            NaN or too many workers crashed.
        objective: objective over all authors; None if the trial is not complete.
        recipe: all fields of the recipe.
        bits_per_byte: of each evaluated author.
        curves: for each of these, pairs of epoch and held-out bits per byte.
        seconds: training time of all authors.
        default: whether it is the default recipe.
        why: reason why it is not complete, or None.
    """

    trial: int
    stage: str
    state: State
    objective: float | None
    recipe: Mapping[str, Any]
    bits_per_byte: Mapping[str, float]
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0
    default: bool = False
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "trial": self.trial,
            "stage": self.stage,
            "state": self.state,
            "objective": self.objective,
            "default": self.default,
            "recipe": {k: v for k, v in self.recipe.items() if k not in ("name", "precision")},
            "bits_per_byte": dict(self.bits_per_byte),
            "curves": {author: [list(p) for p in points] for author, points in self.curves.items()},
            "seconds": round(self.seconds, 1),
            "why": self.why,
        }


@dataclass(frozen=True)
class Trials:
    """All trials of a sweep, of both stages.

    Attributes:
        rows: finished trials, in the order they were started.
        counts: numbers of complete, pruned, failed, retried, running and queued trials.
    """

    rows: tuple[Row, ...]
    counts: Mapping[str, int]

    @property
    def complete(self) -> list[Row]:
        """The complete trials, the best first."""
        done = [row for row in self.rows if row.objective is not None]
        return sorted(done, key=lambda row: (row.objective, row.stage, row.trial))

    @property
    def default(self) -> Row | None:
        """The trial of the default recipe, if it is complete."""
        return next((row for row in self.complete if row.default), None)


def read_trials(settings: Settings, storage: optuna.storages.BaseStorage) -> Trials:
    """Read the trials of a sweep, which may be running.

    Args:
        settings: settings of the sweep.
        storage: storage of its studies.
    """
    import optuna

    names = set(optuna.get_all_study_names(storage))
    rows: list[Row] = []
    counts = dict.fromkeys(("complete", "pruned", "failed", "retried", "running", "queued"), 0)
    for stage, name in (("first", settings.name), ("narrow", settings.name + study.NARROW)):
        if name not in names:
            continue
        for trial in optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False):
            if "from" in trial.user_attrs:  # a copy from the first stage
                continue
            row = _row(trial, stage)
            if row is not None:
                rows.append(row)
            counts[row.state if row else _STATES[trial.state.name]] += 1
    return Trials(tuple(rows), counts)


_STATES = {"FAIL": "retried", "RUNNING": "running", "WAITING": "queued"}


def _row(trial: optuna.trial.FrozenTrial, stage: str) -> Row | None:
    """Return a finished trial as a row; None if it isn't finished or was queued again."""
    attributes = trial.user_attrs
    if not study.is_over(trial) or "recipe" not in attributes:
        return None
    outcomes = outcomes_of(trial)
    values = values_of(trial)
    state: State = "complete" if trial.state.name == "COMPLETE" else "pruned"
    if "given_up" in attributes or len(values) < len(outcomes):
        state = "failed"
    return Row(
        trial=trial.number,
        stage=stage,
        state=state,
        objective=trial.value if state == "complete" else None,
        recipe=attributes["recipe"],
        bits_per_byte=values,
        curves={author: _curve(outcomes[author]["history"]) for author in values},
        seconds=sum(float(outcome.get("seconds") or 0) for outcome in outcomes.values()),
        default=bool(attributes.get("default")),
        why=attributes.get("ended"),
    )


def _curve(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Return pairs of epoch and held-out bits per byte; epoch 0 is the untouched base."""
    return [
        (int(point["epoch"]), float(point["held_out_bits_per_byte"]))
        for point in history
        if point.get("held_out_bits_per_byte") is not None
    ]


def remove_author_effects(rows: Sequence[Row]) -> dict[tuple[str, int], float]:
    """Compute each trial's effect on bits per byte, without the effect of its authors.

    Fits value = author + trial by least squares, with alternating means. So a trial that was pruned
    after three hard authors isn't considered bad.

    Returns:
        By stage and number, the effect in bits per byte over the lowest, which is 0.
    """
    values = {(row.stage, row.trial): row.bits_per_byte for row in rows if row.bits_per_byte}
    trials = dict.fromkeys(values, 0.0)
    for _ in range(_ITERATIONS):
        authors: dict[str, list[float]] = {}
        for key, by_author in values.items():
            for author, value in by_author.items():
                authors.setdefault(author, []).append(value - trials[key])
        effects = {author: sum(parts) / len(parts) for author, parts in authors.items()}
        trials = {
            key: sum(v - effects[author] for author, v in by_author.items()) / len(by_author)
            for key, by_author in values.items()
        }
    lowest = min(trials.values(), default=0.0)
    return {key: effect - lowest for key, effect in trials.items()}
