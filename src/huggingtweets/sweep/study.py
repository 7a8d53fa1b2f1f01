"""The Optuna studies of a sweep: open, narrow, requeue trials of dead processes."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.sweep.folder import AUTHOR
from huggingtweets.sweep.search_space import Choice, Range, Space, space_of

if TYPE_CHECKING:
    import optuna

    from huggingtweets.sweep.folder import Settings

NARROW = "-narrow"
"""Suffix of the name of the study of the best region."""

FEWEST_TO_NARROW = 3
_KEPT_ON_RETRY = ("order", "default", "crashes")
_STALE_SECONDS = 300.0  # five missed heartbeats; clocks of machines may differ by a minute


def open_study(
    storage: optuna.storages.BaseStorage, settings: Settings, space: Space
) -> optuna.Study:
    """Open the first study, or create it with the default recipe as the first trial.

    Raises:
        InputError: the storage has a study of that name with other settings.
    """
    import optuna

    study = optuna.create_study(
        study_name=settings.name, storage=storage, load_if_exists=True, direction="minimize"
    )
    _check_same(study, settings)
    if "settings" not in study.user_attrs:
        study.enqueue_trial(
            space.default(settings.base_width), {"default": True}, skip_if_exists=True
        )
        _describe(study, settings, space)
    return study


def open_narrow(
    storage: optuna.storages.BaseStorage, settings: Settings, share: float
) -> optuna.Study:
    """Open the study of the best region, or create it from the first study's best trials.

    Args:
        storage: storage of both studies.
        settings: settings of the sweep.
        share: share of the first study's complete trials that span the region; at least three.

    Raises:
        InputError: the first study has too few trials, or the region has another share.
    """
    import optuna

    first = optuna.load_study(study_name=settings.name, storage=storage)
    study = optuna.create_study(
        study_name=settings.name + NARROW,
        storage=storage,
        load_if_exists=True,
        direction="minimize",
    )
    _check_same(study, settings)
    if "settings" in study.user_attrs:
        earlier = study.user_attrs["narrowed"]["share"]
        if earlier != share:
            raise InputError(
                f"This sweep was already narrowed to the best {earlier:g} of its trials. Continue "
                f"it with --narrow {earlier:g}, or start another sweep with --out."
            )
        return study
    best = best_trials(first, share)
    space = space_of_study(first).narrowed([{**t.user_attrs["recipe"]} for t in best])
    study.add_trials(_trials_in(first, space))
    study.set_user_attr("narrowed", {"share": share, "trials": [t.number for t in best]})
    _describe(study, settings, space)
    return study


def space_of_study(study: optuna.Study) -> Space:
    """Return the search space of a study."""
    return space_of(study.user_attrs["space"])


def best_trials(study: optuna.Study, share: float) -> list[optuna.trial.FrozenTrial]:
    """Return the best share of a study's complete trials, at least three, the best first.

    Raises:
        InputError: there are fewer than three.
    """
    complete = sorted(complete_trials(study), key=lambda trial: (trial.value, trial.number))
    if len(complete) < FEWEST_TO_NARROW:
        raise InputError(
            f"--narrow needs {FEWEST_TO_NARROW} complete trials and the first sweep has "
            f"{len(complete)}. Continue it without --narrow first."
        )
    return complete[: max(FEWEST_TO_NARROW, math.ceil(share * len(complete)))]


def complete_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that have evaluated all authors."""
    import optuna

    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def is_over(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial of this study is finished; copies from the first study don't count."""
    if "from" in trial.user_attrs:
        return False
    finished = trial.state.name in ("COMPLETE", "PRUNED")
    return finished or "given_up" in trial.user_attrs


def requeue_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
    """Queue an abandoned trial again, with the results of the authors it has evaluated.

    Returns:
        Whether it was queued; False if another process has finished it meanwhile.
    """
    import optuna

    try:
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        return False
    if trial.params.keys() == space_of_study(study).varied.keys():
        kept = {
            key: value
            for key, value in trial.user_attrs.items()
            if key in _KEPT_ON_RETRY or key.startswith(AUTHOR)
        }
        study.enqueue_trial(trial.params, kept | {"retry_of": trial.number})
    return True


def requeue_stale(study: optuna.Study, owner: str, mine: set[int], *, starting: bool) -> int:
    """Queue trials of dead processes again.

    Args:
        study: the study.
        owner: id of this sweep folder, which only one process uses at a time.
        mine: numbers of the trials that this process is running.
        starting: whether this process runs no trial yet, so that running trials of this folder
            were left by a dead process.

    Returns:
        The number of queued trials.
    """
    import optuna

    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    stale = [
        trial
        for trial in running
        if trial.number not in mine
        and ((starting and trial.user_attrs.get("owner") == owner) or _is_stale(trial))
    ]
    return sum(requeue_trial(study, trial) for trial in stale)


def _is_stale(trial: optuna.trial.FrozenTrial) -> bool:
    start = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get("beat", start)) > _STALE_SECONDS


def _check_same(study: optuna.Study, settings: Settings) -> None:
    """Check that a study has the same authors and settings."""
    stored = study.user_attrs.get("settings")
    if stored is None:
        return
    expected = settings.shared()
    if different := sorted(key for key in expected if stored.get(key) != expected[key]):
        raise InputError(
            f"The storage has a sweep {settings.name!r} with another {', '.join(different)}. "
            "Choose another --out; the name of its folder is the sweep's name."
        )


def _describe(study: optuna.Study, settings: Settings, space: Space) -> None:
    study.set_user_attr("space", space.as_json())
    study.set_user_attr("owner", settings.owner)
    study.set_user_attr("settings", settings.shared())  # last: marks the study as complete


def _trials_in(first: optuna.Study, space: Space) -> list[optuna.trial.FrozenTrial]:
    """Return copies of the first study's complete trials in the region, for the second study.

    With them, the second study can prune from its first trial on.
    """
    import optuna

    trials = []
    for trial in complete_trials(first):
        recipe: dict[str, Any] = trial.user_attrs["recipe"]
        if not all(_contains(field, recipe[name]) for name, field in space.fields.items()):
            continue
        with suppress(ValueError):
            trials.append(
                optuna.trial.create_trial(
                    params={name: recipe[name] for name in space.varied},
                    distributions=space.distributions(),
                    value=trial.value,
                    user_attrs=dict(trial.user_attrs) | {"from": trial.number},
                )
            )
    return trials


def _contains(field: Range | Choice | float | str, value: Any) -> bool:  # noqa: ANN401 - a field's
    if isinstance(field, Range):
        return bool(field.low <= value <= field.high)
    if isinstance(field, Choice):
        return value in field.values
    return bool(field == value)
