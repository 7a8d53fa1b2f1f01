"""The quicker dropout does what torch's does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import dropout

if TYPE_CHECKING:
    import torch


def quick(rate: float) -> torch.nn.Module:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(rate))
    dropout.replace_dropout(model)
    assert type(model[1]) is not torch.nn.Dropout
    assert isinstance(model[1], torch.nn.Dropout)
    return model[1]


def test_a_model_with_dropout_is_told_from_one_without() -> None:
    import torch

    assert dropout.is_in(quick(0.1))
    assert not dropout.is_in(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.0)))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_asked_and_the_mean_stays(rate: float) -> None:
    import torch

    torch.manual_seed(0)
    size = 1_000_003  # no multiple of the four that share a random number
    found = quick(rate)(torch.full((size,), 3.0))
    assert torch.allclose(found[found != 0], torch.tensor(3 / (1 - rate)))
    spread = (rate * (1 - rate) / size) ** 0.5
    assert (found == 0).float().mean().item() == pytest.approx(rate, abs=5 * spread)


def test_neighbours_fall_independently() -> None:
    import torch

    torch.manual_seed(1)
    fallen = (quick(0.5)(torch.ones(400_000)) == 0).float().reshape(-1, 4)
    assert torch.corrcoef(fallen.T).sub(torch.eye(4)).abs().max() < 0.02


def test_gradients_flow_where_values_did() -> None:
    import torch

    values = torch.randn(5, 70, requires_grad=True)
    dropped = quick(0.3)(values)
    dropped.backward(torch.full_like(values, 2.0))
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)
    assert torch.allclose(values.grad[dropped != 0], torch.tensor(2 / 0.7))


def test_the_same_seed_drops_the_same_and_the_next_draw_differs() -> None:
    import torch

    layer, values = quick(0.4), torch.ones(999)
    torch.manual_seed(5)
    one, next_one = layer(values), layer(values)
    torch.manual_seed(5)
    assert torch.equal(layer(values), one)
    assert not torch.equal(one, next_one)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_nothing_falls_when_it_is_not_trained(rate: float) -> None:
    import torch

    values = torch.randn(50)
    assert torch.equal(quick(rate).eval()(values), values)


@pytest.mark.parametrize(("rate", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_none_and_all(rate: float, left: float) -> None:
    import torch

    assert torch.equal(quick(rate)(torch.ones(50)), torch.full((50,), left))
