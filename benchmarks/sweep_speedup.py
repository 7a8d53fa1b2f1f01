"""Simulate the speedup of a sweep with more workers than this machine has.

A trial trains one author after the other, so each worker runs one trial at a time. A single process
talks to Optuna and serves the workers one by one. The simulation samples trials from the training
times of a real sweep. It measures the time of Optuna's ask and tell on this machine, over
``--asked`` trials. It ignores the network, and that concurrent trials prune against an older best
objective.

    python benchmarks/sweep_speedup.py SWEEP [--trials 1000]
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.sweep import study as sweep_study
from huggingtweets.sweep.folder import SweepFolder, load_optuna, outcomes_of
from huggingtweets.sweep.loop import Limit, Loop
from huggingtweets.sweep.search_space import space_of
from huggingtweets.sweep.trial import Outcome
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.sweep.folder import Settings
    from huggingtweets.sweep.trial import Job

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS_TO_START = 8.0  # for a worker to load Python, torch and the posts


class _InstantWorkers:
    """Workers that take no time, to measure ask and tell alone."""

    count = 1

    def submit(self, job: Job) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(Outcome(1.0 + job.recipe["learning_rate"]))
        return future

    def close(self) -> None:
        """Do nothing: no worker runs."""


def simulate(trials: Sequence[Sequence[float]], workers: int, serial: float) -> float:
    """Return the seconds until all trials are done.

    Args:
        trials: the seconds of each trial's trainings, in order.
        workers: number of workers.
        serial: seconds of ask and tell for each training.
    """
    waiting = list(reversed(trials))
    optuna_free_at = 0.0
    events: list[
        tuple[float, int, list[float]]
    ] = []  # when a worker is free; the rest of its trial
    for number in range(workers):
        heapq.heappush(events, (SECONDS_TO_START, number, []))
    end = 0.0
    while events:
        now, number, rest = heapq.heappop(events)
        if not rest:
            if not waiting:
                end = max(end, now)
                continue
            rest = list(waiting.pop())
        optuna_free_at = max(optuna_free_at, now) + serial
        heapq.heappush(events, (optuna_free_at + rest[0], number, rest[1:]))
    return end


def seconds_of_trials(folder: SweepFolder, settings: Settings) -> list[list[float]]:
    """Return the seconds of each trial's trainings in a sweep."""
    import optuna

    study = optuna.load_study(study_name=settings.name, storage=folder.storage(settings))
    ended = [trial for trial in study.trials if sweep_study.is_over(trial)]
    trials = [[float(o["seconds"]) for o in outcomes_of(trial).values()] for trial in ended]
    return [seconds for seconds in trials if seconds]


def seconds_to_ask(settings: Settings, trials: int) -> float:
    """Return the mean seconds of ask and tell per training, in a sweep of ``trials`` trials."""
    with tempfile.TemporaryDirectory() as name:
        folder = SweepFolder(Path(name))
        study = sweep_study.open_study(folder.storage(settings), settings, space_of(settings.space))
        started = time.process_time()
        loop = Loop(study, settings, _InstantWorkers(), lambda _: None, Interrupt())
        loop.run(Limit(trials, None))
        return (time.process_time() - started) / max(1, loop.authors_done)


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--asked", type=int, default=60, help="trials to measure ask and tell with")
    given = parser.parse_args()
    load_optuna()
    folder = SweepFolder(given.sweep)
    settings = folder.settings()
    measured = seconds_of_trials(folder, settings)
    if not measured:
        raise SystemExit(f"No trial of {given.sweep} has ended yet.")
    serial = seconds_to_ask(settings, given.asked)
    sampled = random.Random(0).choices(measured, k=given.trials)
    work = sum(map(sum, sampled))
    trainings = [seconds for trial in measured for seconds in trial]
    print(
        f"{len(measured)} measured trials, {len(trainings)} trainings of "
        f"{statistics.median(trainings):.1f} s (median); ask and tell {1000 * serial:.0f} ms "
        f"of CPU time per training\n\n{given.trials} trials sampled from them:\n"
    )
    print("workers      hours   speed-up   of ideal")
    single = simulate(sampled, 1, serial)
    for workers in WORKERS:
        seconds = simulate(sampled, workers, serial)
        speedup = single / seconds
        print(f"{workers:7} {seconds / 3600:10.2f} {speedup:10.1f} {speedup / workers:10.0%}")
    print(f"\ntotal work: {work / 3600:.1f} worker hours")


if __name__ == "__main__":
    main()
