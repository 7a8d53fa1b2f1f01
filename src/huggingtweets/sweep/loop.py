"""The loop of a sweep: ask for a recipe, train it on one author after the other, tell how it was.

One process asks and tells; workers only train. So the storage has a single writer here, a worker
that dies loses one author's training at most, and which worker did what changes nothing.

**Pruning is fair over authors.** After each author a trial is stopped when it can't win any more:
the authors it has done count as they came out, every other one as the best that any trial has
reached with it, less 2 %. If even then the objective is over the best complete one, the rest of the
authors can't help. Each trial takes the authors in an order of its own, drawn from its number: with
one order for all, pruned trials would tell much about the first authors and nothing about the last.
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
from huggingtweets.sweep.workers import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from huggingtweets.sweep.folder import Settings
    from huggingtweets.sweep.workers import Workers
    from huggingtweets.training import Interrupt

MARGIN = 0.02
"""Share by which a trial is thought able to beat the best that any other reached with an author."""

_MOST_CRASHES = 3  # of workers in one trial, after which it is given up
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_BEATS = 60.0


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """Told whenever an author or a trial is done.

    Attributes:
        over: trials that are over, in all sittings.
        wanted: trials that the sweep is to have; None where only time ends it.
        authors: trainings done in this sitting.
        best: lowest objective so far.
        seconds_left: estimate, None at first.
        line: one line about a trial that is over or a worker that died, or empty.
    """

    over: int
    wanted: int | None
    authors: int
    best: float | None
    seconds_left: float | None
    line: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a sitting ends: at so many trials in all, or at a time of :func:`time.monotonic`."""

    trials: int | None
    until: float | None


