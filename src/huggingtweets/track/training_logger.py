"""Logging of a run folder to a tracker, during the run or afterwards.

The run folder holds everything, so a run is always logged from the beginning, also after it was
resumed or after its tracker died.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.storage import files
from huggingtweets.track.protocol import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from huggingtweets.storage.run_folder import RunFolder, RunRecord
    from huggingtweets.track.lineage import Lineage
    from huggingtweets.track.protocol import Tracker

NUMBERS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "tokens_per_second": "train/tokens_per_second",
    "epoch": "train/epoch",
    "held_out_bits_per_byte": "held_out/bits_per_byte",
    "cores": "system/cores",
    "memory_mb": "system/memory_mb",
}
"""Fields of an event and their names in the tracker."""

_COPY = "(left out: it copies a post)"
_RESULT = ("best", "steps", "tokens", "seconds", "stopped_early")
_OMITTED_OPTIONS = ("out", "track", "raw_artifacts")  # without effect on the bot


def follow(
    run: RunFolder, name: str, tracker: Tracker, lineage: Lineage, run_ended: Callable[[], bool]
) -> None:
    """Log a run to a tracker until it has ended.

    Args:
        run: a finished or running run.
        name: permanent prefix of the jobs' ids.
        tracker: that stores the run.
        lineage: the run's artifacts.
        run_ended: waits a moment and returns whether the run has ended.
    """
    record = run.record()
    config = _config(record)

    shown = record.name if record.version == 1 else f"{record.name}-v{record.version}"

    def start(kind: str) -> None:
        tracker.start(Job(f"{name}-{kind}", kind, f"{shown}-{kind}", record.name, config))

    start("download")
    tracker.log(_download_counts(record), 0)
    tracker.artifact(lineage.tweets)
    tracker.artifact(lineage.base)
    tracker.finish(ok=True)

    start("preprocess")
    tracker.use(lineage.tweets)
    tracker.log({f"posts/{what}": number for what, number in record.counts.items()}, 0)
    tracker.artifact(lineage.dataset)
    tracker.finish(ok=True)

    start("train")
    tracker.use(lineage.dataset)
    tracker.use(lineage.base)
    training, events = TrainingLogger(tracker, raw=lineage.raw), JsonlTail(run.events_file)
    ended = False
    while not ended:
        ended = run_ended()  # before reading, so that the last events are not missed
        training.log(events.read())
    record = run.record()
    tracker.log(_result(record), training.step)
    if record.state == "done":
        _log_likeness(run, tracker, training.step)
    if bot := lineage.bot():
        tracker.artifact(bot)
    tracker.finish(ok=record.state == "done")


class TrainingLogger:
    """Logs training events as numbers, and samples as a growing table.

    Args:
        tracker: that stores them.
        raw: whether it may get posts, and so samples that copy one.
    """

    def __init__(self, tracker: Tracker, *, raw: bool = False) -> None:
        self._tracker, self._raw = tracker, raw
        self.step = 0
        self._posts: list[list[Any]] = []
        self._started = False

    def log(self, events: list[dict[str, Any]]) -> None:
        """Log new events."""
        training = [event for event in events if event.get("stage") == "train"]
        if not self._started:  # skip steps before a run started over: steps can't decrease
            starts = [i for i, event in enumerate(training) if not event.get("done")]
            training = training[starts[-1] if starts else 0 :]
        for event in training:
            self._started = True
            # after a crash some steps are repeated with the same numbers
            if event.get("done", 0) >= self.step:
                self.step = event.get("done", 0)
                self._log_event(event)

    def _log_event(self, event: Mapping[str, Any]) -> None:
        numbers = {NUMBERS[field]: event[field] for field in NUMBERS if field in event}
        self._tracker.log(_only_finite(numbers), self.step)
        if samples := event.get("samples"):
            self._posts += [
                [self.step, sample["prompt"], self._shown(sample), sample["novelty"]]
                for sample in samples
            ]
            columns = ("step", "prompt", "post", "novelty")
            self._tracker.table("predictions", columns, self._posts, self.step)

    def _shown(self, sample: Mapping[str, Any]) -> str:
        is_hidden = sample.get("copied") and not self._raw
        return _COPY if is_hidden else str(sample["post"])


class JsonlTail:
    """Reads a JSON lines file that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def read(self) -> list[dict[str, Any]]:
        """New values; an incomplete last line is left for the next call."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._position)
            lines = file.read().rpartition(b"\n")[0]
            if lines:
                self._position += len(lines) + 1
            values = []
            for line in lines.splitlines():
                with suppress(ValueError, RecursionError):  # truncated by a crash
                    values.append(json.loads(line))
            return [value for value in values if isinstance(value, dict)]
        return []


def _config(record: RunRecord) -> dict[str, Any]:
    """Options, versions, seed and machine, without folders, which may contain user names."""
    config = {key: value for key, value in record.config.items() if key not in _OMITTED_OPTIONS}
    config["sources"] = [_without_folder(source) for source in config.get("sources", ())]
    config["base"] = _without_folder(str(config.get("base")))
    return {
        **config,
        "authors": record.authors,
        "versions": record.versions,
        "machine": record.machine,
        "created_at": record.created_at,
    }


def _without_folder(source: str) -> str:
    return Path(source).name if Path(source).is_absolute() else source


def _download_counts(record: RunRecord) -> dict[str, float]:
    by_author = {
        f"posts/{author}": counts.get("downloaded", 0)
        for author, counts in record.counts_by_author.items()
    }
    return {**by_author, "posts/downloaded": record.counts.get("downloaded", 0)}


def _result(record: RunRecord) -> dict[str, float]:
    """The result of training, and the seconds of each stage."""
    result = {f"result/{key}": record.result[key] for key in _RESULT if key in record.result}
    seconds = {f"seconds/{stage}": value for stage, value in record.seconds.items()}
    return _only_finite(result | seconds)


def _log_likeness(run: RunFolder, tracker: Tracker, step: int) -> None:
    """Log the numbers of the likeness report, without its quotes."""
    try:
        report = files.read_json(run.report_json)
    except (OSError, ValueError):
        return
    measures = ("bits_per_byte", "copied", "longest_copied_run", "diversity", "taken_for_author")
    numbers = _only_finite(_flatten({name: report.get(name) for name in measures}))
    tracker.log({f"likeness/{name}": value for name, value in numbers.items()}, step)
    rows = [[name, float(value)] for name, value in numbers.items()]
    tracker.table("likeness", ("measure", "value"), rows, step)


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested mappings, with names like ``bits_per_byte/bot``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}/{key}": nested for key, nested in _flatten(value).items()}
        else:
            flat[name] = value
    return flat


def _only_finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are finite numbers."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
