"""Sets of weights stored in memory and on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import BotError
from huggingtweets.training.weight_store import WeightStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("in_files", [True, False])
def test_sets_are_copies_of_the_weights_when_saved(tmp_path: Path, in_files: bool) -> None:
    import torch

    store = WeightStore(tmp_path / "new" if in_files else None)
    weight = torch.arange(6.0).reshape(2, 3)
    store.save("base", {"w": weight})
    store.save("best", {"w": weight})
    weight += 1
    store.save("best", {"w": weight})
    assert torch.equal(store.load("base")["w"], weight - 1)
    assert torch.equal(store.load("best")["w"], weight)
    files = {file.name for file in tmp_path.glob("new/*")}
    assert files == ({"base.safetensors", "best.safetensors"} if in_files else set())


@pytest.mark.parametrize("left", [None, 0, 20])
def test_a_damaged_file_is_reported_in_one_sentence(tmp_path: Path, left: int | None) -> None:
    import torch

    store = WeightStore(tmp_path)
    store.save("best", {"w": torch.zeros(9)})
    file = tmp_path / "best.safetensors"
    if left is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(BotError, match=r"best\.safetensors is damaged .*; train the bot again\.$"):
        store.load("best")
