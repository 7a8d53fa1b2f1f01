"""The faster dropout behaves like torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import dropout

if TYPE_CHECKING:
    import torch


def fast_dropout(rate: float) -> torch.nn.Module:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(rate))
    dropout.replace_dropout(model)
    assert type(model[1]) is not torch.nn.Dropout
    assert isinstance(model[1], torch.nn.Dropout)
    return model[1]


def test_has_dropout() -> None:
    import torch

    assert dropout.has_dropout(fast_dropout(0.1))
    assert not dropout.has_dropout(
        torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.0))
    )


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
def test_the_rate_and_the_mean_are_kept(rate: float) -> None:
    import torch

    torch.manual_seed(0)
    size = 1_000_003  # not a multiple of the four that share a random number
    output = fast_dropout(rate)(torch.full((size,), 3.0))
    assert torch.allclose(output[output != 0], torch.tensor(3 / (1 - rate)))
    spread = (rate * (1 - rate) / size) ** 0.5
    assert (output == 0).float().mean().item() == pytest.approx(rate, abs=5 * spread)


def test_neighbours_are_dropped_independently() -> None:
    import torch

    torch.manual_seed(1)
    dropped = (fast_dropout(0.5)(torch.ones(400_000)) == 0).float().reshape(-1, 4)
    assert torch.corrcoef(dropped.T).sub(torch.eye(4)).abs().max() < 0.02


def test_only_kept_values_get_gradients() -> None:
    import torch

    values = torch.randn(5, 70, requires_grad=True)
    dropped = fast_dropout(0.3)(values)
    dropped.backward(torch.full_like(values, 2.0))
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)
    assert torch.allclose(values.grad[dropped != 0], torch.tensor(2 / 0.7))


def test_the_same_seed_gives_the_same_mask_and_the_next_call_another() -> None:
    import torch

    layer, values = fast_dropout(0.4), torch.ones(999)
    torch.manual_seed(5)
    first, second = layer(values), layer(values)
    torch.manual_seed(5)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_nothing_is_dropped_in_evaluation(rate: float) -> None:
    import torch

    values = torch.randn(50)
    assert torch.equal(fast_dropout(rate).eval()(values), values)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_rates_zero_and_one(rate: float, expected: float) -> None:
    import torch

    assert torch.equal(fast_dropout(rate)(torch.ones(50)), torch.full((50,), expected))
