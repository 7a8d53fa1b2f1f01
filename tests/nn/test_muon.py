from __future__ import annotations

import pytest

from huggingtweets.nn.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 48), (1, 48, 16)])
def test_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    import torch

    torch.manual_seed(0)
    matrices = torch.randn(shape) * 100
    values = torch.linalg.svdvals(orthogonal(matrices))
    # a square random matrix may have a value near 0, which five iterations don't bring to 1
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_updates_equal_those_of_torch() -> None:
    import torch

    torch.manual_seed(0)
    shapes = {"a": (16, 48), "b": (48, 16), "c": (16, 48)}
    ours = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    reference = {name: w.detach().clone().requires_grad_() for name, w in ours.items()}
    muon = Muon(ours, torch.float32, weight_decay=0.05)
    torch_muon = torch.optim.Muon(
        reference.values(), lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        for name, weight in ours.items():
            weight.grad = torch.randn_like(weight)
            reference[name].grad = weight.grad.clone()
        muon.step(0.01)
        torch_muon.step()  # type: ignore[no-untyped-call]
    for name, weight in ours.items():
        # torch computes in bfloat16: 3 digits of updates that are 0.008 in size
        torch.testing.assert_close(weight, reference[name], atol=1e-3, rtol=0)
