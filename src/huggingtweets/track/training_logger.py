"""From a run folder to a tracker, while the run goes on or afterwards.

Everything is in the run folder, so the story is always told from the beginning: for a run that
goes on after a stop, and for one whose tracker died.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
"""Fields of an event and what they are called in a tracker."""

_RESULT = ("best", "steps", "tokens", "seconds", "stopped_early")
_ELSEWHERE = ("out", "track", "raw_artifacts")  # options that say nothing about the bot


def follow(
    run: RunFolder, name: str, tracker: Tracker, lineage: Lineage, over: Callable[[], bool]
) -> None:
    """Tell a tracker all about a run.

    Args:
        run: finished, or under way.
        name: the beginning of the jobs' ids, the same each time.
        tracker: is told.
        lineage: the run's artifacts.
        over: waits a moment and says whether the run has ended.
    """
    record = run.record()
    config = _config(record)

    def start(kind: str) -> None:
        tracker.start(Job(f"{name}-{kind}", kind, f"{record.name}-{kind}", record.name, config))

    start("download")
    tracker.log(_downloaded(record), 0)
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
    course, events = TrainingLogger(tracker), JsonlTail(run.events_file)
    ended = False
    while not ended:
        ended = over()  # asked first, so that what was written last is still read
        course.tell(events.read())
    record = run.record()
    tracker.log(_result(record), course.step)
    if record.state == "done":
        _tell_likeness(run, tracker, course.step)
    if bot := lineage.bot():
        tracker.artifact(bot)
    tracker.finish(ok=record.state == "done")


class TrainingLogger:
    """The course of training, as numbers and as a growing table of posts."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.step = 0
        self._posts: list[list[Any]] = []
        self._begun = False

    def tell(self, events: list[dict[str, Any]]) -> None:
        """Log what has happened since the last call."""
        training = [event for event in events if event.get("stage") == "train"]
        if not self._begun:  # a run may have started over, and steps can't fall
            starts = [i for i, event in enumerate(training) if not event.get("done")]
            training = training[starts[-1] if starts else 0 :]
        for event in training:
            self._begun = True
            # after a crash some steps come again, just as they were
            if event.get("done", 0) >= self.step:
                self.step = event.get("done", 0)
                self._tell(event)

    def _tell(self, event: Mapping[str, Any]) -> None:
        found = {NUMBERS[field]: event[field] for field in NUMBERS if field in event}
        self._tracker.log(_finite(found), self.step)
        if samples := event.get("samples"):
            self._posts += [
                [self.step, sample["prompt"], sample["post"], sample["novelty"]]
                for sample in samples
            ]
            columns = ("step", "prompt", "post", "novelty")
            self._tracker.table("predictions", columns, self._posts, self.step)


class JsonlTail:
    """Lines of JSON that are appended to a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def read(self) -> list[dict[str, Any]]:
        """What is new; a line that is still being written waits for the next call."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._at)
            lines = file.read().rpartition(b"\n")[0]
            if lines:
                self._at += len(lines) + 1
            found = []
            for line in lines.splitlines():
                with suppress(ValueError):  # cut by a crash
                    found.append(json.loads(line))
            return found
        return []


def _config(record: RunRecord) -> dict[str, Any]:
    """Options, versions, seed and machine, without paths: they hold people's names."""
    config = {key: value for key, value in record.config.items() if key not in _ELSEWHERE}
    config["sources"] = [_last_part(source) for source in config.get("sources", ())]
    config["base"] = _last_part(str(config.get("base")))
    return {
        **config,
        "authors": record.authors,
        "versions": record.versions,
        "machine": record.machine,
        "created_at": record.created_at,
    }


def _last_part(source: str) -> str:
    return Path(source).name if Path(source).is_absolute() else source


def _downloaded(record: RunRecord) -> dict[str, float]:
    by_author = {
        f"posts/{author}": counts.get("downloaded", 0)
        for author, counts in record.counts_by_author.items()
    }
    return {**by_author, "posts/downloaded": record.counts.get("downloaded", 0)}


def _result(record: RunRecord) -> dict[str, float]:
    """How training came out, and the seconds of each stage."""
    result = {f"result/{key}": record.result[key] for key in _RESULT if key in record.result}
    return _finite(result | {f"seconds/{stage}": took for stage, took in record.seconds.items()})


def _tell_likeness(run: RunFolder, tracker: Tracker, step: int) -> None:
    """The numbers of the likeness report; the texts in it are the author's."""
    try:
        report = json.loads(run.report_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    measures = ("bits_per_byte", "copied", "longest_copied_run", "diversity", "taken_for_author")
    found = _finite(_flat({name: report.get(name) for name in measures}))
    tracker.log({f"likeness/{name}": value for name, value in found.items()}, step)
    rows = [[name, float(value)] for name, value in found.items()]
    tracker.table("likeness", ("measure", "value"), rows, step)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, with names like ``bits_per_byte/bot``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= {f"{name}/{key}": of for key, of in _flat(value).items()}
        else:
            found[name] = value
    return found


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Only what is a number."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
