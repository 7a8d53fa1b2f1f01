"""A preallocated cache always holds what transformers' cache holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.nn import kv_cache, language_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["tiny_base", "dropout_base"])
def model(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - of transformers
    base: Path = request.getfixturevalue(request.param)
    return language_model.load(base).model


def test_growing_and_losing_rows_equal_those_of_transformers(model: Any) -> None:  # noqa: ANN401 - of transformers
    import torch

    ids = torch.arange(5 * 60).reshape(5, 60)
    rows = torch.arange(5)
    with torch.inference_mode():
        plain, preallocated = (
            model(input_ids=ids[:1, :3], use_cache=True).past_key_values for _ in range(2)
        )
        kv_cache.preallocate(preallocated)
        assert all(
            type(layer).__name__ == "PreallocatedCacheLayer" for layer in preallocated.layers
        )
        for cache in (plain, preallocated):
            cache.batch_repeat_interleave(5)
        for at in range(3, 60):  # one token at a time, far beyond the preallocated room
            if at in (10, 11, 50):
                rows = rows[1:]
                for cache in (plain, preallocated):
                    cache.batch_select_indices(torch.arange(1, len(rows) + 1))
            inputs = ids[rows, at : at + 1]
            expected, actual = (
                model(input_ids=inputs, past_key_values=cache, use_cache=True).logits
                for cache in (plain, preallocated)
            )
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
            assert preallocated.get_seq_length() == plain.get_seq_length() == at + 1
    for one, other in zip(plain.layers, preallocated.layers, strict=True):
        torch.testing.assert_close(other.keys, one.keys, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other.values, one.values, rtol=1e-5, atol=1e-6)


def test_tokens_are_written_in_place_while_room_is_left(model: Any) -> None:  # noqa: ANN401 - of transformers
    import torch

    addresses = set()
    with torch.inference_mode():
        cache = model(input_ids=torch.zeros(2, 3, dtype=torch.long), use_cache=True).past_key_values
        kv_cache.preallocate(cache)
        for _ in range(20):
            model(input_ids=torch.ones(2, 1, dtype=torch.long), past_key_values=cache)
            addresses.add(cache.layers[0].keys.data_ptr())
    assert len(addresses) == 1


def test_sliding_window_layers_are_not_replaced() -> None:
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    cache = DynamicCache()
    cache.layers = [DynamicSlidingWindowLayer(sliding_window=4), DynamicLayer()]
    cache.update(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 4), 0)
    before = list(cache.layers)
    kv_cache.preallocate(cache)
    assert cache.layers == before  # the second is still empty
