"""The loop of a sweep over a made-up landscape: real search, real storage, trainings by formula."""

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
def test_pruned_trials_would_not_have_won(tmp_path: Path, judged_by: str) -> None:
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


def test_the_default_recipe_comes_first_and_is_never_pruned(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    run(study, settings, Landscape(), 3)
    first = study.trials[0]
    assert first.user_attrs["default"]
    assert first.params == {name: getattr(DEFAULT, name) for name in SPACE}
    assert first.state.name == "COMPLETE"


def test_the_default_recipe_has_the_rate_that_its_base_would_get(tmp_path: Path) -> None:
    study, _ = opened(tmp_path, settings_of(base_width=768))
    (queued,) = study.trials
    rate = queued.system_attrs["fixed_params"]["learning_rate"]
    assert rate == DEFAULT.for_base(768).learning_rate < DEFAULT.learning_rate


def test_the_same_seed_asks_for_the_same_recipes(tmp_path: Path) -> None:
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


def test_each_trial_takes_authors_in_an_order_of_its_own(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    run(study, settings, Landscape(), 8)
    orders = [tuple(trial.user_attrs["order"]) for trial in study.trials]
    assert all(sorted(order) == sorted(AUTHORS) for order in orders)
    assert len(set(orders)) > 4


def test_a_dead_workers_author_is_given_out_again(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    workers = Landscape(fail=lambda job, time: died(job) if time == 1 else None)
    _, steps = run(study, settings, workers, 2)
    lines = [step.line for step in steps if "tried again" in step.line]
    assert "trial 0: a worker ended with exit code -9 while training @" in lines[0]
    # the third death in a trial ends it, and it is told
    assert [trial.user_attrs["crashes"] for trial in study.trials] == [3, 3]
    assert all(trial.user_attrs["given_up"] for trial in study.trials)
    again, _ = opened(tmp_path / "again", settings)
    workers = Landscape(
        fail=lambda job, time: died(job) if (job.author, time) == ("bob", 1) else None
    )
    run(again, settings, workers, 2)
    assert states(again)[0] == "COMPLETE"
    assert again.trials[0].user_attrs["crashes"] == 1


def test_workers_that_never_work_end_the_sweep(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    with pytest.raises(TrainingError, match=r"^Workers can't train: a worker ended .* 3 times\.$"):
        run(study, settings, Landscape(fail=lambda job, _: died(job)), 4)


def test_a_loss_that_is_no_number_prunes_a_trial(tmp_path: Path) -> None:
    settings = settings_of()
    study, storage = opened(tmp_path, settings)

    def fail(job: Any, _: int) -> str | None:  # noqa: ANN401
        return "The loss is no longer a number" if job.recipe["learning_rate"] > 2e-3 else None

    run(study, settings, Landscape(fail=fail), 12)
    failed = [row for row in read_trials(settings, storage).rows if row.state == "failed"]
    assert failed
    assert all(row.why and "no longer a number" in row.why for row in failed)
    assert all(row.objective is None for row in failed)


def test_what_was_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    """Ctrl-C, and a process that was killed: both leave a trial that the next sitting ends."""
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
    assert len(trained) - len(set(trained)) <= 1  # only what was under way is trained again


def test_another_machines_trials_are_left_to_it(tmp_path: Path) -> None:
    settings = settings_of()
    study, _ = opened(tmp_path, settings)
    theirs = study.ask(space_of(settings.space).distributions())
    theirs.set_user_attr("owner", "elsewhere")
    run(study, settings, Landscape(), 3)
    assert states(study)[theirs.number] == "RUNNING"


def test_narrow(tmp_path: Path) -> None:
    settings = settings_of()
    first, storage = opened(tmp_path, settings)
    run(first, settings, Landscape(), 1)
    with pytest.raises(InputError, match="has 1 complete trials and --narrow needs 3 or more"):
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
    with pytest.raises(InputError, match=r"narrowed to the best 0\.2 of its trials before"):
        sweep_study.open_narrow(storage, settings, 0.5)
    # both stages are read as one, none counted twice
    trials = read_trials(settings, storage)
    assert len(trials.rows) == 46
    assert {row.stage for row in trials.rows} == {"first", "narrow"}
    assert trials.complete[0].objective == second.best_value


def test_another_sweep_in_the_storage_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, settings_of())
    with pytest.raises(InputError, match="holds a sweep 'sweep' with another objective, seed"):
        opened(tmp_path, settings_of(objective="mean", seed=4))


def test_levels_of_authors_come_out(tmp_path: Path) -> None:
    """Of values that are author + trial, some missing, only the trials' part is left."""
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
