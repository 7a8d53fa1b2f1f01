"""The cache of open bots."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import copy_run

from huggingtweets.nn import devices, quantization
from huggingtweets.serving.bot_cache import BotCache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder

    Start = Callable[..., Service]


def shift_weights(run: RunFolder, by: float, prefix: str = "") -> RunFolder:
    """Add a number to all weights whose names begin with the prefix."""
    from safetensors.torch import load_file, save_file

    file = run.bot / "model.safetensors"
    weights = load_file(file)
    shifted = {n: w + by if n.startswith(prefix) else w for n, w in weights.items()}
    save_file(shifted, file, {"format": "pt"})
    return run


def size_of_one(run: RunFolder) -> int:
    bots = BotCache(1e9)
    bots.open(run)
    return bots.size


def test_least_recently_used_bots_are_closed(tmp_path: Path, finished: RunFolder) -> None:
    runs = [shift_weights(copy_run(finished, tmp_path, f"bot{i}"), 0.01 * i) for i in range(4)]
    size = size_of_one(runs[0])
    bots = BotCache(2.5 * size)
    first, second = bots.open(runs[0]), bots.open(runs[1])
    assert bots.open(runs[0]) is first
    bots.open(runs[2])  # closes the second
    assert len(bots) == 2
    assert bots.size <= 2.5 * size
    assert bots.open(runs[0]) is first
    assert bots.open(runs[1]) is not second
    tiny = BotCache(1.0)
    assert tiny.open(runs[3]).bot.index is not None
    assert len(tiny) == 1


def test_retrained_bot_is_opened_again(tmp_path: Path, finished: RunFolder) -> None:
    run = copy_run(finished, tmp_path)
    bots = BotCache(1e9)
    before = bots.open(run)
    shutil.copytree(run.bot, tmp_path / "new")
    shutil.rmtree(run.bot)
    (tmp_path / "new").rename(run.bot)
    os.utime(run.bot)
    assert bots.open(run) is not before
    assert len(bots) == 1


def test_equal_weights_are_shared(tmp_path: Path, finished: RunFolder) -> None:
    import torch
    from safetensors.torch import load_file

    top = max(n for n in load_file(finished.bot / "model.safetensors") if ".layers." in n)
    run = copy_run(finished, tmp_path, "one")
    other = shift_weights(copy_run(finished, tmp_path, "other"), 0.5, prefix=top)
    bots = BotCache(1e9)
    first = bots.open(run)
    before = bots.size
    second = bots.open(other)
    differing = next(w for n, w in second.bot.model.model.named_parameters() if n == top)
    assert bots.size == before + differing.nbytes + second.overhead
    theirs = {w.data_ptr() for w in first.weights()}
    assert [w.data_ptr() for w in second.weights() if w.data_ptr() not in theirs] == [
        differing.data_ptr()
    ]
    expected = BotCache(1e9).open(other).weights()
    assert all(torch.equal(a, b) for a, b in zip(second.weights(), expected, strict=True))
    bots.close(run)
    assert bots.size == size_of_one(other)


@pytest.mark.skipif(
    not quantization.has_fast_fp16_weights(), reason="torch has no such products for this processor"
)
def test_equal_weights_packed_in_fp16_are_shared(
    tmp_path: Path, finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr(devices, "_computes_bf16", lambda *_: False)
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: False)
    monkeypatch.setattr(quantization, "MIN_PARAMS", 1)
    monkeypatch.setattr(quantization, "_MIN_INPUTS", 1)
    weights = load_file(finished.bot / "model.safetensors")
    top = max(n for n in weights if ".layers." in n and n.endswith("proj.weight"))
    run = copy_run(finished, tmp_path, "one")
    other = shift_weights(copy_run(finished, tmp_path, "other"), 0.5, prefix=top)
    bots = BotCache(1e9)
    first = bots.open(run)
    before = bots.size
    second = bots.open(other)
    packed = {id(layer.packed) for layer in first.packed()}
    own = [layer for layer in second.packed() if id(layer.packed) not in packed]
    assert len(packed) > 2
    assert [layer.nbytes for layer in own] == [2 * weights[top].numel()]
    assert bots.size == before + own[0].nbytes + second.overhead
