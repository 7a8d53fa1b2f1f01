"""Which hyper-parameter decides the held-out loss, by two methods, and whether to believe them.

The random forest is what the original read its sweeps with: a regression of the loss on the
hyper-parameters, and how much each one's splits lower its squared error. fANOVA (Hutter et al.
2014, Optuna's) asks the same of the whole space: how much of the loss's variance each one explains
alone. The author (the original's handle) explains most of all, and nobody can choose it; so its
part is taken out of the loss first and it gets no share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huggingtweets.sweep.search_space import Choice, Range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from huggingtweets.sweep.search_space import Space
    from huggingtweets.sweep.trials import Row

TRIALS_PER_PARAMETER = 10
"""The rule of thumb for a regression; with fewer, another sweep may well give another order."""

_TRUSTED_R2 = 0.3
_FEWEST = 4  # trials, under which neither method is asked
_TREES = 200


@dataclass(frozen=True)
class Importance:
    """How much each hyper-parameter decides.

    Attributes:
        random_forest: each varied field's share; they add up to 1. Empty where there are too few
            trials for any answer.
        fanova: the same, by fANOVA.
        trials: that both have learnt from.
        out_of_bag_r2: how well the forest foresees trials it hasn't learnt from: 1 is perfectly, 0
            no better than their mean; None where there is no forest.
        warnings: why not to believe it.
    """

    random_forest: Mapping[str, float]
    fanova: Mapping[str, float]
    trials: int
    out_of_bag_r2: float | None
    warnings: tuple[str, ...]


def importance(
    rows: Sequence[Row], parts: Mapping[tuple[str, int], float], space: Space
) -> Importance:
    """Tell what decides.

    Args:
        rows: trials that are over.
        parts: each one's own part of its loss, see :func:`~.sweep_trials.levels_out`.
        space: that they were drawn from; trials outside it are left out.
    """
    used = [r for r in rows if (r.stage, r.trial) in parts and _inside(r.recipe, space)]
    target = [parts[row.stage, row.trial] for row in used]
    varied = space.varied
    if len(used) < _FEWEST or max(target) - min(target) < 1e-9:
        why = f"{len(used)} trials with a loss are too few to tell anything"
        return Importance({}, {}, len(used), None, (f"{why}; it takes {_FEWEST} different ones.",))
    forest, r2 = _forest(used, target, varied)
    fanova = _fanova(used, target, space)
    return Importance(
        forest, fanova, len(used), r2, tuple(_warnings(len(used), forest, fanova, r2))
    )


def _warnings(
    trials: int, forest: Mapping[str, float], fanova: Mapping[str, float], r2: float
) -> list[str]:
    found = []
    wanted = TRIALS_PER_PARAMETER * len(forest)
    if trials < wanted:
        found.append(
            f"{trials} trials are few for {len(forest)} hyper-parameters; about {wanted} "
            f"({TRIALS_PER_PARAMETER} for each) make an order that would come again."
        )
    if r2 < _TRUSTED_R2:
        how = "no better than their mean" if r2 <= 0 else "badly"
        found.append(
            f"The forest foresees trials it hasn't seen {how} (out-of-bag R² {r2:.2f}; 1 is "
            "perfect), so what it holds for important may be chance."
        )
    if fanova and max(forest, key=forest.__getitem__) != max(fanova, key=fanova.__getitem__):
        found.append("The two methods disagree on what decides most.")
    return found


def _forest(
    rows: Sequence[Row], target: Sequence[float], varied: Mapping[str, Range | Choice]
) -> tuple[dict[str, float], float]:
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    table = np.array([[_number(f, row.recipe[n]) for n, f in varied.items()] for row in rows])
    # a trial that came to more authors says more about its recipe
    weights = np.array([len(row.bits_per_byte) for row in rows], dtype=float)
    forest = RandomForestRegressor(_TREES, oob_score=True, random_state=0, n_jobs=1)
    forest.fit(table, np.array(target), sample_weight=weights)
    shares = forest.feature_importances_.tolist()
    return _sorted(dict(zip(varied, shares, strict=True))), float(forest.oob_score_)


def _fanova(rows: Sequence[Row], target: Sequence[float], space: Space) -> dict[str, float]:
    """Optuna's, on a study in memory that holds the same numbers."""
    import optuna

    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: row.recipe[name] for name in space.varied},
                distributions=space.distributions(),
                value=value,
            )
            for row, value in zip(rows, target, strict=True)
        ]
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES // 4, seed=0)
    try:
        return _sorted(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except RuntimeError:  # no variance in any tree
        return {}


def _sorted(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _inside(recipe: Mapping[str, Any], space: Space) -> bool:
    """Whether a recipe could have been drawn; the default recipe need not lie in the space."""
    for name, field in space.varied.items():
        value = recipe[name]
        if isinstance(field, Choice):
            if value not in field.values:
                return False
        elif not field.low <= value <= field.high:
            return False
    return True


def _number(field: Range | Choice, value: Any) -> float:  # noqa: ANN401 - a recipe's
    """A value as the forest sees it; trees only ask for the order."""
    if isinstance(field, Choice):
        plain = all(isinstance(v, int | float) for v in field.values)
        return float(value) if plain else float(field.values.index(value))
    return math.log(value) if field.log else float(value)
