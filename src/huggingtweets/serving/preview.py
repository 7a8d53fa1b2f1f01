"""What is in the sources of an order, and how long a bot of it will take."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import curation, sources
from huggingtweets.data import batching
from huggingtweets.errors import BotError, HuggingTweetsError, InsufficientTextError
from huggingtweets.nn import bases, devices
from huggingtweets.serving.schemas import Dropped, SourcePreview
from huggingtweets.sources.reading import ReadOptions
from huggingtweets.storage import run_folder
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.curation import Curated
    from huggingtweets.serving.schemas import TrainingRequest

_EXAMPLES = 10
_TOKENS_A_CHARACTER = 0.28
"""Of short posts, with their links taken out: 22 thousand tokens in 80 thousand characters."""

_START = 6.0  # seconds until a run trains: imports, the base, the first measurement
_JUDGE_AT = 20_000.0
"""Tokens to be trained in the time that judging takes: 200 posts of some thirty tokens are drawn,
one at a time being three times as slow as learning it, and held-out posts are measured."""

_HUB_WEIGHTS = {"gpt2": 124e6, "openai-community/gpt2": 124e6, "distilgpt2": 82e6}
_LAST_RUNS = 3


def preview_sources(
    specs: Sequence[str | Path], order: TrainingRequest, base: str, runs: Sequence[Path]
) -> SourcePreview:
    """Read and curate, as a training would.

    Args:
        specs: as the pipeline reads them.
        order: how they are read, and the recipe.
        base: what the bot will be made from.
        runs: folders whose runs tell how fast this machine is.

    Raises:
        SourceError: a source can't be read.
        OptedOutError: an author asked not to be imitated.
    """
    reading = ReadOptions(
        author=order.author or None,
        speaker=order.speaker or None,
        i_am_the_author=order.i_am_the_author,
    )
    posts = sources.read_posts(specs, reading)
    curated = curation.curate(posts)
    read = posts["author"].unique(maintain_order=True).to_list()
    kept = curated.kept["text"]
    characters = int(kept.str.len_chars().sum())
    counts_by_author = curated.counts_by_author
    return SourcePreview(
        authors=tuple(author for author in read if counts_by_author[author]["kept"]),
        counts=curated.counts,
        counts_by_author=counts_by_author,
        kept_examples=_spread(kept),
        dropped=_dropped(curated),
        warning=_warning(curated),
        characters=characters,
        estimate_seconds=estimate(characters, order, base, runs) if characters else None,
    )


def _spread(texts: pl.Series) -> tuple[str, ...]:
    """Ten of the texts, from the first to the last."""
    count = min(_EXAMPLES, len(texts))
    return tuple(texts[round(i * (len(texts) - 1) / max(1, count - 1))] for i in range(count))


def _dropped(curated: Curated) -> tuple[Dropped, ...]:
    found = []
    for reason, count in curated.counts.items():
        if reason not in ("downloaded", "kept"):
            texts = curated.dropped.filter(pl.col("reason") == reason)["text"]
            found.append(Dropped(reason, count, texts[-1] if len(texts) else None))
    return tuple(found)


def _warning(curated: Curated) -> str | None:
    try:
        return batching.text_amount_warning(curated.kept)
    except InsufficientTextError as error:
        return str(error)


def estimate(
    characters: int, order: TrainingRequest, base: str, runs: Sequence[Path]
) -> float | None:
    """Seconds that training and judging will take.

    Tokens (characters x 0.28, nine tenths of them for training) x epochs, over the tokens a second
    that the last three finished runs from the same base reached on this machine, judging told by
    them as well. Without such a run the speed is reckoned: a share of what matrix products reach
    here (a fifth of a second is spent to measure that, once), over 6 operations a weight and token;
    a quarter for models as small as ``pocket``, whose time goes to small steps, half for larger
    ones. None where the number of weights isn't known either.
    """
    recipe = RECIPES.get(order.recipe, RECIPES["fast"])
    tokens = 0.9 * _TOKENS_A_CHARACTER * characters * (order.epochs or recipe.epochs)
    if told := _told_by_runs(base, runs):
        speed, judging = told
        return round(tokens / speed + judging + _START, 1)
    weights = _weights(base)
    if weights is None:
        return None
    share = 0.25 if weights < 20e6 else 0.5
    speed = share * _flops() / (6 * weights)
    return round((tokens + _JUDGE_AT) / speed + _START, 1)


def _told_by_runs(base: str, runs: Sequence[Path]) -> tuple[float, float] | None:
    """Tokens a second and seconds of judging, as means over the last runs from this base."""
    speeds, judging = [], []
    for folder in runs:
        for one in reversed(run_folder.list_runs(folder)):
            try:
                record = one.record()
            except BotError:
                continue
            result: dict[str, Any] = record.result
            same = record.config.get("base") == base and record.state == "done"
            if same and result.get("tokens") and result.get("seconds"):
                speeds.append(result["tokens"] / result["seconds"])
                judging.append(record.seconds.get("evaluate", 10.0))
            if len(speeds) == _LAST_RUNS:
                break
    if not speeds:
        return None
    return sum(speeds) / len(speeds), sum(judging) / len(judging)


def _weights(base: str) -> float | None:
    """How many weights a base has, told by its file's header or by heart; nothing is loaded."""
    if base in bases.BUILT_IN:
        return float(bases.named(base).parameters)
    folder = Path(base)
    file = folder / "model.safetensors"
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, 10_000_000)))
    except (OSError, ValueError, struct.error):
        return _HUB_WEIGHTS.get(base)
    shapes = [value["shape"] for name, value in header.items() if name != "__metadata__"]
    return float(sum(_product(shape) for shape in shapes))


def _product(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


@lru_cache(maxsize=1)
def _flops() -> float:
    try:
        return devices.matmul_flops(devices.select_device())
    except (HuggingTweetsError, RuntimeError):
        return 50e9
