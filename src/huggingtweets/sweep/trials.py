"""A sweep's trials as plain rows: what every report about it starts from.

A trial is judged by the objective only once it came to all authors. To compare it with others
before that, each author's own level has to be taken out, as some are easier than others:
:func:`remove_author_effects` splits every value into an author's part and a trial's part.
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

_SWEEPS = 200  # of the alternating means; each halves what is left, or better


@dataclass(frozen=True)
class Row:
    """One trial that is over.

    Attributes:
        trial: its number in its study.
        stage: ``first``, or ``narrow`` for the sweep in the best region.
        state: ``pruned`` ones couldn't win any more, ``failed`` ones have no loss any more or lost
            their workers too often.
        objective: of all authors' bits per byte; None where it didn't come to all of them.
        recipe: all its fields.
        bits_per_byte: of every author that it got to.
        curves: for each of these, held-out bits per byte after so many epochs.
        seconds: spent training, over all authors.
        default: whether it is the recipe that ``train`` uses unless told otherwise.
        why: it didn't complete.
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
        """As plain values."""
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
        rows: those that are over, in the order they were begun.
        counts: complete, pruned, failed, cut and tried again, running, queued.
    """

    rows: tuple[Row, ...]
    counts: Mapping[str, int]

    @property
    def complete(self) -> list[Row]:
        """Those that came to all authors, the best first."""
        done = [row for row in self.rows if row.objective is not None]
        return sorted(done, key=lambda row: (row.objective, row.stage, row.trial))

    @property
    def default(self) -> Row | None:
        """The default recipe's trial, once it is complete."""
        return next((row for row in self.complete if row.default), None)


def read_trials(settings: Settings, storage: optuna.storages.BaseStorage) -> Trials:
    """Read a sweep's trials; it may be running meanwhile.

    Args:
        settings: of the sweep.
        storage: of its studies.
    """
    import optuna

    names = set(optuna.get_all_study_names(storage))
    rows: list[Row] = []
    counts = dict.fromkeys(("complete", "pruned", "failed", "retried", "running", "queued"), 0)
    for stage, name in (("first", settings.name), ("narrow", settings.name + study.NARROW)):
        if name not in names:
            continue
        for trial in optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False):
            if "from" in trial.user_attrs:  # one of the first stage, there to be beaten
                continue
            row = _row(trial, stage)
            if row is not None:
                rows.append(row)
            counts[row.state if row else _SHOWN[trial.state.name]] += 1
    return Trials(tuple(rows), counts)


_SHOWN = {"FAIL": "retried", "RUNNING": "running", "WAITING": "queued"}


def _row(trial: optuna.trial.FrozenTrial, stage: str) -> Row | None:
    """A trial that is over; None for one that isn't or was given out again."""
    known = trial.user_attrs
    if not study.is_over(trial) or "recipe" not in known:
        return None
    outcomes = outcomes_of(trial)
    values = values_of(trial)
    state: State = "complete" if trial.state.name == "COMPLETE" else "pruned"
    if "given_up" in known or len(values) < len(outcomes):
        state = "failed"
    return Row(
        trial=trial.number,
        stage=stage,
        state=state,
        objective=trial.value if state == "complete" else None,
        recipe=known["recipe"],
        bits_per_byte=values,
        curves={author: _curve(outcomes[author]["history"]) for author in values},
        seconds=sum(float(outcome.get("seconds") or 0) for outcome in outcomes.values()),
        default=bool(known.get("default")),
        why=known.get("ended"),
    )


def _curve(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Held-out bits per byte at the end of each epoch; at 0 the untouched base."""
    return [
        (int(point["epoch"]), float(point["held_out_bits_per_byte"]))
        for point in history
        if point.get("held_out_bits_per_byte") is not None
    ]


def remove_author_effects(rows: Sequence[Row]) -> dict[tuple[str, int], float]:
    """Each trial's own part of its bits per byte: what is left once the authors' part is out.

    Least squares of value = author + trial, found by taking means in turn. So a trial that was
    stopped after three hard authors isn't taken for a bad one.

    Returns:
        By stage and number, bits per byte over the lowest, which is 0.
    """
    values = {(row.stage, row.trial): row.bits_per_byte for row in rows if row.bits_per_byte}
    trials = dict.fromkeys(values, 0.0)
    for _ in range(_SWEEPS):
        authors: dict[str, list[float]] = {}
        for key, of_trial in values.items():
            for author, value in of_trial.items():
                authors.setdefault(author, []).append(value - trials[key])
        level = {author: sum(parts) / len(parts) for author, parts in authors.items()}
        trials = {
            key: sum(v - level[author] for author, v in of_trial.items()) / len(of_trial)
            for key, of_trial in values.items()
        }
    lowest = min(trials.values(), default=0.0)
    return {key: part - lowest for key, part in trials.items()}
