"""AdamW a piece at a time is torch's AdamW."""

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
    """With values that bfloat16 holds exactly."""
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


@pytest.mark.parametrize("piece", [4, 1000])
def test_steps_are_those_of_torch(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(adamw_bf16, "_PIECE", piece)
    masters, plain = weights(), weights()
    halved = {name: weight.detach().bfloat16() for name, weight in masters.items()}
    optimizer, theirs = optimizer_of(masters), optimizer_of(plain)
    for number in range(3):
        for name, gradient in gradients(number).items():
            halved[name].grad, plain[name].grad = gradient.clone(), gradient.float()
        adamw_bf16.step(optimizer, masters, halved, CLIP)
        torch.nn.utils.clip_grad_norm_(plain.values(), CLIP)
        theirs.step()
        assert all(weight.grad is None for weight in halved.values())
    for name, weight in plain.items():
        torch.testing.assert_close(masters[name], weight, rtol=1e-2, atol=1e-3)
        assert torch.equal(halved[name], masters[name].detach().bfloat16())
    for ours, expected in ((masters[n], plain[n]) for n in ("matrix", "vector")):
        assert optimizer.state[ours].keys() == theirs.state[expected].keys()
        for key, value in theirs.state[expected].items():
            # the norm that gradients are divided by is rounded to bfloat16
            torch.testing.assert_close(optimizer.state[ours][key], value, rtol=2e-2, atol=1e-4)
    assert masters["frozen"] not in optimizer.state


def test_gradients_within_the_norm_are_not_touched() -> None:
    import torch

    masters = weights()
    halved = {name: weight.detach().bfloat16() for name, weight in masters.items()}
    halved["vector"].grad = torch.full((5,), 0.125, dtype=torch.bfloat16)
    optimizer = optimizer_of(masters)
    adamw_bf16.step(optimizer, masters, halved, CLIP)
    moment = optimizer.state[masters["vector"]]["exp_avg"]
    torch.testing.assert_close(moment, torch.full((5,), 0.0125), rtol=1e-6, atol=0)
