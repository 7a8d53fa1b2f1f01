"""Chunked AdamW equals torch's AdamW."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import adamw_bf16

if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]
SHAPES = {"matrix": (9, 7), "vector": (5,), "frozen": (3,)}
CLIP = 0.5


def weights() -> Weights:
    """Weights whose values are exact in bfloat16."""
    import torch

    torch.manual_seed(0)
    return {n: torch.randn(s).bfloat16().float().requires_grad_() for n, s in SHAPES.items()}


def optimizer_of(masters: Weights) -> torch.optim.AdamW:
    import torch

    groups = [
        {"params": [masters["matrix"]], "weight_decay": 0.2},
        {"params": [masters["vector"], masters["frozen"]], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.95), fused=True)


def gradients(number: int) -> Weights:
    import torch

    torch.manual_seed(number)
    return {n: torch.randn(s).bfloat16() for n, s in SHAPES.items() if n != "frozen"}


@pytest.mark.parametrize("chunk_size", [4, 1000])
def test_steps_equal_those_of_torch(chunk_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(adamw_bf16, "_CHUNK_SIZE", chunk_size)
    masters, reference = weights(), weights()
    params = {name: weight.detach().bfloat16() for name, weight in masters.items()}
    optimizer, reference_optimizer = optimizer_of(masters), optimizer_of(reference)
    for number in range(3):
        for name, gradient in gradients(number).items():
            params[name].grad, reference[name].grad = gradient.clone(), gradient.float()
        adamw_bf16.step(optimizer, masters, params, CLIP)
        torch.nn.utils.clip_grad_norm_(reference.values(), CLIP)
        reference_optimizer.step()
        assert all(weight.grad is None for weight in params.values())
    for name, weight in reference.items():
        torch.testing.assert_close(masters[name], weight, rtol=1e-2, atol=1e-3)
        assert torch.equal(params[name], masters[name].detach().bfloat16())
    for ours, expected in ((masters[n], reference[n]) for n in ("matrix", "vector")):
        assert optimizer.state[ours].keys() == reference_optimizer.state[expected].keys()
        for key, value in reference_optimizer.state[expected].items():
            # the norm for clipping is rounded to bfloat16
            torch.testing.assert_close(optimizer.state[ours][key], value, rtol=2e-2, atol=1e-4)
    assert masters["frozen"] not in optimizer.state


def test_gradients_within_the_maximum_norm_are_not_clipped() -> None:
    import torch

    masters = weights()
    params = {name: weight.detach().bfloat16() for name, weight in masters.items()}
    params["vector"].grad = torch.full((5,), 0.125, dtype=torch.bfloat16)
    optimizer = optimizer_of(masters)
    adamw_bf16.step(optimizer, masters, params, CLIP)
    moment = optimizer.state[masters["vector"]]["exp_avg"]
    torch.testing.assert_close(moment, torch.full((5,), 0.0125), rtol=1e-6, atol=0)
