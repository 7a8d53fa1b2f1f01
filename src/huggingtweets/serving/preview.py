"""Preview of a request: the content of its sources and the expected training time."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, ColumnError, HuggingTweetsError, SpeakerError
from huggingtweets.nn import bases, devices
from huggingtweets.processes.limited import never
from huggingtweets.serving.schemas import SourcePreview
from huggingtweets.serving.source_summary import summarise
from huggingtweets.sources.reading import VISITORS, ReadOptions
from huggingtweets.storage import run_folder
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.events import Event
    from huggingtweets.serving.schemas import Settings, TrainingRequest

_TOKENS_PER_CHARACTER = 0.28
"""Measured on short posts without links: 22 thousand tokens in 80 thousand characters."""

_STARTUP_SECONDS = 6.0  # imports, loading the base, the first held-out loss
_EVALUATION_TOKENS = 20_000.0
"""Cost of evaluation in trained tokens: 200 posts of about 30 tokens are sampled, each token
costing as much as training on three, and the held-out loss is computed."""

_HUB_PARAMETERS = {"gpt2": 124e6, "openai-community/gpt2": 124e6, "distilgpt2": 82e6}
_LAST_RUNS = 3


def preview_sources(
    specs: Sequence[str | Path],
    order: TrainingRequest,
    settings: Settings,
    runs: Sequence[Path],
    is_cancelled: Callable[[], bool] = never,
) -> SourcePreview:
    """Read and curate the sources as a training would.

    Args:
        specs: the sources, as the pipeline reads them.
        order: the request, for its recipe and reading options.
        settings: of the server.
        runs: runs folders that show how fast this machine is.
        is_cancelled: called ten times a second; True ends the reading.

    Raises:
        ColumnError: a table's column with the posts is unknown; the error holds its columns.
        SpeakerError: a chat has several people; the error holds them.
        SourceError: a source can't be read or is beyond the limits.
        OptedOutError: an author has opted out of being imitated.
        Interrupted: it was cancelled.
    """
    people: dict[str, int] = {}
    columns: list[str] = []

    def listen(event: Event) -> None:
        people.update(event.people or {})
        columns.extend(event.columns or ())

    reading = ReadOptions(
        text_column=order.text_column or None,
        listen=listen,
        author=order.author or None,
        speaker=order.speaker or None,
        join=order.join,
        keep_names=order.keep_names,
        i_am_the_author=order.i_am_the_author,
        limits=settings.download_limits,
        file_limits=VISITORS,
        is_cancelled=is_cancelled,
    )
    try:
        summary = summarise(specs, reading)
    except SpeakerError as error:
        error.people = people
        raise
    except ColumnError as error:
        error.columns = tuple(columns)
        raise
    characters, base = summary.characters, order.base or settings.base
    return SourcePreview(
        **{field.name: getattr(summary, field.name) for field in fields(summary)},
        estimate_seconds=estimate(characters, order, base, runs) if characters else None,
    )


def estimate(
    characters: int, order: TrainingRequest, base: str, runs: Sequence[Path]
) -> float | None:
    """Estimate the seconds that training and evaluation will take.

    Training sees ``characters`` x 0.28 tokens, of which 90 % are training posts, in each epoch.
    Speed and evaluation time are means over the last three finished runs from the same base.

    Without such a run, speed is a share of this machine's matrix multiplication throughput
    (measured once, in 0.2 s), divided by 6 operations per parameter and token: a quarter for models
    as small as ``pocket``, whose steps are dominated by overhead, half for larger ones.

    Returns:
        Seconds, or None if the number of parameters is unknown.
    """
    recipe = RECIPES.get(order.recipe, RECIPES["fast"])
    tokens = 0.9 * _TOKENS_PER_CHARACTER * characters * (order.epochs or recipe.epochs)
    if past := _past_speed(base, runs):
        speed, evaluation = past
        return round(tokens / speed + evaluation + _STARTUP_SECONDS, 1)
    parameters = _parameters(base)
    if parameters is None:
        return None
    share = 0.25 if parameters < 20e6 else 0.5
    speed = share * _flops() / (6 * parameters)
    return round((tokens + _EVALUATION_TOKENS) / speed + _STARTUP_SECONDS, 1)


def _past_speed(base: str, runs: Sequence[Path]) -> tuple[float, float] | None:
    """Mean tokens per second and seconds of evaluation of the last runs from this base."""
    speeds, evaluations = [], []
    for folder in runs:
        for run in reversed(run_folder.list_runs(folder)):
            try:
                record = run.record()
            except BotError:
                continue
            result: dict[str, Any] = record.result
            same = record.config.get("base") == base and record.state == "done"
            if same and result.get("tokens") and result.get("seconds"):
                speeds.append(result["tokens"] / result["seconds"])
                evaluations.append(record.seconds.get("evaluate", 10.0))
            if len(speeds) == _LAST_RUNS:
                break
    if not speeds:
        return None
    return sum(speeds) / len(speeds), sum(evaluations) / len(evaluations)


def _parameters(base: str) -> float | None:
    """Number of parameters of a base, from its file header; no weights are loaded."""
    if base in bases.BUILT_IN:
        return float(bases.named(base).parameters)
    folder = Path(base)
    file = folder / "model.safetensors"
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, 10_000_000)))
    except (OSError, ValueError, struct.error):
        return _HUB_PARAMETERS.get(base)
    shapes = [value["shape"] for name, value in header.items() if name != "__metadata__"]
    return float(sum(math.prod(shape) for shape in shapes))


@lru_cache(maxsize=1)
def _flops() -> float:
    """Matrix multiplication throughput of this machine, in operations per second."""
    try:
        return devices.matmul_flops(devices.select_device())
    except (HuggingTweetsError, RuntimeError):
        return 50e9
