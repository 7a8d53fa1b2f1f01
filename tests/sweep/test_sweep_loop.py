"""The loop of a sweep with real search and storage, and a formula instead of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.sweep.landscape import (
    AUTHORS,
    DEFAULT,
    SPACE,
    Landscape,
    bits_per_byte,
    died,
    settings_of,
)

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.sweep import objective
from huggingtweets.sweep import study as sweep_study
from huggingtweets.sweep.folder import SweepFolder, load_optuna, values_of
from huggingtweets.sweep.loop import Limit, Loop, SweepProgress
from huggingtweets.sweep.search_space import Range, space_of
from huggingtweets.sweep.trials import read_trials, remove_author_effects
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from huggingtweets.sweep.folder import Settings


def opened(folder: Path, settings: Settings) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    load_optuna()
    storage = SweepFolder(folder).storage(settings)
    return sweep_study.open_study(storage, settings, space_of(settings.space)), storage


def run(
    study: optuna.Study, settings: Settings, workers: Landscape, trials: int
) -> tuple[bool, list[SweepProgress]]:
    steps: list[SweepProgress] = []
    stopped = Loop(study, settings, workers, steps.append, Interrupt()).run(Limit(trials, None))
    return stopped, steps


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("judged_by", ["robust", "mean", "median", "worst"])
def test_pruned_trials_could_not_win(tmp_path: Path, judged_by: str) -> None:
    settings = settings_of(objective=judged_by)
    study, _ = opened(tmp_path, settings)
    stopped, steps = run(study, settings, Landscape(2), 30)
    assert not stopped
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert len(pruned) >= 5
    assert "COMPLETE" in states(study)
    kind = objective.checked(judged_by)
    for trial in study.trials:
        recipe = trial.user_attrs["recipe"]
        came = [bits_per_byte(recipe, author) for author in AUTHORS]
        for author, value in values_of(trial).items():
            assert value == bits_per_byte(recipe, author)
        if trial.state.name == "COMPLETE":
            assert trial.value == objective.judge(kind, came)
        else:
            assert objective.judge(kind, came) > study.best_value
            assert 0 < len(values_of(trial)) < len(AUTHORS)
    assert study.best_value < study.trials[0].value  # type: ignore[operator]
    assert steps[-1].over == steps[-1].wanted == 30
    assert steps[-1].best == study.best_value


def test_default_recipe_is_first_and_never_pruned(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    run(study, settings, Landscape(), 3)
    first = study.trials[0]
    assert first.user_attrs["default"]
    assert first.params == {name: getattr(DEFAULT, name) for name in SPACE}
    assert first.state.name == "COMPLETE"


def test_default_learning_rate_depends_on_the_base(tmp_path: Path) -> None:
    study, _ = opened(tmp_path, settings_of(base_width=768))
    (queued,) = study.trials
    rate = queued.system_attrs["fixed_params"]["learning_rate"]
    assert rate == DEFAULT.for_base(768).learning_rate < DEFAULT.learning_rate


def test_same_seed_gives_the_same_recipes(tmp_path: Path) -> None:
    asked = []
    for name, sittings in (("once", [16]), ("in parts", [3, 9, 16])):
        settings = settings_of()
        study, storage = opened(tmp_path / name, settings)
        for wanted in sittings:
            run(study, settings, Landscape(), wanted)
        asked.append([(t.params, t.value, t.state.name) for t in study.trials])
        del study, storage
    assert asked[0] == asked[1]
    settings = settings_of(seed=1)
    study, _ = opened(tmp_path / "other", settings)
    run(study, settings, Landscape(), 16)
    assert [trial.params for trial in study.trials][1:] != [params for params, *_ in asked[0]][1:]


def test_each_trial_has_its_own_author_order(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    run(study, settings, Landscape(), 8)
    orders = [tuple(trial.user_attrs["order"]) for trial in study.trials]
    assert all(sorted(order) == sorted(AUTHORS) for order in orders)
    assert len(set(orders)) > 4


def test_job_of_a_dead_worker_is_retried(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    workers = Landscape(fail=lambda job, time: died(job) if time == 1 else None)
    _, steps = run(study, settings, workers, 2)
    lines = [step.line for step in steps if "trying again" in step.line]
    assert "trial 0: a worker ended with exit code -9 while training ann;" in lines[0]
    # the third crash fails the trial, with a message
    assert [trial.user_attrs["crashes"] for trial in study.trials] == [3, 3]
    assert all(trial.user_attrs["given_up"] for trial in study.trials)
    again, _ = opened(tmp_path / "again", settings)
    workers = Landscape(
        fail=lambda job, time: died(job) if (job.author, time) == ("bob", 1) else None
    )
    run(again, settings, workers, 2)
    assert states(again)[0] == "COMPLETE"
    assert again.trials[0].user_attrs["crashes"] == 1


def test_workers_that_always_die_end_the_sweep(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    with pytest.raises(TrainingError, match=r"^Workers can't train: a worker ended .* 3 times\.$"):
        run(study, settings, Landscape(fail=lambda job, _: died(job)), 4)


def test_nan_loss_fails_the_trial(tmp_path: Path) -> None:
    settings = settings_of()
    study, storage = opened(tmp_path, settings)

    def fail(job: Any, _: int) -> str | None:  # noqa: ANN401
        return "The loss is no longer a number" if job.recipe["learning_rate"] > 2e-3 else None

    run(study, settings, Landscape(fail=fail), 12)
    failed = [row for row in read_trials(settings, storage).rows if row.state == "failed"]
    assert failed
    assert all(row.why and "no longer a number" in row.why for row in failed)
    assert all(row.objective is None for row in failed)


def test_interrupted_trial_resumes(tmp_path: Path) -> None:
    """After Ctrl-C or a killed process, the next session completes the trial."""
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    interrupt, workers = Interrupt(), Landscape()

    def stop(step: SweepProgress) -> None:
        if step.authors == 2:  # of five, in the first trial
            interrupt.requested = True

    assert Loop(study, settings, workers, stop, interrupt).run(Limit(4, None))
    assert states(study).count("WAITING") == 1
    killed = study.ask(space_of(settings.space).distributions())
    killed.set_user_attr("owner", settings.owner)
    assert not run(study, settings, workers, 4)[0]
    over = [trial for trial in study.trials if sweep_study.is_over(trial)]
    assert len(over) == 4
    assert not {"RUNNING", "WAITING"} & set(states(study))
    assert [trial.user_attrs.get("retry_of") for trial in over if "retry_of" in trial.user_attrs]
    trained = [(job.author, tuple(job.recipe.items())) for job in workers.jobs]
    assert len(trained) - len(set(trained)) <= 1  # only the running job is trained again


def test_trials_of_other_machines_are_left_alone(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    theirs = study.ask(space_of(settings.space).distributions())
    theirs.set_user_attr("owner", "elsewhere")
    run(study, settings, Landscape(), 3)
    assert states(study)[theirs.number] == "RUNNING"


def test_narrow_needs_complete_trials(tmp_path: Path) -> None:
    settings = settings_of()
    first, storage = opened(tmp_path, settings)
    run(first, settings, Landscape(), 1)
    with pytest.raises(
        InputError, match="--narrow needs 3 complete trials and the first sweep has 1"
    ):
        sweep_study.open_narrow(storage, settings, 0.2)


def test_narrow_searches_the_best_region_only(tmp_path: Path) -> None:
    settings = settings_of()
    first, storage = opened(tmp_path, settings)
    run(first, settings, Landscape(), 40)
    second = sweep_study.open_narrow(storage, settings, 0.2)
    before, after = space_of(settings.space), sweep_study.space_of_study(second)
    for name, field in after.varied.items():
        wide = before.varied[name]
        assert isinstance(field, Range)
        assert isinstance(wide, Range)
        assert wide.low <= field.low < field.high <= wide.high
    known = [trial for trial in second.trials if "from" in trial.user_attrs]
    assert len(known) >= 3
    assert min(trial.value or 9 for trial in known) == first.best_value
    run(second, settings, Landscape(), 6)
    own = [trial for trial in second.trials if "from" not in trial.user_attrs]
    assert len(own) == 6
    rate = after.varied["learning_rate"]
    assert isinstance(rate, Range)
    assert all(rate.low <= trial.params["learning_rate"] <= rate.high for trial in own)
    assert second.best_value <= first.best_value
    assert sweep_study.open_narrow(storage, settings, 0.2).study_name == "sweep-narrow"
    with pytest.raises(InputError, match=r"already narrowed to the best 0\.2 of its trials"):
        sweep_study.open_narrow(storage, settings, 0.5)
    # both stages together, no trial counted twice
    trials = read_trials(settings, storage)
    assert len(trials.rows) == 46
    assert {row.stage for row in trials.rows} == {"first", "narrow"}
    assert trials.complete[0].objective == second.best_value


def test_storage_with_another_sweep_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, settings_of())
    with pytest.raises(InputError, match="has a sweep 'sweep' with another objective, seed"):
        opened(tmp_path, settings_of(objective="mean", seed=4))


def test_author_effects_are_removed(tmp_path: Path) -> None:
    """For values author + trial, some missing, only the trial effect remains."""
    settings = settings_of()
    study, storage = opened(tmp_path, settings)
    run(study, settings, Landscape(), 20)
    from dataclasses import replace

    parts = {("first", n): 0.01 * (n % 7) for n in range(20)}
    rows = [
        replace(
            row,
            bits_per_byte={
                author: len(author) + parts[row.stage, row.trial] for author in row.bits_per_byte
            },
        )
        for row in read_trials(settings, storage).rows
    ]
    found = remove_author_effects(rows)
    assert found == pytest.approx(parts, abs=1e-6)
