"""Weights that a run holds on to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import BotError
from huggingtweets.training.weight_store import WeightStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("in_files", [True, False])
def test_what_is_kept_is_what_it_was_then(tmp_path: Path, in_files: bool) -> None:
    import torch

    kept = WeightStore(tmp_path / "new" if in_files else None)
    weight = torch.arange(6.0).reshape(2, 3)
    kept.put("base", {"w": weight})
    kept.put("best", {"w": weight})
    weight += 1
    kept.put("best", {"w": weight})
    assert torch.equal(kept.take("base")["w"], weight - 1)
    assert torch.equal(kept.take("best")["w"], weight)
    files = {file.name for file in tmp_path.glob("new/*")}
    assert files == ({"base.safetensors", "best.safetensors"} if in_files else set())


@pytest.mark.parametrize("left", [None, 0, 20])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, left: int | None) -> None:
    import torch

    kept = WeightStore(tmp_path)
    kept.put("best", {"w": torch.zeros(9)})
    file = tmp_path / "best.safetensors"
    if left is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(BotError, match=r"best\.safetensors is damaged .*; train the bot anew\.$"):
        kept.take("best")
