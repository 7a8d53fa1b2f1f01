"""Fused GELU equals the GELU of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from huggingtweets.nn import language_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["gelu_new", "gelu_fast", "gelu_accurate", "gelu_python_tanh"])
def test_each_tanh_gelu_is_replaced_by_the_same_function(name: str) -> None:
    import torch
    from transformers.activations import ACT2FN

    inputs = torch.linspace(-12, 12, 1001, dtype=torch.float64, requires_grad=True)
    model = torch.nn.Sequential(torch.nn.Identity(), ACT2FN[name])
    expected = model(inputs)
    (slope,) = torch.autograd.grad(expected.sum(), inputs)
    language_model.replace_gelu(model)
    assert type(model[1]) is torch.nn.GELU
    actual = model(inputs)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-8)
    (actual_slope,) = torch.autograd.grad(actual.sum(), inputs)
    torch.testing.assert_close(actual_slope, slope, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["gelu", "silu", "relu2"])
def test_other_activations_are_not_replaced(name: str) -> None:
    import torch
    from transformers.activations import ACT2FN

    activation = ACT2FN[name]
    model = torch.nn.Sequential(activation)
    language_model.replace_gelu(model)
    assert model[0] is activation


def test_gpt2_keeps_its_logits_and_weights(dropout_base: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(dropout_base).eval()
    assert any(type(m).__name__ == "NewGELUActivation" for m in plain.modules())
    loaded = language_model.load(dropout_base).model
    assert not any(type(m).__name__ == "NewGELUActivation" for m in loaded.modules())
    assert list(loaded.state_dict()) == list(plain.state_dict())
    ids = torch.arange(24).reshape(2, 12)
    with torch.inference_mode():
        expected, actual = (model(input_ids=ids).logits for model in (plain, loaded))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