@dataclass
class _ActiveTrial:
    """A trial under way."""

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
    """Runs a study's trials on some workers.

    Args:
        study: open.
        settings: of its sweep.
        workers: who trains.
        listen: is told every step.
        interrupt: what Ctrl-C does.
    """

    def __init__(
        self,
        study: optuna.Study,
        settings: Settings,
        workers: Workers,
        listen: Callable[[SweepProgress], None],
        interrupt: Interrupt,
    ) -> None:
        self.study, self.settings, self.workers = study, settings, workers
        self.space = sweep_study.space_of_study(study)
        self.judged_by = objective.checked(settings.objective)
        self.listen, self.interrupt = listen, interrupt
        self.under_way: dict[Future[Outcome], _ActiveTrial] = {}
        self.authors_done = 0
        self.trials_done = 0
        self.started = self.beat_at = time.monotonic()

    def run(self, limit: Limit) -> bool:
        """Run trials until the limit; those that are cut are queued again.

        Returns:
            Whether the user stopped it.

        Raises:
            TrainingError: no worker can do what is asked.
        """
        self.limit = limit
        sweep_study.requeue_stale(self.study, self.settings.owner, set(), starting=True)
        try:
            with self.interrupt.watching():
                while not self._is_time_to_stop():
                    while len(self.under_way) < self.workers.count and self._wants_more():
                        self._go_on(self._ask())
                    if not self.under_way:
                        return False
                    done, _ = wait(
                        self.under_way, _SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED
                    )
                    for future in done:
                        self._take(self.under_way.pop(future), future)
                    self._beat()
        finally:
            for running in self.under_way.values():
                self._give_back(running)
        return self.interrupt.requested

    def _is_time_to_stop(self) -> bool:
        if self.interrupt.requested:
            return True
        return self.limit.until is not None and time.monotonic() >= self.limit.until

    def _wants_more(self) -> bool:
        if self.limit.trials is None:
            return True
        taken = sum(
            trial.state.name == "RUNNING" or sweep_study.is_over(trial)
            for trial in self.study.get_trials(deepcopy=False)
        )
        return taken < self.limit.trials

    def _ask(self) -> _ActiveTrial:
        """The next trial: one that was queued, or one that Optuna proposes."""
        import optuna

        # drawn from how far the sweep is, so that going on later doesn't repeat the first draws
        self.study.sampler = optuna.samplers.TPESampler(seed=self._seed(), multivariate=True)
        with warnings.catch_warnings():
            # the default recipe may lie outside the ranges of a space, and is run all the same
            warnings.filterwarnings("ignore", "Fixed parameter .* is out of range")
            trial = self.study.ask(self.space.distributions())
        recipe = asdict(self.space.recipe(trial.params))
        known = trial.user_attrs
        order = known.get("order") or self._order(trial.number)
        for key, value in (
            ("owner", self.settings.owner),
            ("beat", time.time()),
            ("recipe", recipe),
            ("order", order),
        ):
            trial.set_user_attr(key, value)
        frozen = self.study.trials[trial.number]
        return _ActiveTrial(trial, recipe, order, values_of(frozen), known.get("crashes", 0))

    def _seed(self) -> int:
        """From the sweep's seed, the trials so far and, on a second machine, its folder."""
        owner = self.settings.owner
        trials = self.study.get_trials(deepcopy=False)
        tried = sum(t.state.name != "FAIL" or sweep_study.is_over(t) for t in trials)
        parts = [self.settings.seed, tried]  # one that was cut counts once, as its next try
        text = f"{parts}{'' if self.study.user_attrs['owner'] == owner else owner}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _order(self, number: int) -> list[str]:
        authors = list(self.settings.authors)
        random.Random(f"{self.settings.seed}/{number}").shuffle(authors)
        return authors

    def _go_on(self, running: _ActiveTrial) -> None:
        """Give the trial's next author to a worker, or end the trial."""
        if not running.missing:
            return self._complete(running)
        if self._is_beaten(running):
            return self._prune(running, f"can't win any more after {self._authors(running)}")
        job = Job(
            author=running.missing[0],
            recipe=running.recipe,
            base=self.settings.base,
            seed=self.settings.seed,
            device=self.settings.device,
            precision=self.settings.precision,
        )
        self.under_way[self.workers.submit(job)] = running
        return None

    def _take(self, running: _ActiveTrial, future: Future[Outcome]) -> None:
        """What came of an author's training."""
        import optuna

        author = running.missing[0]
        try:
            outcome = future.result()
        except WorkerDied as error:
            return self._crashed(running, str(error))
        self.authors_done += 1
        try:
            running.trial.set_user_attr(AUTHOR + author, outcome.as_json())
        except optuna.exceptions.UpdateFinishedTrialError:
            return None  # thought lost by another machine, which has queued it again
        if outcome.bits_per_byte is None:
            return self._prune(running, f"failed with @{author}: {outcome.failure}")
        running.values[author] = outcome.bits_per_byte
        self._go_on(running)
        return self._tell()

    def _is_beaten(self, running: _ActiveTrial) -> bool:
        """Whether the trial can't get under the best objective; its lowest possible is reported."""
        if not running.values:
            return False
        seen: dict[str, list[float]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            for author, value in values_of(trial).items():
                seen.setdefault(author, []).append(value)
        bounds = objective.optimistic_bounds(running.missing, seen, MARGIN)
        if bounds is None:
            return False
        known = [running.values[author] for author in running.values]
        lowest = objective.lowest_possible(self.judged_by, known, bounds)
        if len(known) > running.reported:  # not again for an author that is tried again
            running.trial.report(lowest, step=len(known))
            running.reported = len(known)
        best = self._best()
        return best is not None and lowest > best and not running.trial.user_attrs.get("default")

    def _complete(self, running: _ActiveTrial) -> None:
        values = [running.values[author] for author in self.settings.authors]
        value, before = objective.judge(self.judged_by, values), self._best()
        self._end(running, value=value)
        is_best = before is None or value < before
        self._tell(f"trial {running.trial.number}: {value:.4f}{', the best' if is_best else ''}")

    def _prune(self, running: _ActiveTrial, why: str) -> None:
        running.trial.set_user_attr("ended", why)
        self._end(running, value=None)
        self._tell(f"trial {running.trial.number}: {why}")

    def _end(self, running: _ActiveTrial, value: float | None) -> None:
        import optuna

        state = optuna.trial.TrialState
        self.study.tell(
            running.trial,
            value,
            state=state.PRUNED if value is None else state.COMPLETE,
            skip_if_finished=True,
        )
        self.trials_done += 1

    def _crashed(self, running: _ActiveTrial, what: str) -> None:
        """Give the author out again, or give the trial up."""
        import optuna

        running.crashes += 1
        number = running.trial.number
        running.trial.set_user_attr("crashes", running.crashes)
        if running.crashes < _MOST_CRASHES:
            self._tell(f"trial {number}: {what}; it is tried again")
            return self._go_on(running)
        if not self.authors_done:
            raise TrainingError(f"Workers can't train: {what}, {_MOST_CRASHES} times.")
        running.trial.set_user_attr("ended", what)
        running.trial.set_user_attr("given_up", True)
        self.study.tell(running.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        return self._tell(f"trial {number}: given up, as {what}, {_MOST_CRASHES} times")

    def _give_back(self, running: _ActiveTrial) -> None:
        frozen = self.study.trials[running.trial.number]
        if frozen.state.name == "RUNNING":
            sweep_study.requeue_trial(self.study, frozen)

    def _beat(self) -> None:
        """Say from time to time that the trials under way are alive, and look for dead ones."""
        if time.monotonic() - self.beat_at < _SECONDS_BETWEEN_BEATS:
            return
        import optuna

        self.beat_at = time.monotonic()
        for running in self.under_way.values():
            try:
                running.trial.set_user_attr("beat", time.time())
            except optuna.exceptions.UpdateFinishedTrialError:
                continue
        mine = {running.trial.number for running in self.under_way.values()}
        sweep_study.requeue_stale(self.study, self.settings.owner, mine, starting=False)

    def _best(self) -> float | None:
        values = [t.value for t in sweep_study.complete_trials(self.study)]
        return min((v for v in values if v is not None), default=None)

    def _authors(self, running: _ActiveTrial) -> str:
        return f"{len(running.values)} of {len(running.order)} authors"

    def _tell(self, line: str = "") -> None:
        over = sum(map(sweep_study.is_over, self.study.get_trials(deepcopy=False)))
        wanted = self.limit.trials
        left = None
        if self.trials_done and wanted is not None:
            left = (time.monotonic() - self.started) / self.trials_done * (wanted - over)
        if self.limit.until is not None:
            until = max(0.0, self.limit.until - time.monotonic())
            left = until if left is None else min(left, until)
        self.listen(SweepProgress(over, wanted, self.authors_done, self._best(), left, line))
