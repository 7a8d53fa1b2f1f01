"""More posts to train on: those that the base rewrote and that still pass for the author's.

The base replaces words of the training posts (:mod:`huggingtweets.generation.rewriting`), and an
authorship classifier (:mod:`huggingtweets.evaluation.authorship`) drops what no longer passes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from huggingtweets.decoding import decode
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

_SECONDS_BETWEEN_EVENTS = 0.25


def paraphrases(
    base: LanguageModel,
    train: Mapping[str, Sequence[str]],
    file: Path,
    machine: ComputeDevice,
    *,
    seed: int,
    listen: EventHandler = ignore,
) -> dict[str, list[str]]:
    """Rewrite the training posts of each author, at most one new post for each.

    They are stored in ``file``, so that a resumed training has the same ones on any machine.

    Args:
        base: the base; its weights don't change.
        train: training posts by author. No other posts may be given.
        file: where the new posts are stored, a private file.
        machine: where to compute.
        seed: determines the new posts on one machine.
        listen: called with events of the stage ``train``.

    Raises:
        StorageError: the file can't be written.
    """
    stored = _read(file)
    if stored is not None and stored.keys() == train.keys():
        return stored
    result = rewritten(base, train, machine, seed=seed, listen=listen)
    files.write_json(file, result)
    return result


def rewritten(
    base: LanguageModel,
    train: Mapping[str, Sequence[str]],
    machine: ComputeDevice,
    *,
    seed: int,
    listen: EventHandler = ignore,
) -> dict[str, list[str]]:
    """As :func:`paraphrases`, without a file."""
    import torch

    from huggingtweets.evaluation.authorship import still_by_author
    from huggingtweets.generation.rewriting import rewrite
    from huggingtweets.nn import language_model

    stored_dtype = base.model.dtype
    # never to fewer digits: the base is trained afterwards
    dtype = torch.float32 if machine.precision == "fp32" else stored_dtype
    language_model.convert(base.model, torch.device(machine.device), dtype)
    result: dict[str, list[str]] = {}
    for author, posts in train.items():
        texts = rewrite(base, posts, seed, _reporter(author, listen))
        kept = still_by_author(posts, texts, authors=train)
        known = set(posts)
        result[author] = [
            text
            for text, is_kept in zip(texts, kept, strict=True)
            if text is not None and is_kept and text not in known
        ]
        count = sum(text is not None for text in texts)
        message = (
            f"{author}: {count:,} of {len(posts):,} posts rewritten, "
            f"{len(result[author]):,} of them still pass for the author's"
        )
        listen(Event(stage="train", message=message))
    language_model.convert(base.model, base.device, stored_dtype)
    return result


def _reporter(author: str, listen: EventHandler) -> Callable[[int, int], None]:
    """Return a function that reports the number of rewritten posts a few times a second."""
    reported_at = 0.0

    def report(done: int, total: int) -> None:
        nonlocal reported_at
        if done < total and time.monotonic() - reported_at < _SECONDS_BETWEEN_EVENTS:
            return
        reported_at = time.monotonic()
        listen(Event("rewrite", done, total, f"posts of {author}"))

    return report


def _read(file: Path) -> dict[str, list[str]] | None:
    """What an earlier start of the same training stored; None if there is nothing to read."""
    try:
        return decode(file.read_bytes(), dict[str, list[str]])
    except (OSError, ValueError):
        return None
