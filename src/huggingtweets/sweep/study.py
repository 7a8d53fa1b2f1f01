"""A sweep's study: opened, narrowed, and its trials given back when their worker is gone."""

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
"""What the study of the best region has behind the first one's name."""

FEWEST_TO_NARROW = 3
_KEPT_ON_RETRY = ("order", "default", "crashes")
_STALE_SECONDS = 300.0  # five beats missed: clocks of several machines may differ by a minute


def open_study(
    storage: optuna.storages.BaseStorage, settings: Settings, space: Space
) -> optuna.Study:
    """Open the first study, or make it with the default recipe as the first trial to be run.

    Raises:
        InputError: the storage holds a study of that name with other settings.
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
    """Open the study of the best region, or make it from the first study's best trials.

    Args:
        storage: of both.
        settings: of the sweep.
        share: of the first study's complete trials that span the region; at least three do.

    Raises:
        InputError: the first study has too few trials, or the region was made with another share.
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
        before = study.user_attrs["narrowed"]["share"]
        if before != share:
            raise InputError(
                f"This sweep was narrowed to the best {before:g} of its trials before; go on with "
                f"--narrow {before:g}, or start another with --out."
            )
        return study
    best = best_trials(first, share)
    space = space_of_study(first).narrowed([{**t.user_attrs["recipe"]} for t in best])
    study.add_trials(_known(first, space))
    study.set_user_attr("narrowed", {"share": share, "trials": [t.number for t in best]})
    _describe(study, settings, space)
    return study


def space_of_study(study: optuna.Study) -> Space:
    """The space that a study's trials are drawn from."""
    return space_of(study.user_attrs["space"])


def best_trials(study: optuna.Study, share: float) -> list[optuna.trial.FrozenTrial]:
    """The best share of a study's complete trials, at least three, the best first.

    Raises:
        InputError: there are fewer.
    """
    complete = sorted(complete_trials(study), key=lambda trial: (trial.value, trial.number))
    if len(complete) < FEWEST_TO_NARROW:
        raise InputError(
            f"The first sweep has {len(complete)} complete trials and --narrow needs "
            f"{FEWEST_TO_NARROW} or more; go on with it without --narrow first."
        )
    return complete[: max(FEWEST_TO_NARROW, math.ceil(share * len(complete)))]


def complete_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to all authors."""
    import optuna

    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def is_over(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial was run in this study and needs no other try."""
    if "from" in trial.user_attrs:
        return False
    finished = trial.state.name in ("COMPLETE", "PRUNED")
    return finished or "given_up" in trial.user_attrs


def requeue_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
    """Queue a trial again that nobody works on; what it had found out of authors stays with it.

    Returns:
        Whether it was queued; False when another process has ended it meanwhile.
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
    """Queue trials again whose process is gone.

    Args:
        study: the study.
        owner: this sweep folder, that only one process works on at a time.
        mine: numbers of trials that this process works on.
        starting: nothing is under way here, so trials of this folder were left by a dead process.

    Returns:
        How many.
    """
    import optuna

    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    lost = [
        trial
        for trial in running
        if trial.number not in mine
        and ((starting and trial.user_attrs.get("owner") == owner) or _is_stale(trial))
    ]
    return sum(requeue_trial(study, trial) for trial in lost)


def _is_stale(trial: optuna.trial.FrozenTrial) -> bool:
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get("beat", began)) > _STALE_SECONDS


def _check_same(study: optuna.Study, settings: Settings) -> None:
    """Refuse a study of other authors or settings."""
    there = study.user_attrs.get("settings")
    if there is None:
        return
    wanted = settings.shared()
    if other := sorted(key for key in wanted if there.get(key) != wanted[key]):
        raise InputError(
            f"The storage holds a sweep {settings.name!r} with another {', '.join(other)}; give "
            "this one another --out, whose last part is its name."
        )


def _describe(study: optuna.Study, settings: Settings, space: Space) -> None:
    study.set_user_attr("space", space.as_json())
    study.set_user_attr("owner", settings.owner)
    study.set_user_attr("settings", settings.shared())  # last: a study that has them is whole


def _known(first: optuna.Study, space: Space) -> list[optuna.trial.FrozenTrial]:
    """The first study's complete trials that lie in the region, as trials of the second.

    They give it something to beat, and bounds to prune by, from its first trial on.
    """
    import optuna

    found = []
    for trial in complete_trials(first):
        recipe: dict[str, Any] = trial.user_attrs["recipe"]
        if not all(_holds(field, recipe[name]) for name, field in space.fields.items()):
            continue
        with suppress(ValueError):
            found.append(
                optuna.trial.create_trial(
                    params={name: recipe[name] for name in space.varied},
                    distributions=space.distributions(),
                    value=trial.value,
                    user_attrs=dict(trial.user_attrs) | {"from": trial.number},
                )
            )
    return found


def _holds(field: Range | Choice | float | str, value: Any) -> bool:  # noqa: ANN401 - a field's
    if isinstance(field, Range):
        return bool(field.low <= value <= field.high)
    if isinstance(field, Choice):
        return value in field.values
    return bool(field == value)
