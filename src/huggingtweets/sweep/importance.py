"""Importance of each hyper-parameter for the held-out loss, by two methods, with warnings.

The random forest is the method of the original HuggingTweets: a regression of the loss on the
hyper-parameters, with the reduction of the squared error by each one's splits. fANOVA (Hutter et
al. 2014, implemented in Optuna) is the share of the loss's variance over the whole space that each
one explains alone. The author explains most of the loss but can't be chosen, so author effects are
removed first.
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
"""Rule of thumb for regressions; with fewer trials the order is not reproducible."""

_MIN_R2 = 0.3  # under which the forest is not trusted
_MIN_TRIALS = 4  # under which neither method runs
_TREES = 200


@dataclass(frozen=True)
class Importance:
    """The importance of each hyper-parameter.

    Attributes:
        random_forest: each varied field's share; they add up to 1. Empty if there are too few
            trials.
        fanova: the same, by fANOVA.
        trials: number of trials used.
        out_of_bag_r2: how well the forest predicts trials it wasn't trained on: 1 is perfect, 0 no
            better than their mean; None if there is no forest.
        warnings: reasons to doubt the result.
    """

    random_forest: Mapping[str, float]
    fanova: Mapping[str, float]
    trials: int
    out_of_bag_r2: float | None
    warnings: tuple[str, ...]


def importance(
    rows: Sequence[Row], parts: Mapping[tuple[str, int], float], space: Space
) -> Importance:
    """Compute the importance of each hyper-parameter.

    Args:
        rows: finished trials.
        parts: trial effects, see :func:`~.trials.remove_author_effects`.
        space: the search space; trials outside it are left out.
    """
    used = [r for r in rows if (r.stage, r.trial) in parts and _inside(r.recipe, space)]
    target = [parts[row.stage, row.trial] for row in used]
    varied = space.varied
    if len(used) < _MIN_TRIALS or max(target) - min(target) < 1e-9:
        warning = (
            f"{len(used)} trials are too few to compute importance; at least {_MIN_TRIALS} with "
            "different losses are needed."
        )
        return Importance({}, {}, len(used), None, (warning,))
    forest, r2 = _forest(used, target, varied)
    fanova = _fanova(used, target, space)
    return Importance(
        forest, fanova, len(used), r2, tuple(_warnings(len(used), forest, fanova, r2))
    )


def _warnings(
    trials: int, forest: Mapping[str, float], fanova: Mapping[str, float], r2: float
) -> list[str]:
    warnings = []
    recommended = TRIALS_PER_PARAMETER * len(forest)
    if trials < recommended:
        warnings.append(
            f"{trials} trials are few for {len(forest)} hyper-parameters. A reproducible order "
            f"needs about {recommended} ({TRIALS_PER_PARAMETER} for each)."
        )
    if r2 < _MIN_R2:
        how = "no better than their mean does" if r2 <= 0 else "badly"
        warnings.append(
            f"The forest predicts unseen trials {how} (out-of-bag R² {r2:.2f}; 1 is perfect), so "
            "its importances may be chance."
        )
    if fanova and max(forest, key=forest.__getitem__) != max(fanova, key=fanova.__getitem__):
        warnings.append("The two methods disagree on the most important hyper-parameter.")
    return warnings


def _forest(
    rows: Sequence[Row], target: Sequence[float], varied: Mapping[str, Range | Choice]
) -> tuple[dict[str, float], float]:
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    table = np.array([[_number(f, row.recipe[n]) for n, f in varied.items()] for row in rows])
    # a trial with more authors says more about its recipe
    weights = np.array([len(row.bits_per_byte) for row in rows], dtype=float)
    forest = RandomForestRegressor(_TREES, oob_score=True, random_state=0, n_jobs=1)
    forest.fit(table, np.array(target), sample_weight=weights)
    shares = forest.feature_importances_.tolist()
    return _sorted(dict(zip(varied, shares, strict=True))), float(forest.oob_score_)


def _fanova(rows: Sequence[Row], target: Sequence[float], space: Space) -> dict[str, float]:
    """Run Optuna's fANOVA on a study in memory with the same numbers."""
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
    """Whether a recipe lies in the space; the default recipe need not."""
    for name, field in space.varied.items():
        value = recipe[name]
        if isinstance(field, Choice):
            if value not in field.values:
                return False
        elif not field.low <= value <= field.high:
            return False
    return True


def _number(field: Range | Choice, value: Any) -> float:  # noqa: ANN401 - a recipe's
    """Return a value as a number for the forest, which uses only the order."""
    if isinstance(field, Choice):
        is_numeric = all(isinstance(v, int | float) for v in field.values)
        return float(value) if is_numeric else float(field.values.index(value))
    return math.log(value) if field.log else float(value)
