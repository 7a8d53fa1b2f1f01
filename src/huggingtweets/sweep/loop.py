"""The loop of a sweep: ask Optuna for a recipe, train it on each author, report the objective.

One process talks to Optuna; workers only train. So the storage has a single writer on this machine,
a dying worker costs one author's training at most, and results don't depend on which worker did
what.

**Pruning treats authors fairly.** After each author, a trial is pruned if it can no longer win:
finished authors count with their result, each other one with the best result of any trial, less
2 %. If even this lower bound of the objective is over the best complete objective, the other
authors can't help. Each trial evaluates the authors in its own random order: with one order for
all, pruned trials would say much about the first authors and nothing about the last.
"""

from __future__ import annotations

import hashlib
import random
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import TrainingError
from huggingtweets.sweep import objective
from huggingtweets.sweep import study as sweep_study
from huggingtweets.sweep.folder import AUTHOR, values_of
from huggingtweets.sweep.trial import Job, Outcome
from huggingtweets.workers import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from huggingtweets.sweep.folder import Settings
    from huggingtweets.sweep.workers import SweepWorkers
    from huggingtweets.training import Interrupt

MARGIN = 0.02
"""Share by which a trial is assumed to beat the best result with an author so far."""

_MAX_CRASHES = 3  # of workers in one trial
_POLL_SECONDS = 0.5
_HEARTBEAT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """Progress of a sweep, after each author and each trial.

    Attributes:
        over: finished trials, in all sessions.
        wanted: trials that the sweep is to have; None if only time limits it.
        authors: trainings done in this session.
        best: lowest objective so far.
        seconds_left: estimated seconds left; None at first.
        line: one line about a finished trial or a dead worker, or empty.
    """

    over: int
    wanted: int | None
    authors: int
    best: float | None
    seconds_left: float | None
    line: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a session ends: at a total number of trials, or at a :func:`time.monotonic` time."""

    trials: int | None
    until: float | None


@dataclass
class _ActiveTrial:
    """A active trial."""

    trial: optuna.Trial
    recipe: dict[str, Any]
    order: list[str]
    values: dict[str, float] = field(default_factory=dict)
    crashes: int = 0
    reported: int = 0

    @property
    def missing(self) -> list[str]:
        return [author for author in self.order if author not in self.values]


class Loop:
    """Runs the trials of a study on workers.

    Args:
        study: an open study.
        settings: settings of the sweep.
        workers: the workers.
        listen: called with every progress update.
        interrupt: handler of Ctrl-C.
    """

    def __init__(
        self,
        study: optuna.Study,
        settings: Settings,
        workers: SweepWorkers,
        listen: Callable[[SweepProgress], None],
        interrupt: Interrupt,
    ) -> None:
        self.study, self.settings, self.workers = study, settings, workers
        self.space = sweep_study.space_of_study(study)
        self.objective = objective.checked(settings.objective)
        self.listen, self.interrupt = listen, interrupt
        self.active: dict[Future[Outcome], _ActiveTrial] = {}
        self.authors_done = 0
        self.trials_done = 0
        self.started = self.last_heartbeat = time.monotonic()

    def run(self, limit: Limit) -> bool:
        """Run trials until the limit; interrupted trials are queued again.

        Returns:
            Whether the user stopped the sweep.

        Raises:
            TrainingError: no worker can train.
        """
        self.limit = limit
        sweep_study.requeue_stale(self.study, self.settings.owner, set(), starting=True)
        try:
            with self.interrupt.watching():
                while not self._is_time_to_stop():
                    while len(self.active) < self.workers.count and self._needs_trials():
                        self._advance(self._next_trial())
                    if not self.active:
                        return False
                    done, _ = wait(self.active, _POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._handle_result(self.active.pop(future), future)
                    self._heartbeat()
        finally:
            for active in self.active.values():
                self._requeue(active)
        return self.interrupt.requested

    def _is_time_to_stop(self) -> bool:
        if self.interrupt.requested:
            return True
        return self.limit.until is not None and time.monotonic() >= self.limit.until

    def _needs_trials(self) -> bool:
        if self.limit.trials is None:
            return True
        started = sum(
            trial.state.name == "RUNNING" or sweep_study.is_over(trial)
            for trial in self.study.get_trials(deepcopy=False)
        )
        return started < self.limit.trials

    def _next_trial(self) -> _ActiveTrial:
        """Return a queued trial, or one that Optuna proposes."""
        import optuna

        # the seed depends on the number of trials, so that a resumed sweep doesn't repeat samples
        self.study.sampler = optuna.samplers.TPESampler(seed=self._seed(), multivariate=True)
        with warnings.catch_warnings():
            # the default recipe may lie outside the space
            warnings.filterwarnings("ignore", "Fixed parameter .* is out of range")
            trial = self.study.ask(self.space.distributions())
        recipe = asdict(self.space.recipe(trial.params))
        attributes = trial.user_attrs
        order = attributes.get("order") or self._shuffled_authors(trial.number)
        for key, value in (
            ("owner", self.settings.owner),
            ("beat", time.time()),
            ("recipe", recipe),
            ("order", order),
        ):
            trial.set_user_attr(key, value)
        frozen = self.study.trials[trial.number]
        return _ActiveTrial(trial, recipe, order, values_of(frozen), attributes.get("crashes", 0))

    def _seed(self) -> int:
        """Hash the sweep's seed, the number of trials and, on other machines, the folder's id."""
        owner = self.settings.owner
        trials = self.study.get_trials(deepcopy=False)
        # an interrupted trial counts once, as its retry
        started = sum(t.state.name != "FAIL" or sweep_study.is_over(t) for t in trials)
        parts = [self.settings.seed, started]
        text = f"{parts}{'' if self.study.user_attrs['owner'] == owner else owner}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _shuffled_authors(self, number: int) -> list[str]:
        authors = list(self.settings.authors)
        random.Random(f"{self.settings.seed}/{number}").shuffle(authors)
        return authors

    def _advance(self, active: _ActiveTrial) -> None:
        """Submit the trial's next author to a worker, or finish the trial."""
        if not active.missing:
            return self._complete(active)
        if self._cannot_win(active):
            return self._prune(active, f"can't win after {self._author_count(active)}")
        job = Job(
            author=active.missing[0],
            recipe=active.recipe,
            base=self.settings.base,
            seed=self.settings.seed,
            device=self.settings.device,
            precision=self.settings.precision,
        )
        self.active[self.workers.submit(job)] = active
        return None

    def _handle_result(self, active: _ActiveTrial, future: Future[Outcome]) -> None:
        """Store the result of an author's training and advance the trial."""
        import optuna

        author = active.missing[0]
        try:
            outcome = future.result()
        except WorkerDied as error:
            return self._handle_crash(active, str(error))
        self.authors_done += 1
        try:
            active.trial.set_user_attr(AUTHOR + author, outcome.as_json())
        except optuna.exceptions.UpdateFinishedTrialError:
            return None  # another machine considered it stale and queued it again
        if outcome.bits_per_byte is None:
            return self._prune(active, f"failed with {author}: {outcome.failure}")
        active.values[author] = outcome.bits_per_byte
        self._advance(active)
        return self._report_progress()

    def _cannot_win(self, active: _ActiveTrial) -> bool:
        """Report the trial's lower bound; return whether it is over the best objective."""
        if not active.values:
            return False
        values: dict[str, list[float]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            for author, value in values_of(trial).items():
                values.setdefault(author, []).append(value)
        bounds = objective.optimistic_bounds(active.missing, values, MARGIN)
        if bounds is None:
            return False
        measured = list(active.values.values())
        lowest = objective.lowest_possible(self.objective, measured, bounds)
        if len(measured) > active.reported:  # once per author, even if it is retried
            active.trial.report(lowest, step=len(measured))
            active.reported = len(measured)
        best = self._best()
        return best is not None and lowest > best and not active.trial.user_attrs.get("default")

    def _complete(self, active: _ActiveTrial) -> None:
        values = [active.values[author] for author in self.settings.authors]
        value, best = objective.judge(self.objective, values), self._best()
        self._finish(active, value=value)
        is_best = best is None or value < best
        self._report_progress(
            f"trial {active.trial.number}: {value:.4f}{', the best' if is_best else ''}"
        )

    def _prune(self, active: _ActiveTrial, reason: str) -> None:
        active.trial.set_user_attr("ended", reason)
        self._finish(active, value=None)
        self._report_progress(f"trial {active.trial.number}: {reason}")

    def _finish(self, active: _ActiveTrial, value: float | None) -> None:
        import optuna

        state = optuna.trial.TrialState
        self.study.tell(
            active.trial,
            value,
            state=state.PRUNED if value is None else state.COMPLETE,
            skip_if_finished=True,
        )
        self.trials_done += 1

    def _handle_crash(self, active: _ActiveTrial, message: str) -> None:
        """Retry the author, or fail the trial after too many crashes."""
        import optuna

        active.crashes += 1
        number = active.trial.number
        active.trial.set_user_attr("crashes", active.crashes)
        if active.crashes < _MAX_CRASHES:
            self._report_progress(f"trial {number}: {message}; trying again")
            return self._advance(active)
        if not self.authors_done:
            raise TrainingError(f"Workers can't train: {message}, {_MAX_CRASHES} times.")
        active.trial.set_user_attr("ended", message)
        active.trial.set_user_attr("given_up", True)
        self.study.tell(active.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        return self._report_progress(f"trial {number}: failed; {message}, {_MAX_CRASHES} times")

    def _requeue(self, active: _ActiveTrial) -> None:
        frozen = self.study.trials[active.trial.number]
        if frozen.state.name == "RUNNING":
            sweep_study.requeue_trial(self.study, frozen)

    def _heartbeat(self) -> None:
        """Update the heartbeat of active trials and requeue stale ones, once a minute."""
        if time.monotonic() - self.last_heartbeat < _HEARTBEAT_SECONDS:
            return
        import optuna

        self.last_heartbeat = time.monotonic()
        for active in self.active.values():
            try:
                active.trial.set_user_attr("beat", time.time())
            except optuna.exceptions.UpdateFinishedTrialError:
                continue
        numbers = {active.trial.number for active in self.active.values()}
        sweep_study.requeue_stale(self.study, self.settings.owner, numbers, starting=False)

    def _best(self) -> float | None:
        values = [t.value for t in sweep_study.complete_trials(self.study)]
        return min((v for v in values if v is not None), default=None)

    def _author_count(self, active: _ActiveTrial) -> str:
        return f"{len(active.values)} of {len(active.order)} authors"

    def _report_progress(self, line: str = "") -> None:
        over = sum(map(sweep_study.is_over, self.study.get_trials(deepcopy=False)))
        total = self.limit.trials
        left = None
        if self.trials_done and total is not None:
            left = (time.monotonic() - self.started) / self.trials_done * (total - over)
        if self.limit.until is not None:
            until = max(0.0, self.limit.until - time.monotonic())
            left = until if left is None else min(left, until)
        self.listen(SweepProgress(over, total, self.authors_done, self._best(), left, line))
