"""Simulate the speedup of a sweep with more workers than this machine has.

A trial trains one author after the other, so there is one concurrent trial per worker; the one
process that talks to Optuna serves them one at a time. The simulation samples trials from the
training times of a real sweep, and uses the time of asking and telling measured here with the same
number of trials in the study. It ignores the network, and that concurrent trials prune against an
older best objective.

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
SECONDS_TO_START = 8.0  # of a worker: Python, torch, the posts


class _AtOnce:
    """Workers that take no time, so that only asking and telling is left."""

    count = 1

    def submit(self, job: Job) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(Outcome(1.0 + job.recipe["learning_rate"]))
        return future

    def close(self) -> None:
        """Nothing runs."""


def simulate(trials: Sequence[Sequence[float]], workers: int, serial: float) -> float:
    """Seconds until all trials are done.

    Args:
        trials: seconds of each one's trainings, in order.
        workers: that train.
        serial: seconds that the asking process needs for each training.
    """
    waiting = list(reversed(trials))
    free_at = 0.0  # when the asking process is
    events: list[tuple[float, int, list[float]]] = []  # a worker is free, and its trial's rest
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
        free_at = max(free_at, now) + serial
        heapq.heappush(events, (free_at + rest[0], number, rest[1:]))
    return end


def seconds_of_trials(folder: SweepFolder, settings: Settings) -> list[list[float]]:
    """What each trial's trainings took, one trained by one worker."""
    import optuna

    study = optuna.load_study(study_name=settings.name, storage=folder.storage(settings))
    over = [trial for trial in study.trials if sweep_study.is_over(trial)]
    found = [[float(o["seconds"]) for o in outcomes_of(trial).values()] for trial in over]
    return [seconds for seconds in found if seconds]


def seconds_to_ask(settings: Settings, trials: int) -> float:
    """Seconds of asking and telling a training, the mean over a sweep of so many trials."""
    with tempfile.TemporaryDirectory() as name:
        folder = SweepFolder(Path(name))
        study = sweep_study.open_study(folder.storage(settings), settings, space_of(settings.space))
        started = time.process_time()
        loop = Loop(study, settings, _AtOnce(), lambda _: None, Interrupt())
        loop.run(Limit(trials, None))
        return (time.process_time() - started) / max(1, loop.authors_done)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--asked", type=int, default=60, help="trials to measure the asking with")
    given = parser.parse_args()
    load_optuna()
    folder = SweepFolder(given.sweep)
    settings = folder.settings()
    measured = seconds_of_trials(folder, settings)
    if not measured:
        raise SystemExit(f"No trial of {given.sweep} is over yet.")
    serial = seconds_to_ask(settings, given.asked)
    drawn = random.Random(0).choices(measured, k=given.trials)
    work = sum(map(sum, drawn))
    trainings = [seconds for trial in measured for seconds in trial]
    print(
        f"{len(measured)} measured trials, {len(trainings)} trainings of "
        f"{statistics.median(trainings):.1f} s (median); asking and telling {1000 * serial:.0f} ms "
        f"of processor time a training\n\n{given.trials} trials drawn from them:\n"
    )
    print("workers      hours   speed-up   of ideal")
    alone = simulate(drawn, 1, serial)
    for workers in WORKERS:
        seconds = simulate(drawn, workers, serial)
        speedup = alone / seconds
        print(f"{workers:7} {seconds / 3600:10.2f} {speedup:10.1f} {speedup / workers:10.0%}")
    print(f"\nwork in all: {work / 3600:.1f} hours of one worker")


if __name__ == "__main__":
    main()
